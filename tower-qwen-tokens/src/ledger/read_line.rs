use std::{borrow::Cow, collections::BTreeMap, sync::Arc, time::Duration};

use http::StatusCode;
use serde::Deserialize;

use crate::{
    CacheType, Cause, Dialect, Money, Usage,
    usage::{Basis, End},
};

use super::{
    Entry, Labels, Record,
    day::Timestamp,
    record::{FORMAT, basis_name, end_name},
};

/// Why a text is no line of a ledger.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidLine {
    /// It is no JSON object with a `model`, or a member is of another type than a ledger writes.
    #[error("no line of a ledger")]
    Json(#[from] serde_json::Error),
    /// A later release has written it in a format of this number, which is not known here.
    #[error("the format {0} is not known")]
    Format(u32),
    /// The value of this member cannot be read.
    #[error("`{0}` cannot be read")]
    Value(&'static str),
}

/// The members of a line, as [`Record`] writes them. Others are ignored.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    at: Option<Cow<'a, str>>,
    #[serde(borrow)]
    model: Cow<'a, str>,
    v: Option<u32>,
    tenant: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    dialect: Option<Cow<'a, str>>,
    status: Option<u16>,
    end: Option<Cow<'a, str>>,
    basis: Option<Cow<'a, str>>,
    error: Option<Cow<'a, str>>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    total_tokens: Option<u64>,
    cached_tokens: Option<u64>,
    cache_type: Option<Cow<'a, str>>,
    cache_write_tokens: Option<u64>,
    reasoning_tokens: Option<u64>,
    #[serde(default)]
    batch: bool,
    service_tier: Option<String>,
    cost: Option<Cost<'a>>,
    attempt: Option<u32>,
    target: Option<String>,
    queued_ms: Option<u64>,
    retry_wait_ms: Option<u64>,
    first_token_ms: Option<u64>,
    duration_ms: Option<u64>,
}

#[derive(Deserialize)]
struct Cost<'a> {
    #[serde(borrow)]
    amount: Cow<'a, str>,
    #[serde(borrow)]
    currency: Cow<'a, str>,
}

/// Reads one line of a ledger's file, without its line break: what any release has written, and a later one may.
///
/// A record that is read can be handed to a [`LedgerSink`](super::LedgerSink), such as to sum up a file. Members that are not
/// known here are ignored, and all but `model` may be missing: without `end` the attempt counts as complete, without `basis` as
/// of unknown usage. A `dialect`, an `end`, a `basis`, an `error` or a cache that has no name here counts as missing. Times
/// are whole milliseconds. What a line does not hold (`impossible`, `unknown_code`, the tokens of images, audio and video) is
/// `None`.
///
/// ```
/// use std::{fs::File, io::{BufRead, BufReader}};
///
/// use tower_qwen_tokens::ledger::{JsonLines, read_line};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("ledger.jsonl");
/// # std::fs::write(&path, "{\"model\":\"qwen-plus\",\"end\":\"complete\",\"basis\":\"reported\",\"input_tokens\":7}\n")?;
/// // Cuts off a last line that is torn.
/// drop(JsonLines::open(&path)?);
/// let mut tokens = 0;
/// for line in BufReader::new(File::open(&path)?).lines() {
///     let record = read_line(&line?)?;
///     tokens += record.entry.usage.total().unwrap_or(0);
/// }
/// assert_eq!(tokens, 7);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`InvalidLine`] where the text is no JSON object with a `model`, or a member has a value that no ledger writes: half a
/// line, a cost in words, a status of 7; and where its format (`v`) is one of a later release.
pub fn read_line(line: &str) -> Result<Record<'static>, InvalidLine> {
    let line: Line<'_> = serde_json::from_str(line)?;
    if let Some(format) = line.v.filter(|&format| format > FORMAT) {
        return Err(InvalidLine::Format(format));
    }
    let at = match line.at.as_deref() {
        Some(at) => Some(Timestamp::parse(at).ok_or(InvalidLine::Value("at"))?.0),
        None => None,
    };
    let status = match line.status {
        Some(status) => {
            Some(StatusCode::from_u16(status).map_err(|_| InvalidLine::Value("status"))?)
        }
        None => None,
    };
    let cost = match line.cost {
        Some(Cost { amount, currency }) => {
            let cost = format!("{amount} {currency}").parse::<Money>();
            Some(cost.map_err(|_| InvalidLine::Value("cost"))?)
        }
        None => None,
    };
    let mut labels = Labels::new();
    for (key, value) in line.labels.unwrap_or_default() {
        labels.insert(key, value);
    }
    let usage = Usage {
        input_tokens: line.input_tokens,
        output_tokens: line.output_tokens,
        total_tokens: line.total_tokens,
        cached_tokens: line.cached_tokens,
        cache_type: named(&CacheType::ALL, CacheType::as_str, line.cache_type),
        cache_write_tokens: line.cache_write_tokens,
        reasoning_tokens: line.reasoning_tokens,
        ..Usage::default()
    };
    let end = named(&End::ALL, end_name, line.end).unwrap_or(End::Complete);
    let basis = named(&Basis::ALL, basis_name, line.basis).unwrap_or(Basis::Unknown);
    let mut entry = Entry {
        tenant: line.tenant.map(Into::into),
        labels,
        dialect: named(Dialect::ALL, Dialect::as_str, line.dialect),
        batch: line.batch,
        service_tier: line.service_tier.map(Arc::from),
        status,
        attempt: line.attempt,
        target: line.target.map(Arc::from),
        queued: line.queued_ms.map(Duration::from_millis),
        retry_wait: line.retry_wait_ms.map(Duration::from_millis),
        first_token: line.first_token_ms.map(Duration::from_millis),
        duration: line.duration_ms.map(Duration::from_millis),
        ..Entry::new(line.model, usage, basis, end)
    };
    // `transport` is a cause, and what an attempt without an answer is called that has none.
    if line.error.as_deref() != entry.error_type() {
        entry.cause = named(Cause::ALL, Cause::as_str, line.error);
    }
    Ok(Record {
        entry: Cow::Owned(entry),
        cost,
        at,
    })
}

/// The one of this name.
fn named<T: Copy>(
    all: &[T],
    name: impl Fn(T) -> &'static str,
    wanted: Option<Cow<'_, str>>,
) -> Option<T> {
    let wanted = wanted?;
    all.iter().copied().find(|&one| name(one) == wanted)
}
