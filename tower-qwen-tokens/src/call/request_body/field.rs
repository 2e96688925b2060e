use crate::{
    Dialect,
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
    /// One of such a list: a list of its own holds the tokens of a prompt.
    OneOfMessages,
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
    /// An image, a sound, a file and the like, of so many tokens. It may have text beside its data.
    Media(u64),
    /// What is not known, or not known to come into the prompt: hosts put texts of many members there.
    Unread,
}

/// Members of a request whose texts come into no prompt.
const NO_TEXT: [&str; 19] = [
    "user",
    "metadata",
    "stop",
    "stop_sequences",
    "tool_choice",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "cache_salt",
    "request_id",
    "previous_response_id",
    "conversation",
    "include",
    "truncation",
    "modalities",
    "audio",
    "logit_bias",
    "encoding_format",
    "result_format",
];
/// The same of a message or a part of one.
const NO_TEXT_OF_MESSAGE: [&str; 17] = [
    "role",
    "type",
    "id",
    "tool_call_id",
    "tool_use_id",
    "call_id",
    "status",
    "cache_control",
    "format",
    "detail",
    "index",
    "phase",
    "signature",
    "media_type",
    "file_id",
    "file_url",
    "filename",
];

/// What a member of an object means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestField {
    Model,
    Stream,
    IncludeUsage,
    IncrementalOutput,
    N,
    BestOf,
    Background,
    Ceiling(Ceiling),
    EnableThinking,
    PreserveThinking,
    ThinkingBudget,
    Effort,
    ThinkingType,
    Tools,
    /// A message of its own.
    Message,
    Within(RequestPart),
    Ignored,
}

pub(super) fn field(dialect: Dialect, part: RequestPart, key: &str) -> RequestField {
    use RequestField::{Ignored, Within};
    let unread = Within(RequestPart::Unread);
    match part {
        RequestPart::Compatible => match key {
            "model" => RequestField::Model,
            "stream" => RequestField::Stream,
            "background" => RequestField::Background,
            "stream_options" => Within(RequestPart::StreamOptions),
            "messages" | "prompt" | "input" => Within(RequestPart::Messages),
            "suffix" => Within(RequestPart::Content),
            "system" | "instructions" => RequestField::Message,
            "thinking" | "reasoning" | "chat_template_kwargs" => Within(RequestPart::Thinking),
            _ => parameter(dialect, key),
        },
        RequestPart::Native => match key {
            "model" => RequestField::Model,
            "input" => Within(RequestPart::NativeInput),
            "parameters" => Within(RequestPart::Parameters),
            _ => unread,
        },
        RequestPart::NativeInput => match key {
            "messages" | "prompt" => Within(RequestPart::Messages),
            "history" => Within(RequestPart::History),
            "texts" | "text" | "contents" => Within(RequestPart::Content),
            "tools" => RequestField::Tools,
            _ => unread,
        },
        RequestPart::Parameters => match key {
            "incremental_output" => RequestField::IncrementalOutput,
            _ => parameter(dialect, key),
        },
        RequestPart::History if matches!(key, "user" | "bot") => RequestField::Message,
        RequestPart::ToolCalls => match key {
            "function" => Within(RequestPart::ToolCalls),
            "name" | "arguments" => Within(RequestPart::Json),
            _ if NO_TEXT_OF_MESSAGE.contains(&key) => Ignored,
            _ => unread,
        },
        RequestPart::Messages
        | RequestPart::OneOfMessages
        | RequestPart::Message
        | RequestPart::Content => match key {
            "content" | "text" | "name" | "output" | "refusal" | "transcript" => {
                Within(RequestPart::Content)
            }
            "tool_calls" | "function_call" => Within(RequestPart::ToolCalls),
            "arguments" | "input" => Within(RequestPart::Json),
            "thinking" | "reasoning_content" | "summary" => Within(RequestPart::Thoughts),
            "image" | "image_url" | "source" | "input_image" => Within(RequestPart::Media(IMAGE)),
            "audio" | "input_audio" | "audio_url" => Within(RequestPart::Media(AUDIO)),
            "video" | "video_url" => Within(RequestPart::Media(VIDEO)),
            _ if NO_TEXT_OF_MESSAGE.contains(&key) => Ignored,
            _ => within_unread(key),
        },
        RequestPart::Thoughts if matches!(key, "text" | "content") => Within(part),
        RequestPart::Json => Within(part),
        RequestPart::StreamOptions if key == "include_usage" => RequestField::IncludeUsage,
        RequestPart::Thinking => match key {
            "enable_thinking" => RequestField::EnableThinking,
            "preserve_thinking" => RequestField::PreserveThinking,
            "budget_tokens" | "thinking_budget" => RequestField::ThinkingBudget,
            "effort" => RequestField::Effort,
            "type" => RequestField::ThinkingType,
            _ => unread,
        },
        RequestPart::Media(_) => Within(part),
        RequestPart::Unread => within_unread(key),
        RequestPart::History | RequestPart::Thoughts | RequestPart::StreamOptions => Ignored,
    }
}

/// A member whose meaning is not known. Data that is no text has names of its own.
fn within_unread(key: &str) -> RequestField {
    RequestField::Within(match key {
        "data" | "file_data" | "encrypted_content" | "prompt_embeds" => RequestPart::Media(0),
        _ => RequestPart::Unread,
    })
}

/// Members of `parameters` in a native request, of the body itself in a compatible one.
fn parameter(dialect: Dialect, key: &str) -> RequestField {
    match key {
        "n" => RequestField::N,
        "best_of" => RequestField::BestOf,
        "enable_thinking" => RequestField::EnableThinking,
        "preserve_thinking" => RequestField::PreserveThinking,
        "thinking_budget" => RequestField::ThinkingBudget,
        "reasoning_effort" => RequestField::Effort,
        "tools" | "functions" => RequestField::Tools,
        _ if NO_TEXT.contains(&key) => RequestField::Ignored,
        _ => Ceiling::named(dialect, key).map_or_else(|| within_unread(key), RequestField::Ceiling),
    }
}
