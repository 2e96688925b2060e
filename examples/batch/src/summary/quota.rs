//! The quotas of a run, and how much of them was used.

use serde::Serialize;
use tower_qwen_ratelimit::{AccountSnapshot, Quota};

use crate::{
    model_quotas::FoundQuotas,
    quota_source::{FoundQuota, QuotaOrigin},
};

/// The quota and its use.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct QuotaUse {
    /// Requests per window.
    pub requests: u64,
    /// Tokens per window.
    pub tokens: u64,
    /// Unit: seconds.
    pub window_seconds: f64,
    /// Share of the requests that was used, 1 being all that the quota allows in the time the run took.
    pub requests_share: f64,
    /// Likewise of the tokens.
    pub tokens_share: f64,
}

/// The quota of a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QuotaOfModel {
    /// The model.
    pub model: String,
    /// The account, where there are several.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub account: String,
    /// Where the quota is from.
    pub origin: QuotaOrigin,
    /// Requests per window.
    pub requests: u64,
    /// Tokens per window.
    pub tokens: u64,
    /// Unit: seconds.
    pub window_seconds: f64,
}

/// What was learned of a quota.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Learned {
    /// The model.
    pub model: String,
    /// The account, where there are several.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub account: String,
    /// Requests per window.
    pub requests: u64,
    /// Tokens per window.
    pub tokens: u64,
}

impl QuotaOfModel {
    pub(super) fn new(((model, account), found): (&(String, String), &FoundQuota)) -> Self {
        Self {
            model: model.clone(),
            account: account.clone(),
            origin: found.origin,
            requests: found.quota.requests(),
            tokens: found.quota.tokens(),
            window_seconds: found.quota.window_length().as_secs_f64(),
        }
    }
}

pub(super) fn learned(account: &AccountSnapshot, quota: Quota) -> Option<Learned> {
    let (requests, tokens) = (account.requests.believed, account.tokens.believed);
    let is_known = (requests, tokens) == (quota.requests(), quota.tokens());
    (!is_known).then(|| Learned {
        model: account.key.model().to_owned(),
        account: account.key.account().to_owned(),
        requests,
        tokens,
    })
}

/// What all models may use together, over the longest of their windows; `None` where there is none.
pub(super) fn all(quotas: &FoundQuotas) -> Option<Quota> {
    let window = quotas
        .values()
        .map(|found| found.quota.window_length())
        .max()?;
    let sum = |amount: fn(&Quota) -> u64| {
        quotas.values().fold(0_u64, |sum, found| {
            let times = window.as_secs_f64() / found.quota.window_length().as_secs_f64();
            // No limit of one model is none of all; the cast stays at the highest number.
            sum.saturating_add((amount(&found.quota) as f64 * times).round() as u64)
        })
    };
    Some(Quota::per_minute(sum(Quota::requests), sum(Quota::tokens)).window(window))
}

pub(super) fn share(used: u64, allowed: u64, windows: f64) -> f64 {
    let allowed = allowed as f64 * windows;
    if allowed > 0.0 {
        used as f64 / allowed
    } else {
        0.0
    }
}
