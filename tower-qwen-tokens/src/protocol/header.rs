//! Names of headers, requests' and answers'.

use http::HeaderName;

/// Request, value `enable`: a native call answers as a stream.
pub const X_DASHSCOPE_SSE: HeaderName = HeaderName::from_static("x-dashscope-sse");
/// Request, value `enable`: a native call starts a task. On a model that only answers synchronously it is throttled for ever.
pub const X_DASHSCOPE_ASYNC: HeaderName = HeaderName::from_static("x-dashscope-async");
/// Request: the workspace, which may have limits of its own.
pub const X_DASHSCOPE_WORKSPACE: HeaderName = HeaderName::from_static("x-dashscope-workspace");
/// Request, seconds: how long the server may queue a call that grows too fast.
pub const X_DASHSCOPE_WAIT_TIMEOUT: HeaderName =
    HeaderName::from_static("x-dashscope-wait-timeout");
/// Answer: the request's id.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Answer, milliseconds: when to try again.
pub const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
/// The same, as Azure's gateways spell it.
pub const X_MS_RETRY_AFTER_MS: HeaderName = HeaderName::from_static("x-ms-retry-after-ms");
/// Answer, `true` or `false`: whether the server itself thinks that another try may help (OpenAI, Anthropic).
pub const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
/// Request, a number: how often the client has retried this call already (OpenAI's and Anthropic's clients).
pub const X_STAINLESS_RETRY_COUNT: HeaderName = HeaderName::from_static("x-stainless-retry-count");

/// Answer: when the limit, whichever it is, is level again.
pub const X_RATELIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
/// Answer: when the limit on requests is level again.
pub const X_RATELIMIT_RESET_REQUESTS: HeaderName =
    HeaderName::from_static("x-ratelimit-reset-requests");
/// Answer: when the limit on tokens is level again.
pub const X_RATELIMIT_RESET_TOKENS: HeaderName =
    HeaderName::from_static("x-ratelimit-reset-tokens");
/// Answer: when the limit on requests per minute is level again (Cerebras).
pub const X_RATELIMIT_RESET_REQUESTS_MINUTE: HeaderName =
    HeaderName::from_static("x-ratelimit-reset-requests-minute");
/// Answer: when the limit on tokens per minute is level again (Cerebras).
pub const X_RATELIMIT_RESET_TOKENS_MINUTE: HeaderName =
    HeaderName::from_static("x-ratelimit-reset-tokens-minute");
/// Answer: when the limit on requests per day is level again (Cerebras).
pub const X_RATELIMIT_RESET_REQUESTS_DAY: HeaderName =
    HeaderName::from_static("x-ratelimit-reset-requests-day");
/// Answer: all requests of a window.
pub const X_RATELIMIT_LIMIT_REQUESTS: HeaderName =
    HeaderName::from_static("x-ratelimit-limit-requests");
/// Answer: all tokens of a window.
pub const X_RATELIMIT_LIMIT_TOKENS: HeaderName =
    HeaderName::from_static("x-ratelimit-limit-tokens");
/// Answer: all requests of a minute (Cerebras).
pub const X_RATELIMIT_LIMIT_REQUESTS_MINUTE: HeaderName =
    HeaderName::from_static("x-ratelimit-limit-requests-minute");
/// Answer: all tokens of a minute (Cerebras).
pub const X_RATELIMIT_LIMIT_TOKENS_MINUTE: HeaderName =
    HeaderName::from_static("x-ratelimit-limit-tokens-minute");
/// Answer: what is left, whichever limit it is.
pub const X_RATELIMIT_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
/// Answer: requests left.
pub const X_RATELIMIT_REMAINING_REQUESTS: HeaderName =
    HeaderName::from_static("x-ratelimit-remaining-requests");
/// Answer: tokens left.
pub const X_RATELIMIT_REMAINING_TOKENS: HeaderName =
    HeaderName::from_static("x-ratelimit-remaining-tokens");
/// Answer: requests left in the minute (Cerebras).
pub const X_RATELIMIT_REMAINING_REQUESTS_MINUTE: HeaderName =
    HeaderName::from_static("x-ratelimit-remaining-requests-minute");
/// Answer: tokens left in the minute (Cerebras).
pub const X_RATELIMIT_REMAINING_TOKENS_MINUTE: HeaderName =
    HeaderName::from_static("x-ratelimit-remaining-tokens-minute");
/// Answer: requests left in the day (Cerebras).
pub const X_RATELIMIT_REMAINING_REQUESTS_DAY: HeaderName =
    HeaderName::from_static("x-ratelimit-remaining-requests-day");

/// Answer: all requests of a window (Anthropic).
pub const ANTHROPIC_LIMIT_REQUESTS: HeaderName =
    HeaderName::from_static("anthropic-ratelimit-requests-limit");
/// Answer: all tokens of a window (Anthropic).
pub const ANTHROPIC_LIMIT_TOKENS: HeaderName =
    HeaderName::from_static("anthropic-ratelimit-tokens-limit");
/// Answer: when the limit on requests is level again (Anthropic).
pub const ANTHROPIC_RESET_REQUESTS: HeaderName =
    HeaderName::from_static("anthropic-ratelimit-requests-reset");
/// Answer: when the limit on tokens is level again (Anthropic).
pub const ANTHROPIC_RESET_TOKENS: HeaderName =
    HeaderName::from_static("anthropic-ratelimit-tokens-reset");
/// Answer: when the limit on input tokens is level again (Anthropic).
pub const ANTHROPIC_RESET_INPUT_TOKENS: HeaderName =
    HeaderName::from_static("anthropic-ratelimit-input-tokens-reset");
/// Answer: when the limit on output tokens is level again (Anthropic).
pub const ANTHROPIC_RESET_OUTPUT_TOKENS: HeaderName =
    HeaderName::from_static("anthropic-ratelimit-output-tokens-reset");
/// Answer: requests left (Anthropic).
pub const ANTHROPIC_REMAINING_REQUESTS: HeaderName =
    HeaderName::from_static("anthropic-ratelimit-requests-remaining");
/// Answer: tokens left (Anthropic).
pub const ANTHROPIC_REMAINING_TOKENS: HeaderName =
    HeaderName::from_static("anthropic-ratelimit-tokens-remaining");
/// Answer: input tokens left (Anthropic).
pub const ANTHROPIC_REMAINING_INPUT_TOKENS: HeaderName =
    HeaderName::from_static("anthropic-ratelimit-input-tokens-remaining");
/// Answer: output tokens left (Anthropic).
pub const ANTHROPIC_REMAINING_OUTPUT_TOKENS: HeaderName =
    HeaderName::from_static("anthropic-ratelimit-output-tokens-remaining");

/// Answer: when the limit is level again (early IETF drafts).
pub const RATELIMIT_RESET: HeaderName = HeaderName::from_static("ratelimit-reset");
/// Answer: what is left (early IETF drafts).
pub const RATELIMIT_REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
/// Answer: the policies that hold (IETF draft).
pub const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// Answer: what is left under each policy (IETF draft).
pub const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
