use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::{
    price::Money,
    usage::{Basis, End},
};

use super::{Entry, Labels, day::Timestamp};

/// The format of a line, which its member `v` names.
// 1 is that of lines without `v`. It grows where a reader of the one before would take a line for what it is not: with
// another meaning of a member, never with a new member, which readers ignore.
pub(super) const FORMAT: u32 = 2;

/// One attempt with what it cost, as the sinks get it.
///
/// Written (by serde) as one flat object without content or keys; what is not known is left out.
/// [`read_line`](super::read_line) reads it again.
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

/// What a member of a line holds.
pub(super) enum Value<'a> {
    At(Timestamp),
    Text(&'a str),
    Number(u64),
    True,
    Labels(&'a Labels),
    Cost(Money),
}

impl Record<'_> {
    /// Hands over each member that is known, in the order of a line.
    pub(super) fn members<E>(
        &self,
        mut put: impl FnMut(&'static str, Value<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        use Value::{Cost, Number, Text};
        let entry = &*self.entry;
        let usage = &entry.usage;
        let labels = Some(&entry.labels).filter(|labels| !labels.is_empty());
        let status = entry.status.map(|status| u64::from(status.as_u16()));
        let mut put = |name, value: Option<Value<'_>>| match value {
            Some(value) => put(name, value),
            None => Ok(()),
        };
        // `at` or `model` comes first: `repair` recognises its own lines by that.
        put("at", self.at.map(|at| Value::At(Timestamp(at))))?;
        put("model", Some(Text(&entry.model)))?;
        put("v", Some(Number(u64::from(FORMAT))))?;
        put("tenant", entry.tenant.as_ref().map(|it| Text(it.as_str())))?;
        put("labels", labels.map(Value::Labels))?;
        put("dialect", entry.dialect.map(|it| Text(it.as_str())))?;
        put("status", status.map(Number))?;
        put("end", Some(Text(end_name(entry.end))))?;
        put("basis", Some(Text(basis_name(entry.basis))))?;
        put("error", entry.error_type().map(Text))?;
        put("input_tokens", usage.input_tokens.map(Number))?;
        put("output_tokens", usage.output_tokens.map(Number))?;
        put("total_tokens", usage.total_tokens.map(Number))?;
        put("cached_tokens", usage.cached_tokens.map(Number))?;
        put("cache_type", usage.cache_type.map(|it| Text(it.as_str())))?;
        put("cache_write_tokens", usage.cache_write_tokens.map(Number))?;
        put("reasoning_tokens", usage.reasoning_tokens.map(Number))?;
        put("batch", entry.batch.then_some(Value::True))?;
        put("service_tier", entry.service_tier.as_deref().map(Text))?;
        put("cost", self.cost.map(Cost))?;
        put("attempt", entry.attempt.map(|it| Number(u64::from(it))))?;
        put("target", entry.target.as_deref().map(Text))?;
        let times = [
            ("queued_ms", entry.queued),
            ("retry_wait_ms", entry.retry_wait),
            ("first_token_ms", entry.first_token),
            ("duration_ms", entry.duration),
        ];
        for (name, time) in times {
            put(name, time.map(|time| Number(millis(time))))?;
        }
        Ok(())
    }
}

impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut line = serializer.serialize_map(None)?;
        self.members(|name, value| line.serialize_entry(name, &value))?;
        line.end()
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::At(at) => serializer.collect_str(at),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::True => serializer.serialize_bool(true),
            Self::Labels(labels) => labels.serialize(serializer),
            Self::Cost(cost) => cost.serialize(serializer),
        }
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
        Basis::NotSent => "not_sent",
    }
}
