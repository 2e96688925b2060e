use crate::{
    call::Ceiling,
    estimate::{AUDIO, IMAGE, VIDEO},
};

/// Where in a body a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
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
    /// What stands in a message's object.
    Message,
    /// Native `history`: pairs of messages.
    Turns,
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

/// What a member of an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Member {
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
    Within(Place),
    Ignored,
}

pub(super) fn member(place: Place, key: &str) -> Member {
    match place {
        Place::Compatible => match key {
            "model" => Member::Model,
            "stream" => Member::Stream,
            "stream_options" => Member::Within(Place::StreamOptions),
            "messages" | "prompt" | "input" => Member::Within(Place::Messages),
            "suffix" => Member::Within(Place::Content),
            "system" | "instructions" => Member::Message,
            "thinking" | "reasoning" | "chat_template_kwargs" => Member::Within(Place::Thinking),
            _ => parameter(key),
        },
        Place::Native => match key {
            "model" => Member::Model,
            "input" => Member::Within(Place::NativeInput),
            "parameters" => Member::Within(Place::Parameters),
            _ => Member::Ignored,
        },
        Place::NativeInput => match key {
            "messages" | "prompt" => Member::Within(Place::Messages),
            "history" => Member::Within(Place::Turns),
            "texts" | "text" | "contents" => Member::Within(Place::Content),
            _ => Member::Ignored,
        },
        Place::Parameters => parameter(key),
        Place::Turns => match key {
            "user" | "bot" => Member::Message,
            _ => Member::Ignored,
        },
        Place::ToolCalls => match key {
            "function" => Member::Within(Place::ToolCalls),
            "name" | "arguments" => Member::Within(Place::Json),
            _ => Member::Ignored,
        },
        Place::Messages | Place::Message | Place::Content => match key {
            "content" | "text" | "name" | "output" | "refusal" | "transcript" => {
                Member::Within(Place::Content)
            }
            "tool_calls" | "function_call" => Member::Within(Place::ToolCalls),
            "arguments" | "input" => Member::Within(Place::Json),
            "thinking" | "reasoning_content" | "summary" => Member::Within(Place::Thoughts),
            "image" | "image_url" | "source" | "input_image" => Member::Flat(IMAGE),
            "audio" | "input_audio" | "audio_url" => Member::Flat(AUDIO),
            "video" | "video_url" => Member::Flat(VIDEO),
            _ => Member::Ignored,
        },
        Place::Thoughts => match key {
            "text" | "content" => Member::Within(Place::Thoughts),
            _ => Member::Ignored,
        },
        Place::Json => Member::Within(Place::Json),
        Place::StreamOptions => match key {
            "include_usage" => Member::IncludeUsage,
            _ => Member::Ignored,
        },
        Place::Thinking => match key {
            "enable_thinking" => Member::EnableThinking,
            "preserve_thinking" => Member::PreserveThinking,
            "budget_tokens" | "thinking_budget" => Member::ThinkingBudget,
            "effort" => Member::Effort,
            "type" => Member::ThinkingType,
            _ => Member::Ignored,
        },
    }
}

/// Members that stand in `parameters` natively and at the top compatibly.
fn parameter(key: &str) -> Member {
    match key {
        "n" => Member::N,
        "enable_thinking" => Member::EnableThinking,
        "preserve_thinking" => Member::PreserveThinking,
        "thinking_budget" => Member::ThinkingBudget,
        "reasoning_effort" => Member::Effort,
        "tools" | "functions" => Member::Tools,
        _ => Ceiling::named(key).map_or(Member::Ignored, Member::Ceiling),
    }
}
