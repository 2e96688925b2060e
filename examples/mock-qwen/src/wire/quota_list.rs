//! The limits of the account, as the control interface lists them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::config::Config;

/// One page of models.
pub(crate) struct QuotaPage<'a> {
    pub(crate) models: &'a [&'a str],
    /// Of all pages.
    pub(crate) total: usize,
    /// From 1.
    pub(crate) number: usize,
    pub(crate) size: usize,
}

pub(crate) fn quota_list(config: &Config, page: &QuotaPage<'_>, id: &str) -> Value {
    let quotas: Vec<Value> = page
        .models
        .iter()
        .map(|model| {
            json!({
                "model": model,
                "workspace_id": "ws-mock",
                "model_limit": limits(config),
                "workspace_limit": null,
            })
        })
        .collect();
    json!({
        "output": {
            "total": page.total,
            "page_no": page.number,
            "page_size": page.size,
            "quotas": quotas,
        },
        "request_id": id,
    })
}

/// What a key is told that may call models and nothing else.
pub(crate) fn quota_list_forbidden(id: &str) -> String {
    json!({
        "code": "AccessDenied",
        "message": "The API key has no permission for this operation.",
        "request_id": id,
    })
    .to_string()
}

fn limits(config: &Config) -> Value {
    let (requests, period) = in_seconds(config.rpm, config.window);
    let (tokens, _) = in_seconds(config.tpm, config.window);
    json!({
        "request_limit": requests,
        "request_limit_period": period,
        "usage_limit": tokens,
        "usage_limit_field": "total_tokens",
        "usage_limit_period": period,
        "async_user_queue_limit": null,
        "async_user_concurrency_limit": null,
    })
}

/// A limit and its period. That is told in whole seconds only: another window is rounded up, and
/// the limit is what the same rate makes of it, rounded down.
fn in_seconds(limit: u64, window: Duration) -> (u64, u64) {
    let window = window.as_nanos();
    let period = window.div_ceil(1_000_000_000);
    let limit = u128::from(limit) * period * 1_000_000_000 / window;
    (
        u64::try_from(limit).unwrap_or(u64::MAX),
        u64::try_from(period).unwrap_or(u64::MAX),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_whole_seconds_of_the_same_rate() {
        let cases = [
            (800, 60_000, (800, 60)),
            (30, 1_000, (30, 1)),
            (300_000, 6_000, (300_000, 6)),
            (15, 1_500, (20, 2)),
            (7, 1_500, (9, 2)),
            (2, 1, (2_000, 1)),
            (0, 60_000, (0, 60)),
            (u64::MAX, 1, (u64::MAX, 1)),
        ];
        for (limit, millis, expected) in cases {
            let window = Duration::from_millis(millis);
            assert_eq!(in_seconds(limit, window), expected, "{limit} {millis}");
        }
    }
}
