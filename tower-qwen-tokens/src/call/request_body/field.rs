use crate::{
    call::Ceiling,
    estimate::{AUDIO, IMAGE, VIDEO},
};

/// The part of a body that a value belongs to: it decides what the names in it mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestPart {
    /// The object of a compatible request.
    Compatible,
    /// The object of a native request.
    Native,
    /// Native `input`.
    NativeInput,
    /// Native `parameters`.
    Parameters,
    /// A message or a list of them: an object is one, so is a bare text.
    Messages,
    /// The inside of a message's object.
    Message,
    /// Native `history`: pairs of messages.
    History,
    /// A text, or parts of one, or ids of tokens.
    Content,
    /// `tool_calls`.
    ToolCalls,
    /// Earlier thinking.
    Thoughts,
    /// JSON that is put into the prompt as it is: schemas of tools, calls of tools.
    Json,
    /// `stream_options`.
    StreamOptions,
    /// `thinking` and `reasoning`, and what a template is given.
    Thinking,
}

/// What a member of an object means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestField {
    Model,
    Stream,
    IncludeUsage,
    N,
    Ceiling(Ceiling),
    EnableThinking,
    PreserveThinking,
    ThinkingBudget,
    Effort,
    ThinkingType,
    Tools,
    /// A message of its own.
    Message,
    /// So many tokens, unless it is null.
    Flat(u64),
    Within(RequestPart),
    Ignored,
}

pub(super) fn field(part: RequestPart, key: &str) -> RequestField {
    match part {
        RequestPart::Compatible => match key {
            "model" => RequestField::Model,
            "stream" => RequestField::Stream,
            "stream_options" => RequestField::Within(RequestPart::StreamOptions),
            "messages" | "prompt" | "input" => RequestField::Within(RequestPart::Messages),
            "suffix" => RequestField::Within(RequestPart::Content),
            "system" | "instructions" => RequestField::Message,
            "thinking" | "reasoning" | "chat_template_kwargs" => {
                RequestField::Within(RequestPart::Thinking)
            }
            _ => parameter(key),
        },
        RequestPart::Native => match key {
            "model" => RequestField::Model,
            "input" => RequestField::Within(RequestPart::NativeInput),
            "parameters" => RequestField::Within(RequestPart::Parameters),
            _ => RequestField::Ignored,
        },
        RequestPart::NativeInput => match key {
            "messages" | "prompt" => RequestField::Within(RequestPart::Messages),
            "history" => RequestField::Within(RequestPart::History),
            "texts" | "text" | "contents" => RequestField::Within(RequestPart::Content),
            _ => RequestField::Ignored,
        },
        RequestPart::Parameters => parameter(key),
        RequestPart::History => match key {
            "user" | "bot" => RequestField::Message,
            _ => RequestField::Ignored,
        },
        RequestPart::ToolCalls => match key {
            "function" => RequestField::Within(RequestPart::ToolCalls),
            "name" | "arguments" => RequestField::Within(RequestPart::Json),
            _ => RequestField::Ignored,
        },
        RequestPart::Messages | RequestPart::Message | RequestPart::Content => match key {
            "content" | "text" | "name" | "output" | "refusal" | "transcript" => {
                RequestField::Within(RequestPart::Content)
            }
            "tool_calls" | "function_call" => RequestField::Within(RequestPart::ToolCalls),
            "arguments" | "input" => RequestField::Within(RequestPart::Json),
            "thinking" | "reasoning_content" | "summary" => {
                RequestField::Within(RequestPart::Thoughts)
            }
            "image" | "image_url" | "source" | "input_image" => RequestField::Flat(IMAGE),
            "audio" | "input_audio" | "audio_url" => RequestField::Flat(AUDIO),
            "video" | "video_url" => RequestField::Flat(VIDEO),
            _ => RequestField::Ignored,
        },
        RequestPart::Thoughts => match key {
            "text" | "content" => RequestField::Within(RequestPart::Thoughts),
            _ => RequestField::Ignored,
        },
        RequestPart::Json => RequestField::Within(RequestPart::Json),
        RequestPart::StreamOptions => match key {
            "include_usage" => RequestField::IncludeUsage,
            _ => RequestField::Ignored,
        },
        RequestPart::Thinking => match key {
            "enable_thinking" => RequestField::EnableThinking,
            "preserve_thinking" => RequestField::PreserveThinking,
            "budget_tokens" | "thinking_budget" => RequestField::ThinkingBudget,
            "effort" => RequestField::Effort,
            "type" => RequestField::ThinkingType,
            _ => RequestField::Ignored,
        },
    }
}

/// Members of `parameters` in a native request, of the body itself in a compatible one.
fn parameter(key: &str) -> RequestField {
    match key {
        "n" => RequestField::N,
        "enable_thinking" => RequestField::EnableThinking,
        "preserve_thinking" => RequestField::PreserveThinking,
        "thinking_budget" => RequestField::ThinkingBudget,
        "reasoning_effort" => RequestField::Effort,
        "tools" | "functions" => RequestField::Tools,
        _ => Ceiling::named(key).map_or(RequestField::Ignored, RequestField::Ceiling),
    }
}
