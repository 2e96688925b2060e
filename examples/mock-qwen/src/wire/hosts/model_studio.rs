//! Alibaba's Model Studio: paid by use, and its plans.

use super::{COMMON, Profile, Range, Row, StreamError, UsageForm};
use crate::wire::problem::Kind;

pub(super) const DASHSCOPE: Profile = Profile {
    base: "/compatible-mode/v1",
    errors: DASHSCOPE_ERRORS,
    ..MODEL_STUDIO
};

/// What the three have in common. Streams tell of errors in native events in either dialect:
/// `NousResearch/hermes-agent#58017`, `zhengxs2018/ai#12`.
pub(super) const MODEL_STUDIO: Profile = Profile {
    native: NATIVE,
    stream_error: StreamError::Native,
    range: Range::Whole,
    most_choices: 1,
    usage: UsageForm::DashScope,
    null_usage: true,
    ..COMMON
};

/// The documents' shape; with `id` in recordings of 2026, such as that of hawkxtreme/mini-ai-1c#23.
macro_rules! compatible {
    ($code:literal, $kind:literal, $message:literal) => {
        concat!(
            r#"{"error":{"code":""#,
            $code,
            r#"","message":""#,
            $message,
            r#"","param":null,"type":""#,
            $kind,
            r#""},"id":"chatcmpl-{id}","request_id":"{id}"}"#
        )
    };
}
pub(super) use compatible;

macro_rules! native {
    ($code:literal, $message:literal) => {
        concat!(
            r#"{"code":""#,
            $code,
            r#"","message":""#,
            $message,
            r#"","request_id":"{id}"}"#
        )
    };
}

pub(super) const INVALID: Row = Row::new(
    Kind::Invalid,
    400,
    compatible!(
        "invalid_parameter_error",
        "invalid_request_error",
        "{message}"
    ),
);
pub(super) const KEY: Row = Row::new(
    Kind::Key,
    401,
    compatible!(
        "invalid_api_key",
        "invalid_request_error",
        "Incorrect API key provided."
    ),
);
// The documents' words, with the status and the code that OpenAI has.
pub(super) const MODEL: Row = Row::new(
    Kind::Model,
    404,
    compatible!(
        "model_not_found",
        "invalid_request_error",
        "The model `{model}` does not exist or you do not have access to it."
    ),
);
pub(super) const REQUESTS: Row = Row::new(
    Kind::Requests,
    429,
    compatible!(
        "limit_requests",
        "limit_requests",
        "You have exceeded your current request limit. For details, see: https://help.aliyun.com/zh/model-studio/error-code#rate-limit"
    ),
);
// hawkxtreme/mini-ai-1c#23, 2026-02-26.
pub(super) const TOKENS: Row = Row::new(
    Kind::Tokens,
    429,
    compatible!(
        "insufficient_quota",
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details. For details, see: https://help.aliyun.com/zh/model-studio/error-code#token-limit"
    ),
);
pub(super) const GROWTH: Row = Row::new(
    Kind::Growth,
    429,
    compatible!(
        "limit_burst_rate",
        "limit_burst_rate",
        "Request rate increased too quickly. To ensure system stability, please adjust your client logic to scale requests more smoothly over time."
    ),
);
pub(super) const CAPACITY: Row = Row::new(
    Kind::Capacity,
    503,
    compatible!(
        "ServiceUnavailable",
        "ServiceUnavailable",
        "<503> InternalError.Algo: An error occurred in model serving, error message is: [Too many requests. Your requests are being throttled due to system capacity limits. Please try again later.]"
    ),
);
// A third party's note; the recorded 500 has no `param`.
pub(super) const HIDDEN_CAPACITY: Row = Row::new(
    Kind::HiddenCapacity,
    500,
    r#"{"error":{"code":"ServiceUnavailable","message":"<503> InternalError.Algo: An error occurred in model serving, error message is: [Too many requests. Your requests are being throttled due to system capacity limits. Please try again later.]","type":"ServiceUnavailable"},"id":"chatcmpl-{id}","request_id":"{id}"}"#,
);

const DASHSCOPE_ERRORS: &[Row] = &[
    INVALID,
    KEY,
    MODEL,
    REQUESTS,
    TOKENS,
    // The native name, as no compatible one was found.
    Row::new(
        Kind::Concurrency,
        429,
        compatible!(
            "Throttling.Concurrency",
            "Throttling.Concurrency",
            "Too many concurrent requests."
        ),
    ),
    GROWTH,
    CAPACITY,
    HIDDEN_CAPACITY,
];

/// cnblogs/dashscope-sdk@7afccbd, raw recordings (the frame, the 400), and the documents (the rest).
const NATIVE: &[Row] = &[
    Row::new(Kind::Invalid, 400, native!("InvalidParameter", "{message}")),
    Row::new(
        Kind::Key,
        401,
        native!("InvalidApiKey", "Invalid API-key provided."),
    ),
    Row::new(
        Kind::Model,
        404,
        native!("ModelNotFound", "Model not exist."),
    ),
    Row::new(
        Kind::Requests,
        429,
        native!(
            "Throttling.RateQuota",
            "Requests rate limit exceeded, please try again later."
        ),
    ),
    // QwenLM/qwen-code rateLimit.test.ts, 'production DashScope error', 2026 (in a stream).
    Row::new(
        Kind::Tokens,
        429,
        native!(
            "Throttling.AllocationQuota",
            "Allocated quota exceeded, please increase your quota limit."
        ),
    ),
    Row::new(
        Kind::Concurrency,
        429,
        native!("Throttling.Concurrency", "Too many concurrent requests."),
    ),
    Row::new(
        Kind::Growth,
        429,
        native!(
            "Throttling.BurstRate",
            "Request rate increased too quickly. To ensure system stability, please adjust your client logic to scale requests more smoothly over time."
        ),
    ),
    Row::new(
        Kind::Capacity,
        503,
        native!(
            "ModelServingError",
            "Too many requests. Your requests are being throttled due to system capacity limits. Please try again later."
        ),
    ),
    Row::new(
        Kind::HiddenCapacity,
        500,
        native!(
            "ServiceUnavailable",
            "Too many requests. Your requests are being throttled due to system capacity limits. Please try again later."
        ),
    ),
];
