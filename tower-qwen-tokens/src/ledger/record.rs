use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::{
    CacheType, Dialect,
    price::Money,
    usage::{Basis, End},
};

use super::{Entry, day::Timestamp};

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
        let entry = &*self.entry;
        let usage = &entry.usage;
        let labels = Some(&entry.labels).filter(|labels| !labels.is_empty());
        let mut line = serializer.serialize_map(None)?;
        // `at` or `model` comes first: `repair` recognises its own lines by that.
        put(&mut line, "at", self.at.map(|at| Timestamp(at).to_string()))?;
        put(&mut line, "model", Some(&*entry.model))?;
        put(&mut line, "tenant", entry.tenant.as_ref())?;
        put(&mut line, "labels", labels)?;
        put(&mut line, "dialect", entry.dialect.map(Dialect::as_str))?;
        put(
            &mut line,
            "status",
            entry.status.map(|status| status.as_u16()),
        )?;
        put(&mut line, "end", Some(end_name(entry.end)))?;
        put(&mut line, "basis", Some(basis_name(entry.basis)))?;
        put(&mut line, "error", entry.error_type())?;
        put(&mut line, "input_tokens", usage.input_tokens)?;
        put(&mut line, "output_tokens", usage.output_tokens)?;
        put(&mut line, "total_tokens", usage.total_tokens)?;
        put(&mut line, "cached_tokens", usage.cached_tokens)?;
        let cache = usage.cache_type.map(CacheType::as_str);
        put(&mut line, "cache_type", cache)?;
        put(&mut line, "cache_write_tokens", usage.cache_write_tokens)?;
        put(&mut line, "reasoning_tokens", usage.reasoning_tokens)?;
        put(&mut line, "batch", entry.batch.then_some(true))?;
        put(&mut line, "service_tier", entry.service_tier.as_deref())?;
        put(&mut line, "cost", self.cost)?;
        put(&mut line, "first_token_ms", entry.first_token.map(millis))?;
        put(&mut line, "duration_ms", entry.duration.map(millis))?;
        line.end()
    }
}

/// Writes a member of the object, if it is known.
fn put<M: SerializeMap>(
    line: &mut M,
    name: &'static str,
    value: Option<impl Serialize>,
) -> Result<(), M::Error> {
    match value {
        Some(value) => line.serialize_entry(name, &value),
        None => Ok(()),
    }
}

/// Whole milliseconds.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
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
