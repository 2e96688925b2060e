use std::{borrow::Cow, time::SystemTime};

use serde::{Serialize, Serializer};

use crate::{
    price::Money,
    usage::{Basis, End},
};

use super::{Entry, Labels, Tenant, day::Timestamp};

/// One attempt with what it cost, as the sinks get it.
///
/// Written (by serde) as one flat object without content or keys; what is not known is left out.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Record<'a> {
    /// The attempt.
    pub entry: Cow<'a, Entry>,
    /// What it cost; `None` where the model has no price or the usage is unknown.
    pub cost: Option<Money>,
    /// When it was recorded; `None` without the feature `http`, which brings the clock.
    pub at: Option<SystemTime>,
}

#[derive(Serialize)]
struct RecordLine<'a> {
    // `at` or `model` comes first: `repair` recognises its own lines by that.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a Tenant>,
    #[serde(skip_serializing_if = "Labels::is_empty")]
    labels: &'a Labels,
    #[serde(skip_serializing_if = "Option::is_none")]
    dialect: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    end: &'static str,
    basis: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cached_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_write_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_token_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
}

impl<'a> Record<'a> {
    /// A record of an attempt.
    #[must_use]
    pub fn new(entry: &'a Entry, cost: Option<Money>, at: Option<SystemTime>) -> Self {
        Self {
            entry: Cow::Borrowed(entry),
            cost,
            at,
        }
    }

    /// The same record, to be kept.
    #[must_use]
    pub fn into_owned(self) -> Record<'static> {
        Record {
            entry: Cow::Owned(self.entry.into_owned()),
            cost: self.cost,
            at: self.at,
        }
    }
}

impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let millis =
            |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let entry = &*self.entry;
        let usage = &entry.usage;
        RecordLine {
            at: self.at.map(|at| Timestamp(at).to_string()),
            model: &entry.model,
            tenant: entry.tenant.as_ref(),
            labels: &entry.labels,
            dialect: entry.dialect.map(crate::Dialect::as_str),
            status: entry.status.map(|status| status.as_u16()),
            end: end_name(entry.end),
            basis: basis_name(entry.basis),
            error: entry.error_type(),
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            total_tokens: usage.total_tokens,
            cached_tokens: usage.cached_tokens,
            cache_write_tokens: usage.cache_write_tokens,
            reasoning_tokens: usage.reasoning_tokens,
            cost: self.cost,
            first_token_ms: entry.first_token.map(millis),
            duration_ms: entry.duration.map(millis),
        }
        .serialize(serializer)
    }
}

pub(super) fn end_name(end: End) -> &'static str {
    match end {
        End::Complete => "complete",
        End::Failed => "failed",
        End::Cancelled => "cancelled",
    }
}

pub(super) fn basis_name(basis: Basis) -> &'static str {
    match basis {
        Basis::Reported => "reported",
        Basis::Estimated => "estimated",
        Basis::Unknown => "unknown",
    }
}
