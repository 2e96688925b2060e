//! Gateways in front of other hosts.

use super::{COMMON, Profile, Row, StreamError, Thoughts, UsageForm, UsagePlace};
use crate::config::PlanWindow::{Day, Month};
use crate::wire::problem::Kind;

pub(super) const OPENROUTER: Profile = Profile {
    base: "/api/v1",
    errors: OPENROUTER_ERRORS,
    stream_error: StreamError::Data { done: true },
    thoughts: Thoughts::Reasoning,
    usage: UsageForm::OpenRouter,
    comment: Some(": OPENROUTER PROCESSING\n\n"),
    ..COMMON
};

/// Version 1.106.12, run on 2026-11-29 before a host that was told what to answer.
pub(super) const LITELLM: Profile = Profile {
    errors: LITELLM_ERRORS,
    place: UsagePlace::OwnEventWithChoice,
    owner: "openai",
    ..COMMON
};

const OPENROUTER_ERRORS: &[Row] = &[
    Row::new(
        Kind::Invalid,
        400,
        r#"{"error":{"message":"{message}","code":400},"user_id":"user_0000000000000000000000000"}"#,
    ),
    Row::new(
        Kind::Key,
        401,
        r#"{"error":{"message":"User not found.","code":401}}"#,
    ),
    // The text by clients' tests of 2026; the headers in `metadata` as in the day's.
    Row::new(
        Kind::Requests,
        429,
        r#"{"error":{"message":"Rate limit exceeded: free-models-per-min. ","code":429,"metadata":{"headers":{"X-RateLimit-Limit":"{limit}","X-RateLimit-Remaining":"0","X-RateLimit-Reset":"{epoch_ms}"}}},"user_id":"user_0000000000000000000000000"}"#,
    ),
    Row::new(
        Kind::Tokens,
        429,
        r#"{"error":{"message":"Provider returned error","code":429,"metadata":{"raw":"{model} is temporarily rate-limited upstream. Please retry shortly.","provider_name":"Alibaba"}},"user_id":"user_0000000000000000000000000"}"#,
    ),
    // The text of Model Studio's growth limit by way of OpenRouter; its code is lost.
    Row::new(
        Kind::Growth,
        429,
        r#"{"error":{"message":"Upstream error from Alibaba: Request rate increased too quickly","code":429,"metadata":{"provider_name":"Alibaba"}},"user_id":"user_0000000000000000000000000"}"#,
    ),
    // Gitlawb/openclaude#936, 2026-04-28; its report ends before the reset, which stands in epoch milliseconds.
    Row::new(
        Kind::Plan {
            window: Day,
            stated: true,
        },
        429,
        r#"{"error":{"message":"Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model requests per day","code":429,"metadata":{"headers":{"X-RateLimit-Limit":"{limit}","X-RateLimit-Remaining":"0","X-RateLimit-Reset":"{epoch_ms}"}}},"user_id":"user_0000000000000000000000000"}"#,
    ),
    // The same as far as the report goes.
    Row::new(
        Kind::Plan {
            window: Day,
            stated: false,
        },
        429,
        r#"{"error":{"message":"Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model requests per day","code":429,"metadata":{"headers":{"X-RateLimit-Limit":"{limit}","X-RateLimit-Remaining":"0"}}},"user_id":"user_0000000000000000000000000"}"#,
    ),
    // astrio-labs/forall#76, 2025-11-23: the credits, which no time brings back.
    Row::new(
        Kind::Plan {
            window: Month,
            stated: false,
        },
        402,
        r#"{"error":{"message":"This request requires more credits, or fewer max_tokens. You requested up to 64000 tokens, but can only afford 2666. To increase, visit https://openrouter.ai/settings/credits and upgrade to a paid account","code":402,"metadata":{"provider_name":null}},"user_id":"user_0000000000000000000000000"}"#,
    ),
    Row::new(
        Kind::Capacity,
        503,
        r#"{"error":{"message":"Provider returned error","code":503,"metadata":{"raw":"{\"error\":{\"type\":\"Service Unavailable\",\"code\":\"no_available_workers\",\"message\":\"No available workers (all circuits open or unhealthy)\"}}","provider_name":"Morph","is_byok":false}},"user_id":"user_0000000000000000000000000"}"#,
    ),
    // The chunk of a client's transcript, 2026, with the error of OmniRoute#8210 and others.
    Row::new(
        Kind::InStream,
        200,
        r#"{"id":"gen-{id}","object":"chat.completion.chunk","created":{created},"model":"{model}","provider":"Alibaba","error":{"code":429,"message":"Provider returned error","metadata":{"raw":"{model} is temporarily rate-limited upstream. Please retry shortly.","provider_name":"Alibaba"}},"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":"error","native_finish_reason":"error"}]}"#,
    ),
];

/// The wait is a minute whatever is left of the window, and `reset_at` is a minute from now.
macro_rules! limited {
    ($by:literal) => {
        &[
            ("retry-after", "60"),
            ("rate_limit_type", $by),
            ("reset_at", "{in_a_minute} UTC"),
        ]
    };
}

macro_rules! limit_message {
    ($by:literal) => {
        concat!(
            r#"{"error":{"message":"Rate limit exceeded for api_key: 0000000000000000. Limit type: "#,
            $by,
            r#". Current limit: {limit}, Remaining: {left}. Limit resets at: {in_a_minute} UTC","type":"throttling_error","param":null,"code":"429"}}"#
        )
    };
}

const LITELLM_ERRORS: &[Row] = &[
    Row::new(
        Kind::Invalid,
        400,
        r#"{"error":{"message":"litellm.BadRequestError: OpenAIException - {message}. Received Model Group={model}\nAvailable Model Group Fallbacks=None","type":"invalid_request_error","param":null,"code":"400"}}"#,
    ),
    Row::new(
        Kind::Key,
        401,
        r#"{"error":{"message":"Authentication Error, No api key passed in.","type":"auth_error","param":"None","code":"401"}}"#,
    ),
    Row::new(Kind::Requests, 429, limit_message!("requests")).with(limited!("requests")),
    Row::new(Kind::Tokens, 429, limit_message!("tokens")).with(limited!("tokens")),
    Row::new(Kind::Concurrency, 429, limit_message!("max_parallel_requests"))
        .with(limited!("max_parallel_requests")),
    // A throttle of the host behind: its code and type are lost, its `retry-after` has another name.
    Row::new(
        Kind::Growth,
        429,
        r#"{"error":{"message":"litellm.RateLimitError: RateLimitError: OpenAIException - Request rate increased too quickly. To ensure system stability, please adjust your client logic to scale requests more smoothly over time.. Received Model Group={model}\nAvailable Model Group Fallbacks=None","type":"throttling_error","param":null,"code":"429"}}"#,
    )
    .with(&[("llm_provider-retry-after", "{seconds}")]),
    // BerriAI/litellm#37000, #14144.
    Row::new(
        Kind::Plan { window: Month, stated: false },
        429,
        r#"{"error":{"message":"Budget has been exceeded! Current cost: 10.01, Max budget: 10.0","type":"budget_exceeded","param":null,"code":"429"}}"#,
    ),
    Row::new(
        Kind::Capacity,
        503,
        r#"{"error":{"message":"litellm.ServiceUnavailableError: ServiceUnavailableError: OpenAIException - Too many requests. Your requests are being throttled due to system capacity limits. Please try again later.. Received Model Group={model}\nAvailable Model Group Fallbacks=None","type":"internal_server_error","param":null,"code":"503"}}"#,
    ),
    Row::new(
        Kind::InStream,
        200,
        r#"{"error": {"message": "litellm.APIConnectionError: APIConnectionError: OpenAIException - Allocated quota exceeded, please increase your quota limit.", "type": null, "param": null, "code": "500"}}"#,
    ),
];
