use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::{
    Book, Origin,
    retirement::Retirement,
    section::{BoxError, Retired, Section},
    without_latest,
};

/// What the provider lets an account use of a model in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ModelQuota {
    /// Requests in a period; `u64::MAX` where they are not bounded by themselves.
    pub requests: u64,
    /// Tokens in a period, those of prompts and answers together.
    pub tokens: u64,
    /// The period.
    pub period: Duration,
    /// Whether the provider moves the quota month by month with what the account spends, and lets more through while it has
    /// room: the figures are then the least that any account has. [`QuotaBook::from_account`] reads those of an account.
    pub is_dynamic: bool,
}

/// The quotas of models. A dated snapshot that is not listed has none: snapshots have far smaller ones than the stable
/// model.
///
/// ```
/// use tower_qwen_tokens::data::{ModelQuota, QuotaBook};
///
/// let quotas = QuotaBook::builtin().with("my-model", ModelQuota::per_minute(600, 1_000_000));
/// assert_eq!(quotas.quota("my-model-latest").map(|quota| quota.requests), Some(600));
/// assert_eq!(quotas.quota("my-model-2026-11-23"), None);
/// ```
pub type QuotaBook = Book<ModelQuota>;

/// A row of a quota, as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct QuotaRow {
    /// Missing where requests are not bounded by themselves.
    #[serde(default = "unbounded")]
    requests: u64,
    tokens: u64,
    #[serde(default)]
    dynamic: bool,
    #[serde(default = "a_minute")]
    period_seconds: u64,
}

fn a_minute() -> u64 {
    60
}

fn unbounded() -> u64 {
    u64::MAX
}

impl ModelQuota {
    /// A quota of so many requests and tokens a minute.
    #[must_use]
    pub const fn per_minute(requests: u64, tokens: u64) -> Self {
        Self {
            requests,
            tokens,
            period: Duration::from_secs(60),
            is_dynamic: false,
        }
    }

    /// Whether nothing is allowed at all, as for a model that the provider has retired.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.requests == 0 || self.tokens == 0
    }
}

impl Book<ModelQuota> {
    /// The quota of a model; `None` where it is unknown.
    #[must_use]
    pub fn quota(&self, model: &str) -> Option<&ModelQuota> {
        self.get(model)
    }
}

impl Section for ModelQuota {
    const NAME: &'static str = "quota";
    const BUILTIN: &'static str = include_str!("../../data/quotas.json");
    const RETIRED: Option<Retired<Self>> = Some(Retired {
        section: Retirement::NAME,
        rows: Retirement::BUILTIN,
        value: || Self::per_minute(0, 0),
    });

    fn stable_id(model: &str) -> Option<&str> {
        // Not the dated ones: the provider grants a snapshot far less than the stable model.
        without_latest(model)
    }

    fn read(row: Value, _: &Origin) -> Result<Self, BoxError> {
        let row: QuotaRow = serde_json::from_value(row)?;
        if row.period_seconds == 0 {
            return Err("a period has at least one second".into());
        }
        Ok(Self {
            requests: row.requests,
            tokens: row.tokens,
            period: Duration::from_secs(row.period_seconds),
            is_dynamic: row.dynamic,
        })
    }
}
