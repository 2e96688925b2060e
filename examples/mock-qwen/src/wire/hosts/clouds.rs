//! Hosts that sell models by use.

use super::{COMMON, Profile, RateLimitHeaders, Row, Thoughts, UsageForm, UsagePlace};
use crate::config::PlanWindow::{Day, Month};
use crate::wire::problem::Kind;

/// vercel/ai `groq-tool-call.chunks.txt` (2026-02), `groq-qwen-reasoning-enabled.json` (2026-08-24).
pub(super) const GROQ: Profile = Profile {
    base: "/openai/v1",
    errors: GROQ_ERRORS,
    most_choices: 1,
    thoughts: Thoughts::Reasoning,
    usage: UsageForm::Groq,
    place: UsagePlace::XGroq,
    rate_limit_headers: RateLimitHeaders::Groq,
    owner: "Alibaba Cloud",
    ..COMMON
};

/// vercel/ai `deepseek-text.chunks.txt` (2025-12-02), `deepseek-text.json` (2026-08-15).
pub(super) const DEEPSEEK: Profile = Profile {
    errors: DEEPSEEK_ERRORS,
    usage: UsageForm::DeepSeek,
    place: UsagePlace::Finish,
    null_usage: true,
    most_choices: 1,
    owner: "deepseek",
    ..COMMON
};

pub(super) const MODELSCOPE: Profile = Profile {
    errors: MODELSCOPE_ERRORS,
    ..COMMON
};

const GROQ_ERRORS: &[Row] = &[
    Row::new(
        Kind::Invalid,
        400,
        r#"{"error":{"message":"{message}","type":"invalid_request_error"}}"#,
    ),
    Row::new(
        Kind::Key,
        401,
        r#"{"error":{"message":"Invalid API Key","type":"invalid_request_error","code":"invalid_api_key"}}"#,
    ),
    // openclaw#130275, continue#10218, autohandai/code-cli#339 (qwen3-32b).
    Row::new(
        Kind::TooLong,
        413,
        r#"{"error":{"message":"Request too large for model `{model}` in organization `org_00000000000000000000000000` service tier `on_demand` on tokens per minute (TPM): Limit {limit}, Requested {asked}, please reduce your message size and try again. Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing","type":"tokens","code":"rate_limit_exceeded"}}"#,
    ),
    // A test with the answer as it came, 2026.
    Row::new(
        Kind::Requests,
        429,
        r#"{"error":{"message":"Rate limit reached for model `{model}` in organization `org_00000000000000000000000000` service tier `on_demand` on requests per minute (RPM): Limit {limit}, Used {used}, Requested 1. Please try again in {wait}. Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing","type":"requests","code":"rate_limit_exceeded"}}"#,
    ),
    // ago19800/HomeMind#29, 2026.
    Row::new(
        Kind::Tokens,
        429,
        r#"{"error":{"message":"Rate limit reached for model `{model}` in organization `org_00000000000000000000000000` service tier `on_demand` on tokens per minute (TPM): Limit {limit}, Used {used}, Requested {asked}. Please try again in {wait}. Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing","type":"tokens","code":"rate_limit_exceeded"}}"#,
    ),
    // The day's tokens in clients' tests, 2026.
    Row::new(
        Kind::Plan {
            window: Day,
            stated: true,
        },
        429,
        r#"{"error":{"message":"Rate limit reached for model `{model}` in organization `org_00000000000000000000000000` service tier `on_demand` on tokens per day (TPD): Limit {limit}, Used {used}, Requested {asked}. Please try again in {wait}. Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing","type":"tokens","code":"rate_limit_exceeded"}}"#,
    ),
    // laravel/ai#925, shortened.
    Row::new(
        Kind::Capacity,
        498,
        r#"{"error":{"message":"Capacity exceeded, try again later","type":"internal_server_error","code":"capacity_exceeded"}}"#,
    ),
];

const DEEPSEEK_ERRORS: &[Row] = &[
    Row::new(
        Kind::Invalid,
        400,
        r#"{"error":{"message":"{message}","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}"#,
    ),
    // evalstate/fast-agent#621, 2026-01-19, with no part of the completion.
    Row::new(
        Kind::TooLong,
        400,
        r#"{"error":{"message":"This model's maximum context length is {limit} tokens. However, you requested {asked} tokens ({asked} in the messages, 0 in the completion). Please reduce the length of the messages or completion.","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}"#,
    ),
    // A client's log, 2026-03-13.
    Row::new(
        Kind::Key,
        401,
        r#"{"error":{"message":"Authentication Fails, Your api key: ****here is invalid","type":"authentication_error","param":null,"code":"invalid_request_error"}}"#,
    ),
    // No recorded 429 was found; the documents' words in the envelope of the 402.
    Row::new(
        Kind::Requests,
        429,
        r#"{"error":{"message":"Rate Limit Reached","type":"unknown_error","param":null,"code":"invalid_request_error"}}"#,
    ),
    Row::new(
        Kind::Tokens,
        429,
        r#"{"error":{"message":"Rate Limit Reached","type":"unknown_error","param":null,"code":"invalid_request_error"}}"#,
    ),
    // continuedev/continue#4766, #11498 and ten more.
    Row::new(
        Kind::Plan {
            window: Month,
            stated: false,
        },
        402,
        r#"{"error":{"message":"Insufficient Balance","type":"unknown_error","param":null,"code":"invalid_request_error"}}"#,
    ),
    // As the 429: the documents' words.
    Row::new(
        Kind::Capacity,
        503,
        r#"{"error":{"message":"Server Overloaded","type":"unknown_error","param":null,"code":"invalid_request_error"}}"#,
    ),
];

/// Of the day, as in a client's log of 2026-03-14: they do not explain the throttle beside them.
const MODELSCOPE_DAY: &[(&str, &str)] = &[
    ("modelscope-ratelimit-model-requests-limit", "500"),
    ("modelscope-ratelimit-model-requests-remaining", "458"),
    ("modelscope-ratelimit-requests-limit", "2000"),
    ("modelscope-ratelimit-requests-remaining", "1897"),
];

const MODELSCOPE_ERRORS: &[Row] = &[
    // The shape of the 400 for a model without a host, in that log.
    Row::new(
        Kind::Invalid,
        400,
        r#"{"errors":{"message":"{message}","request_id":"{id}"}}"#,
    ),
    Row::new(
        Kind::Key,
        401,
        r#"{"errors":{"message":"Authentication failed, please make sure that a valid ModelScope token is supplied.","request_id":"{id}"}}"#,
    ),
    // musistudio/claude-code-router#462.
    Row::new(
        Kind::Requests,
        429,
        r#"{"errors":{"message":"Request limit exceeded.","request_id":"{id}"}}"#,
    )
    .with(MODELSCOPE_DAY),
    // Model Studio's body, passed on without its link: two clients' notes, 2026.
    Row::new(
        Kind::Tokens,
        429,
        r#"{"error":{"code":"insufficient_quota","message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota"},"request_id":"{id}"}"#,
    )
    .with(MODELSCOPE_DAY),
    // musistudio/claude-code-router#462 and a client's log.
    Row::new(
        Kind::Plan { window: Day, stated: false },
        429,
        r#"{"errors":{"message":"You have exceeded today's quota for model {model}, please try again tomorrow, or consider using other models","request_id":"{id}"}}"#,
    )
    .with(&[
        ("modelscope-ratelimit-model-requests-limit", "{limit}"),
        ("modelscope-ratelimit-model-requests-remaining", "0"),
    ]),
    // The log: ModelScope's own key at the model's maker has reached its limit.
    Row::new(
        Kind::Capacity,
        429,
        r#"{"error":{"code":"too_many_requests","message":"AppId:**wP34 达到使用量上限","type":"rate_limit_error"},"request_id":"{id}"}"#,
    )
    .with(MODELSCOPE_DAY),
];
