//! Hosts that sell models by use and by subscription, with windows of hours to months.

use super::{COMMON, Profile, Row, UsageForm, UsagePlace};
use crate::config::PlanWindow::{Day, FiveHours, Month, Week};
use crate::wire::problem::Kind;

/// vercel/ai `moonshotai-usage-live.chunks.txt`, 2026-08-26.
pub(super) const KIMI: Profile = Profile {
    errors: KIMI_ERRORS,
    wraps_messages: false,
    usage: UsageForm::Kimi,
    place: UsagePlace::Choice,
    owner: "moonshot",
    ..COMMON
};

/// The place of usage by rashidrazak/opencode-cmd-provider#213, 2026-09-19.
pub(super) const ZAI: Profile = Profile {
    base: "/api/paas/v4",
    errors: ZAI_ERRORS,
    wraps_messages: false,
    place: UsagePlace::Finish,
    owner: "z-ai",
    ..COMMON
};

pub(super) const VOLC: Profile = Profile {
    base: "/api/v3",
    errors: VOLC_ERRORS,
    ..COMMON
};

/// The table of the documents, and where a report is named, as it came.
const KIMI_ERRORS: &[Row] = &[
    Row::new(
        Kind::Invalid,
        400,
        r#"{"error":{"message":"Invalid request: {message}","type":"invalid_request_error"}}"#,
    ),
    Row::new(
        Kind::Key,
        401,
        r#"{"error":{"message":"Invalid Authentication","type":"invalid_authentication_error"}}"#,
    ),
    Row::new(
        Kind::Requests,
        429,
        r#"{"error":{"message":"Your account org-00000000000000000000000000000000<ak-00000000000000000000> request reached organization max RPM: {limit}, please try again after {seconds} seconds","type":"rate_limit_reached_error"}}"#,
    ),
    Row::new(
        Kind::Tokens,
        429,
        r#"{"error":{"message":"Your account org-00000000000000000000000000000000<ak-00000000000000000000> request reached organization TPM rate limit, current:{used}, limit:{limit}","type":"rate_limit_reached_error"}}"#,
    ),
    // LLM-Red-Team/kimi-cc#16, 2025-07-14.
    Row::new(
        Kind::Concurrency,
        429,
        r#"{"error":{"message":"Your account org-00000000000000000000000000000000<ak-00000000000000000000> request reached max organization concurrency: {limit}, please try again after {seconds} seconds","type":"rate_limit_reached_error"}}"#,
    ),
    // Kimi Code's 5 hours: its documents, 2026.
    Row::new(
        Kind::Plan {
            window: FiveHours,
            stated: false,
        },
        429,
        r#"{"error":{"message":"You've reached your usage limit for this period. Your quota will be refreshed in the next period.","type":"exceeded_current_quota_error"}}"#,
    ),
    // MoonshotAI/kimi-cli#1599, 2026-03-27.
    Row::new(
        Kind::Plan {
            window: Day,
            stated: false,
        },
        429,
        r#"{"error":{"message":"Your account org-00000000000000000000000000000000 / proj-00000000000000000000000000000000 <ak-00000000000000000000> request reached organization TPD rate limit, current: {used}, limit: {limit}","type":"rate_limit_reached_error"}}"#,
    ),
    // Kimi Code's week: a client's test, 2026.
    Row::new(
        Kind::Plan {
            window: Week,
            stated: false,
        },
        403,
        r#"{"error":{"message":"You've reached your usage limit for this billing cycle. Your quota will be refreshed in the next cycle.","type":"access_terminated_error"}}"#,
    ),
    // Kimi Code's month: hermes-agent#36276 and a client's test, 2026.
    Row::new(
        Kind::Plan {
            window: Month,
            stated: false,
        },
        429,
        r#"{"error":{"message":"You've reached kimi monthly usage limit for this billing cycle. Your quota will be refreshed in the next cycle. Upgrade to get more: https://www.kimi.com/code/console?from=quota-upgrade","type":"exceeded_current_quota_error"}}"#,
    ),
    // MoonshotAI/kimi-cli#2209, 2026-05-09.
    Row::new(
        Kind::Capacity,
        429,
        r#"{"error":{"message":"The engine is currently overloaded, please try again later","type":"engine_overloaded_error"}}"#,
    ),
];

const ZAI_ERRORS: &[Row] = &[
    Row::new(
        Kind::Invalid,
        400,
        r#"{"error":{"code":"1210","message":"{message}"}}"#,
    ),
    Row::new(
        Kind::Key,
        401,
        r#"{"error":{"code":"401","message":"token expired or incorrect"}}"#,
    ),
    // kaitranntt/ccs#536, 2026-02-11: requests; there is no other text for tokens.
    ZAI_REQUESTS,
    Row {
        kind: Kind::Tokens,
        ..ZAI_REQUESTS
    },
    // kaitranntt/ccs#402, 2026-01-30: the same code.
    Row::new(
        Kind::Concurrency,
        429,
        r#"{"error":{"code":"1302","message":"High concurrency usage of this API, please reduce concurrency or contact customer service to increase limits"}}"#,
    ),
    // A client's incident of 2026-09-03; the zone of the date is not said, Beijing's is taken.
    Row::new(
        Kind::Plan {
            window: FiveHours,
            stated: true,
        },
        429,
        r#"{"error":{"code":"1308","message":"Usage limit reached for 5 hour. Your limit will reset at {reset_utc_8}"},"request_id":"{id}"}"#,
    ),
    // A client's test, 2026-08-24.
    Row::new(
        Kind::Plan {
            window: Week,
            stated: true,
        },
        429,
        r#"{"error":{"code":"1310","message":"Weekly/Monthly Limit Exhausted. Your limit will reset at {reset_utc_8}"},"request_id":"{id}"}"#,
    ),
    // zai-org/GLM-5#148, 2026-09-11 *: the package is used up, and no time is stated.
    Row::new(
        Kind::Plan {
            window: Month,
            stated: false,
        },
        429,
        r#"{"error":{"code":"1113","message":"Insufficient balance or no resource package. Please recharge."}}"#,
    ),
    Row::new(
        Kind::Capacity,
        429,
        r#"{"error":{"code":"1305","message":"The service may be temporarily overloaded, please try again later"}}"#,
    ),
];

const ZAI_REQUESTS: Row = Row::new(
    Kind::Requests,
    429,
    r#"{"error":{"code":"1302","message":"Rate limit reached for requests"},"request_id":"{id}"}"#,
);

/// Texts of the error table of the documents, with the end of the real ones, 2026.
const VOLC_ERRORS: &[Row] = &[
    Row::new(
        Kind::Invalid,
        400,
        r#"{"error":{"code":"InvalidParameter","message":"{message} Request id: {id}","param":"","type":"BadRequest"}}"#,
    ),
    Row::new(
        Kind::Key,
        401,
        r#"{"error":{"code":"AuthenticationError","message":"The API key or AK/SK in the request is missing or invalid. Request id: {id}","param":"","type":"Unauthorized"}}"#,
    ),
    Row::new(
        Kind::Requests,
        429,
        r#"{"error":{"code":"ModelAccountRpmRateLimitExceeded","message":"RPM (Requests Per Minute) limit of the model {model} is exceeded. Please try again later Request id: {id}","param":"","type":"TooManyRequests"}}"#,
    ),
    Row::new(
        Kind::Tokens,
        429,
        r#"{"error":{"code":"ModelAccountTpmRateLimitExceeded","message":"TPM (Tokens Per Minute) limit of the model {model} is exceeded. Please try again later Request id: {id}","param":"","type":"TooManyRequests"}}"#,
    ),
    // A client's test with the real body, 2026-09-13 *.
    Row::new(
        Kind::Plan {
            window: FiveHours,
            stated: true,
        },
        429,
        r#"{"error":{"code":"AccountQuotaExceeded","message":"You have exceeded the 5-hour usage quota. It will reset at {reset_utc_8} +0800 CST. We recommend upgrading your plan for more quota, or waiting for the reset. Request id: {id}","param":"","type":"TooManyRequests"}}"#,
    ),
    // openclaw#142656, sub2api#7340: the same text of other windows.
    Row::new(
        Kind::Plan {
            window: Week,
            stated: true,
        },
        429,
        r#"{"error":{"code":"AccountQuotaExceeded","message":"You have exceeded the weekly usage quota. It will reset at {reset_utc_8} +0800 CST. We recommend upgrading your plan for more quota, or waiting for the reset. Request id: {id}","param":"","type":"TooManyRequests"}}"#,
    ),
    Row::new(
        Kind::Plan {
            window: Month,
            stated: true,
        },
        429,
        r#"{"error":{"code":"AccountQuotaExceeded","message":"You have exceeded the monthly usage quota. It will reset at {reset_utc_8} +0800 CST. We recommend upgrading your plan for more quota, or waiting for the reset. Request id: {id}","param":"","type":"TooManyRequests"}}"#,
    ),
    Row::new(
        Kind::Capacity,
        429,
        r#"{"error":{"code":"ServerOverloaded","message":"The service is currently unable to handle additional requests due to server overload. Please try again later Request id: {id}","param":"","type":"TooManyRequests"}}"#,
    ),
];
