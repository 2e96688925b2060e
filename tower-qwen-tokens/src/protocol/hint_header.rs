//! Names of headers about limits and waits, as providers and gateways spell them.

use http::HeaderName;

// Our own crates write these too (`internal::header`).
/// Request, a number: how often the client has retried this call already (OpenAI's and Anthropic's
/// clients).
pub const X_STAINLESS_RETRY_COUNT: HeaderName = HeaderName::from_static("x-stainless-retry-count");
/// Answer: when the limit on requests is level again.
pub const X_RATELIMIT_RESET_REQUESTS: HeaderName =
    HeaderName::from_static("x-ratelimit-reset-requests");
/// Answer: when the limit on tokens is level again.
pub const X_RATELIMIT_RESET_TOKENS: HeaderName =
    HeaderName::from_static("x-ratelimit-reset-tokens");
/// Answer: all requests of a window.
pub const X_RATELIMIT_LIMIT_REQUESTS: HeaderName =
    HeaderName::from_static("x-ratelimit-limit-requests");
/// Answer: all tokens of a window.
pub const X_RATELIMIT_LIMIT_TOKENS: HeaderName =
    HeaderName::from_static("x-ratelimit-limit-tokens");
/// Answer: requests left.
pub const X_RATELIMIT_REMAINING_REQUESTS: HeaderName =
    HeaderName::from_static("x-ratelimit-remaining-requests");
/// Answer: tokens left.
pub const X_RATELIMIT_REMAINING_TOKENS: HeaderName =
    HeaderName::from_static("x-ratelimit-remaining-tokens");
/// Answer: the policies that hold (IETF draft).
pub const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// Answer: what is left under each policy (IETF draft).
pub const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Answer, milliseconds: when to try again.
pub(crate) const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
/// The same, as Azure's gateways spell it.
pub(crate) const X_MS_RETRY_AFTER_MS: HeaderName = HeaderName::from_static("x-ms-retry-after-ms");
/// Answer of LiteLLM: `retry-after-ms` of the host behind it.
pub(crate) const LLM_PROVIDER_RETRY_AFTER_MS: HeaderName =
    HeaderName::from_static("llm_provider-retry-after-ms");
/// Answer of LiteLLM: `retry-after` of the host behind it.
pub(crate) const LLM_PROVIDER_RETRY_AFTER: HeaderName =
    HeaderName::from_static("llm_provider-retry-after");
/// Answer of LiteLLM, `requests`, `tokens` or `max_parallel_requests`: which limit of its own a call met.
pub(crate) const RATE_LIMIT_TYPE: HeaderName = HeaderName::from_static("rate_limit_type");
/// Answer of LiteLLM, a date: when the limit that a call met is level again.
pub(crate) const RESET_AT: HeaderName = HeaderName::from_static("reset_at");
/// Answer of smg: the code of its own refusal, whatever the body says.
pub(crate) const X_SMG_ERROR_CODE: HeaderName = HeaderName::from_static("x-smg-error-code");
/// Answer, `true` or `false`: whether the server itself thinks that another try may help (OpenAI,
/// Anthropic).
pub const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
/// Answer: when the limit, whichever it is, is level again.
pub(crate) const X_RATELIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
/// Answer: when the limit on requests per minute is level again (Cerebras).
pub(crate) const X_RATELIMIT_RESET_REQUESTS_MINUTE: HeaderName =
    HeaderName::from_static("x-ratelimit-reset-requests-minute");
/// Answer: when the limit on tokens per minute is level again (Cerebras).
pub(crate) const X_RATELIMIT_RESET_TOKENS_MINUTE: HeaderName =
    HeaderName::from_static("x-ratelimit-reset-tokens-minute");
/// Answer: when the limit on requests per day is level again (Cerebras).
pub(crate) const X_RATELIMIT_RESET_REQUESTS_DAY: HeaderName =
    HeaderName::from_static("x-ratelimit-reset-requests-day");
/// Answer: all requests of a minute (Cerebras).
pub(crate) const X_RATELIMIT_LIMIT_REQUESTS_MINUTE: HeaderName =
    HeaderName::from_static("x-ratelimit-limit-requests-minute");
/// Answer: all tokens of a minute (Cerebras).
pub(crate) const X_RATELIMIT_LIMIT_TOKENS_MINUTE: HeaderName =
    HeaderName::from_static("x-ratelimit-limit-tokens-minute");
/// Answer: what is left, whichever limit it is.
pub(crate) const X_RATELIMIT_REMAINING: HeaderName =
    HeaderName::from_static("x-ratelimit-remaining");
/// Answer: requests left in the minute (Cerebras).
pub(crate) const X_RATELIMIT_REMAINING_REQUESTS_MINUTE: HeaderName =
    HeaderName::from_static("x-ratelimit-remaining-requests-minute");
/// Answer: tokens left in the minute (Cerebras).
pub(crate) const X_RATELIMIT_REMAINING_TOKENS_MINUTE: HeaderName =
    HeaderName::from_static("x-ratelimit-remaining-tokens-minute");
/// Answer: requests left in the day (Cerebras).
pub(crate) const X_RATELIMIT_REMAINING_REQUESTS_DAY: HeaderName =
    HeaderName::from_static("x-ratelimit-remaining-requests-day");
/// Answer: all requests of a window (Anthropic).
pub(crate) const ANTHROPIC_LIMIT_REQUESTS: HeaderName =
    HeaderName::from_static("anthropic-ratelimit-requests-limit");
/// Answer: all tokens of a window (Anthropic).
pub(crate) const ANTHROPIC_LIMIT_TOKENS: HeaderName =
    HeaderName::from_static("anthropic-ratelimit-tokens-limit");
/// Answer: when the limit on requests is level again (Anthropic).
pub(crate) const ANTHROPIC_RESET_REQUESTS: HeaderName =
    HeaderName::from_static("anthropic-ratelimit-requests-reset");
/// Answer: when the limit on tokens is level again (Anthropic).
pub(crate) const ANTHROPIC_RESET_TOKENS: HeaderName =
    HeaderName::from_static("anthropic-ratelimit-tokens-reset");
/// Answer: when the limit on input tokens is level again (Anthropic).
pub(crate) const ANTHROPIC_RESET_INPUT_TOKENS: HeaderName =
    HeaderName::from_static("anthropic-ratelimit-input-tokens-reset");
/// Answer: when the limit on output tokens is level again (Anthropic).
pub(crate) const ANTHROPIC_RESET_OUTPUT_TOKENS: HeaderName =
    HeaderName::from_static("anthropic-ratelimit-output-tokens-reset");
/// Answer: requests left (Anthropic).
pub(crate) const ANTHROPIC_REMAINING_REQUESTS: HeaderName =
    HeaderName::from_static("anthropic-ratelimit-requests-remaining");
/// Answer: tokens left (Anthropic).
pub(crate) const ANTHROPIC_REMAINING_TOKENS: HeaderName =
    HeaderName::from_static("anthropic-ratelimit-tokens-remaining");
/// Answer: input tokens left (Anthropic).
pub(crate) const ANTHROPIC_REMAINING_INPUT_TOKENS: HeaderName =
    HeaderName::from_static("anthropic-ratelimit-input-tokens-remaining");
/// Answer: output tokens left (Anthropic).
pub(crate) const ANTHROPIC_REMAINING_OUTPUT_TOKENS: HeaderName =
    HeaderName::from_static("anthropic-ratelimit-output-tokens-remaining");
/// Answer: when the limit is level again (early IETF drafts).
pub(crate) const RATELIMIT_RESET: HeaderName = HeaderName::from_static("ratelimit-reset");
/// Answer: what is left (early IETF drafts).
pub(crate) const RATELIMIT_REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
