//! The jobs of the Batch API.

use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::response::IntoResponse;
use futures_util::stream;
use http::{HeaderMap, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::stream::broken;
use super::{Caller, key, refuse, response};
use crate::account::Refused;
use crate::batch::{Job, NewJob, dialect, job_object, list as list_object, second, work};
use crate::server::MockQwen;
use crate::wire::{Dialect, Kind, Problem};

/// The most of a page, and what it has where nothing is said (docs.qwencloud.com/developer-guides/text-generation/batch).
const MOST: usize = 100;
const USUAL: usize = 20;

/// From 24 to 336 hours, as the same page says.
const WINDOW: std::ops::RangeInclusive<u32> = 24..=336;

/// Which jobs are listed. Dates are not read.
#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    after: Option<String>,
    limit: Option<usize>,
    ds_name: Option<String>,
    input_file_ids: Option<String>,
    status: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Creation {
    input_file_id: String,
    endpoint: String,
    completion_window: String,
    #[serde(default)]
    metadata: Value,
}

pub(super) async fn create(
    State(mock): State<MockQwen>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    if let Some(refused) = refused_key(&mock, &headers) {
        return refused;
    }
    let new = match read(&mock, &body) {
        Ok(new) => new,
        Err(why) => return bad(&mock, &headers, why),
    };
    if let Some(kind) = throttle(&mock) {
        return refusal(&mock, &headers, kind.into());
    }
    let id = format!("batch_{}", mock.inner().account().id());
    let second = second(&mock);
    let (object, is_broken) = {
        let mut store = mock.inner().batches();
        let object = job_object(store.create(id.clone(), new, second));
        (object, store.draw(|faults| &mut faults.broken_creations))
    };
    let begin = mock.inner().clock.now();
    tokio::spawn(work(mock.clone(), id, begin));
    match is_broken {
        true => broken_answer(),
        false => Json(object).into_response(),
    }
}

fn read(mock: &MockQwen, body: &[u8]) -> Result<NewJob, String> {
    let creation: Creation = serde_json::from_slice(body)
        .map_err(|error| format!("Request body is not valid: {error}"))?;
    let hours = window(&creation.completion_window)
        .ok_or("'completion_window' should be between 24h and 336h")?;
    if dialect(&creation.endpoint).is_none() {
        return Err(format!(
            "'{}' is not a supported endpoint",
            creation.endpoint
        ));
    }
    for (name, most) in [("ds_name", 100), ("ds_description", 200)] {
        let text = creation.metadata[name].as_str().unwrap_or_default();
        if text.chars().count() > most {
            return Err(format!(
                "'metadata.{name}' is longer than {most} characters"
            ));
        }
    }
    let inner = mock.inner();
    let store = inner.batches();
    let file = store.file(&creation.input_file_id);
    if file.is_none_or(|file| file.purpose != "batch") {
        return Err(format!("No such file object: {}", creation.input_file_id));
    }
    Ok(NewJob {
        input_file_id: creation.input_file_id,
        endpoint: creation.endpoint,
        completion_window: creation.completion_window,
        expires_after: inner.config.batches.hour.saturating_mul(hours),
        metadata: creation.metadata,
    })
}

/// The hours of `24h` or `1d`, where a job may have so many.
fn window(text: &str) -> Option<u32> {
    let (number, hours) = match text.strip_suffix('d') {
        Some(days) => (days, 24),
        None => (text.strip_suffix('h')?, 1),
    };
    let number: u32 = number.parse().ok()?;
    number
        .checked_mul(hours)
        .filter(|hours| WINDOW.contains(hours))
}

/// Why no job can be created now.
fn throttle(mock: &MockQwen) -> Option<Kind> {
    let most = mock.inner().config.batches.jobs;
    let mut store = mock.inner().batches();
    let kind = match store.draw(|faults| &mut faults.throttled_creations) {
        true => Some(Kind::Requests),
        false => (store.unfinished() >= most).then_some(Kind::Concurrency),
    };
    store.stats_mut().creations_throttled += u64::from(kind.is_some());
    kind
}

pub(super) async fn show(
    State(mock): State<MockQwen>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Response<Body> {
    if let Some(refused) = refused_key(&mock, &headers) {
        return refused;
    }
    match mock.inner().batches().job(&id) {
        Some(job) => Json(job_object(job)).into_response(),
        None => missing("Batch", &id),
    }
}

pub(super) async fn cancel(
    State(mock): State<MockQwen>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Response<Body> {
    if let Some(refused) = refused_key(&mock, &headers) {
        return refused;
    }
    let second = second(&mock);
    match mock.inner().batches().cancel(&id, second) {
        Some(job) => Json(job_object(job)).into_response(),
        None => missing("Batch", &id),
    }
}

pub(super) async fn list(
    State(mock): State<MockQwen>,
    headers: HeaderMap,
    Query(filter): Query<Filter>,
) -> Response<Body> {
    if let Some(refused) = refused_key(&mock, &headers) {
        return refused;
    }
    let store = mock.inner().batches();
    let found: Vec<&Job> = store
        .jobs()
        .iter()
        .rev()
        .filter(|job| filter.takes(job))
        .collect();
    let limit = filter.limit.unwrap_or(USUAL).clamp(1, MOST);
    let (found, has_more) = page(&found, |job| &job.id, filter.after.as_deref(), limit);
    Json(list_object(
        found.iter().map(|job| job_object(job)).collect(),
        has_more,
    ))
    .into_response()
}

impl Filter {
    fn takes(&self, job: &Job) -> bool {
        let has = |list: &Option<String>, wanted: &str| {
            let list = list.as_deref();
            list.is_none_or(|list| list.split(',').any(|one| one.trim() == wanted))
        };
        let name = job.metadata["ds_name"].as_str().unwrap_or_default();
        self.ds_name
            .as_deref()
            .is_none_or(|part| name.contains(part))
            && has(&self.input_file_ids, &job.input_file_id)
            && has(&self.status, job.status.name())
    }
}

/// So many items after one of them, and whether there are more.
pub(super) fn page<'a, T>(
    items: &'a [&'a T],
    id: impl Fn(&T) -> &str,
    after: Option<&str>,
    limit: usize,
) -> (&'a [&'a T], bool) {
    let begin = match after {
        Some(after) => items
            .iter()
            .position(|item| id(item) == after)
            .map_or(items.len(), |at| at + 1),
        None => 0,
    };
    let end = items.len().min(begin + limit);
    (&items[begin..end], end < items.len())
}

/// The answer to a call without a key, where one is needed.
pub(super) fn refused_key(mock: &MockQwen, headers: &HeaderMap) -> Option<Response<Body>> {
    let kind = key::check(&mock.inner().config, Dialect::Compatible, headers).err()?;
    Some(refusal(mock, headers, kind.into()))
}

pub(super) fn bad(mock: &MockQwen, headers: &HeaderMap, why: impl Into<String>) -> Response<Body> {
    refusal(mock, headers, Problem::invalid(why).into())
}

fn refusal(mock: &MockQwen, headers: &HeaderMap, mut refused: Refused) -> Response<Body> {
    let id = mock.inner().account().id();
    // The next creation is let in.
    refused.wait = refused.wait.or(Some(Duration::from_secs(1)));
    refuse(
        mock,
        &Caller::new(Dialect::Compatible, headers, id),
        &refused,
    )
}

/// OpenAI's words. Those of Model Studio are not known.
pub(super) fn missing(what: &str, id: &str) -> Response<Body> {
    let error = json!({
        "message": format!("No such {what} object: {id}"),
        "type": "invalid_request_error",
        "param": "id",
        "code": null,
    });
    let body = json!({ "error": error }).to_string();
    response(StatusCode::NOT_FOUND, "application/json", Body::from(body))
}

/// An answer that breaks off before its body.
pub(super) fn broken_answer() -> Response<Body> {
    let body = stream::once(async { Err::<Bytes, _>(broken().await) });
    response(StatusCode::OK, "application/json", Body::from_stream(body))
}
