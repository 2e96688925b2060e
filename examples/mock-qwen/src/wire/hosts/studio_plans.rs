//! The plans of Alibaba's Model Studio.

use super::model_studio::{
    CAPACITY, GROWTH, HIDDEN_CAPACITY, INVALID, KEY, MODEL_STUDIO, REQUESTS, TOKENS, compatible,
};
use super::{Profile, Row};
use crate::config::PlanWindow::{FiveHours, Month, Week};
use crate::wire::problem::Kind;

/// Its base is `coding.dashscope.aliyuncs.com/v1`.
pub(super) const CODING_PLAN: Profile = Profile {
    base: "/v1",
    errors: CODING_PLAN_ERRORS,
    ..MODEL_STUDIO
};

pub(super) const TOKEN_PLAN: Profile = Profile {
    base: "/compatible-mode/v1",
    errors: TOKEN_PLAN_ERRORS,
    ..MODEL_STUDIO
};

/// Texts: help.aliyun.com coding-plan-faq, 2026; their envelope is that of the other throttles.
const CODING_PLAN_ERRORS: &[Row] = &[
    INVALID,
    Row::new(
        Kind::Key,
        401,
        compatible!(
            "invalid_api_key",
            "invalid_request_error",
            "invalid access token or token expired"
        ),
    ),
    // Open-Less/openless#947, aaif-goose/goose#8005, 2026-08-12.
    Row::new(
        Kind::Agents,
        405,
        "{\n  \"error\": \"Coding Plan is currently only available for Coding Agents\"\n}",
    ),
    REQUESTS,
    TOKENS,
    Row::new(
        Kind::Concurrency,
        429,
        compatible!(
            "insufficient_quota",
            "insufficient_quota",
            "concurrency allocated quota exceeded"
        ),
    ),
    GROWTH,
    Row::new(
        Kind::Plan {
            window: FiveHours,
            stated: false,
        },
        429,
        compatible!(
            "insufficient_quota",
            "insufficient_quota",
            "hour allocated quota exceeded"
        ),
    ),
    Row::new(
        Kind::Plan {
            window: Week,
            stated: false,
        },
        429,
        compatible!(
            "insufficient_quota",
            "insufficient_quota",
            "week allocated quota exceeded"
        ),
    ),
    Row::new(
        Kind::Plan {
            window: Month,
            stated: false,
        },
        429,
        compatible!(
            "insufficient_quota",
            "insufficient_quota",
            "month allocated quota exceeded"
        ),
    ),
    CAPACITY,
    HIDDEN_CAPACITY,
];

macro_rules! token_plan {
    ($message:literal) => {
        concat!(
            r#"{"error":{"message":""#,
            $message,
            r#"","id":"{id}","type":"insufficient_quota","code":"insufficient_quota"}}"#
        )
    };
}

/// Wei-Shaw/sub2api, tests of real bodies, 2026-08-12 (the week, its end stated); a client's test with the five hours
/// and no end, 2026-08-05. The other windows are those texts with the window changed; of the month: "Your token-plan
/// quota has been exhausted."
const TOKEN_PLAN_ERRORS: &[Row] = &[
    INVALID,
    KEY,
    REQUESTS,
    TOKENS,
    GROWTH,
    Row::new(
        Kind::Plan {
            window: FiveHours,
            stated: true,
        },
        429,
        token_plan!(
            "Your token-plan 5-hour quota has been exhausted. The quota will reset at {reset_short_utc} UTC."
        ),
    ),
    Row::new(
        Kind::Plan {
            window: FiveHours,
            stated: false,
        },
        429,
        token_plan!("Your token-plan 5-hour quota has been exhausted."),
    ),
    Row::new(
        Kind::Plan {
            window: Week,
            stated: true,
        },
        429,
        token_plan!(
            "Your token-plan 1-week quota has been exhausted. The quota will reset at {reset_short_utc} UTC."
        ),
    ),
    Row::new(
        Kind::Plan {
            window: Week,
            stated: false,
        },
        429,
        token_plan!("Your token-plan 1-week quota has been exhausted. The quota will reset later."),
    ),
    Row::new(
        Kind::Plan {
            window: Month,
            stated: false,
        },
        429,
        token_plan!("Your token-plan quota has been exhausted."),
    ),
    CAPACITY,
    HIDDEN_CAPACITY,
];
