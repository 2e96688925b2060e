//! Works through a job.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use axum::body::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::input::{Input, Line, LineError, dialect, read};
use super::job::{Counts, Queued};
use super::{Status, StoredFile};
use crate::config::{Config, Faults};
use crate::handler;
use crate::server::MockQwen;
use crate::wire::Dialect;

/// More than any job asks for.
const NO_LIMIT: u64 = 1 << 40;

/// The results of a job so far.
#[derive(Debug, Default)]
struct Results {
    output: Vec<u8>,
    errors: Vec<u8>,
}

/// Takes a job to its end that was created at an instant of the server's clock.
pub(crate) async fn work(mock: MockQwen, id: String, begin: Duration) {
    let inner = mock.inner();
    let Some((expires, cancelled)) = inner
        .batches()
        .job(&id)
        .map(|job| (begin + job.expires_after, Arc::clone(&job.cancelled)))
    else {
        return;
    };
    inner
        .clock
        .sleep_until(begin + inner.config.batches.validation)
        .await;
    if status(&mock, &id) == Some(Status::Cancelling) {
        return go_to(&mock, &id, Status::Cancelled);
    }
    let input = match validate(&mock, &id) {
        Ok(input) => input,
        Err(errors) => {
            if let Some(job) = inner.batches().job_mut(&id) {
                job.errors = errors;
            }
            return go_to(&mock, &id, Status::Failed);
        }
    };
    go_to(&mock, &id, Status::InProgress);
    let lane = lane(&inner.config);
    let mut results = Results::default();
    let end = answer_all(&mock, &id, &lane, &input, expires, &cancelled, &mut results).await;
    // What was answered before a job was cancelled or expired is paid too.
    let used = lane.stats().tokens;
    inner
        .batches()
        .stats_mut()
        .tokens
        .add(used.prompt, used.output);
    if end == Status::Completed {
        go_to(&mock, &id, Status::Finalizing);
        let finalized = inner.clock.now() + inner.config.batches.validation;
        inner.clock.sleep_until(finalized).await;
    }
    store_results(&mock, &id, results);
    go_to(&mock, &id, end);
}

fn validate(mock: &MockQwen, id: &str) -> Result<Input, Vec<LineError>> {
    let inner = mock.inner();
    let limits = &inner.config.batches;
    let (content, endpoint) = {
        let mut store = inner.batches();
        if store.draw(|faults| &mut faults.failed_jobs) {
            let error = LineError::of_file("internal_error", "The file could not be validated.");
            return Err(vec![error]);
        }
        let job = store.job(id);
        let found = job.and_then(|job| Some((store.file(&job.input_file_id)?, job)));
        let Some((file, job)) = found else {
            let error = LineError::of_file("file_not_found", "The input file does not exist.");
            return Err(vec![error]);
        };
        (file.content.clone(), job.endpoint.clone())
    };
    let input = read(&content, &endpoint, limits)?;
    if !inner.config.models.has(&input.model) {
        let message = format!("The model `{}` does not exist.", input.model);
        return Err(vec![LineError::of_file("model_not_found", message)]);
    }
    let queued = Queued {
        model: input.model.clone(),
        tokens: input.tokens,
    };
    let mut store = inner.batches();
    let limit = limits.enqueued_tokens;
    let enqueued = store.enqueue(id, queued, limit);
    enqueued.map_err(|error| vec![error])?;
    if let Some(job) = store.job_mut(id) {
        job.counts.total = input.lines.len() as u64;
    }
    Ok(input)
}

/// Answers line by line, evenly over the time that the work takes, and returns how that ended.
async fn answer_all(
    mock: &MockQwen,
    id: &str,
    lane: &MockQwen,
    input: &Input,
    expires: Duration,
    cancelled: &Notify,
    results: &mut Results,
) -> Status {
    let inner = mock.inner();
    let begin = inner.clock.now();
    let count = u32::try_from(input.lines.len()).unwrap_or(u32::MAX).max(1);
    let dialect = endpoint(mock, id)
        .and_then(|endpoint| dialect(&endpoint))
        .unwrap_or(Dialect::Compatible);
    for (index, line) in input.lines.iter().enumerate() {
        let share = u32::try_from(index + 1).unwrap_or(u32::MAX);
        let due = begin
            + inner
                .config
                .batches
                .work
                .mul_f64(f64::from(share) / f64::from(count));
        tokio::select! {
            () = inner.clock.sleep_until(due.min(expires)) => {}
            () = cancelled.notified() => {}
        }
        let stopped = match status(mock, id) {
            Some(Status::Cancelling) => Some((
                Status::Cancelled,
                "batch_cancelled",
                "The job was cancelled.",
            )),
            _ if inner.clock.now() >= expires => Some((
                Status::Expired,
                "batch_expired",
                "This request could not be executed before the completion window expired.",
            )),
            _ => None,
        };
        if let Some((status, code, message)) = stopped {
            // Both are counted as failed, and stand in the file of errors: recorded of a cancelled job.
            for line in &input.lines[index..] {
                let error = json!({ "code": code, "message": message });
                results.note(&line.custom_id, &inner.account().id(), None, error);
                count_line(mock, id, false);
            }
            return status;
        }
        let is_answered = answer(lane, dialect, line, results).await;
        count_line(mock, id, is_answered);
    }
    Status::Completed
}

/// Answers a line as its call would be, and returns whether that is a success.
async fn answer(lane: &MockQwen, dialect: Dialect, line: &Line, results: &mut Results) -> bool {
    let request = Bytes::from(line.body.to_string());
    let response = handler::answer(lane.clone(), dialect, HeaderMap::new(), request).await;
    let (parts, body) = response.into_parts();
    let body = match body.collect().await {
        Ok(body) => serde_json::from_slice(&body.to_bytes()).unwrap_or_default(),
        Err(_) => Value::Null,
    };
    let request_id = parts.headers.get("x-request-id");
    let request_id = request_id
        .and_then(|id| id.to_str().ok())
        .unwrap_or_default();
    let is_answered = parts.status.is_success() && body.is_object();
    let error = match is_answered {
        true => Value::Null,
        false => {
            let error = &body["error"];
            json!({ "code": error["code"], "message": error["message"] })
        }
    };
    let response = json!({
        "status_code": parts.status.as_u16(),
        "request_id": request_id,
        "body": body,
    });
    results.note(&line.custom_id, request_id, Some(response), error);
    is_answered
}

impl Results {
    fn note(&mut self, custom_id: &str, id: &str, response: Option<Value>, error: Value) {
        let file = match error {
            Value::Null => &mut self.output,
            _ => &mut self.errors,
        };
        let line =
            json!({ "id": id, "custom_id": custom_id, "response": response, "error": error });
        file.extend_from_slice(line.to_string().as_bytes());
        file.push(b'\n');
    }
}

/// A server that answers calls as this one does, at once and without a limit: what a job needs is no call of the account.
fn lane(config: &Config) -> MockQwen {
    MockQwen::new(Config {
        rpm: NO_LIMIT,
        tpm: NO_LIMIT,
        ttft: Duration::ZERO,
        tpot: Duration::ZERO,
        per_second: false,
        growth: None,
        concurrency: None,
        plan: None,
        require_key: false,
        faults: Faults {
            unavailable: config.batches.faults.failed_lines,
            ..Faults::default()
        },
        ..config.clone()
    })
}

fn store_results(mock: &MockQwen, id: &str, results: Results) {
    let inner = mock.inner();
    for (content, is_error) in [(results.output, false), (results.errors, true)] {
        if content.is_empty() {
            continue;
        }
        let file = StoredFile {
            // Files of errors begin so too, in recordings; the documents also have `file-batch_error-`.
            id: format!("file-batch_output-{}", short_id(mock)),
            name: format!("{id}_{}.jsonl", if is_error { "error" } else { "success" }),
            purpose: "batch_output".to_owned(),
            created_at: second(mock),
            content: content.into(),
        };
        let mut store = inner.batches();
        if let Some(job) = store.job_mut(id) {
            let place = match is_error {
                true => &mut job.error_file_id,
                false => &mut job.output_file_id,
            };
            *place = Some(file.id.clone());
        }
        store.add_file(file);
    }
}

fn status(mock: &MockQwen, id: &str) -> Option<Status> {
    mock.inner().batches().job(id).map(|job| job.status)
}

fn endpoint(mock: &MockQwen, id: &str) -> Option<String> {
    let store = mock.inner().batches();
    store.job(id).map(|job| job.endpoint.clone())
}

fn go_to(mock: &MockQwen, id: &str, status: Status) {
    let second = second(mock);
    let mut store = mock.inner().batches();
    if let Some(job) = store.job_mut(id) {
        job.go_to(status, second);
    }
    let stats = store.stats_mut();
    match status {
        Status::Completed => stats.jobs_completed += 1,
        Status::Failed => stats.jobs_failed += 1,
        Status::Expired => stats.jobs_expired += 1,
        Status::Cancelled => stats.jobs_cancelled += 1,
        _ => {}
    }
}

fn count_line(mock: &MockQwen, id: &str, is_answered: bool) {
    let mut store = mock.inner().batches();
    if let Some(job) = store.job_mut(id) {
        let Counts {
            completed, failed, ..
        } = &mut job.counts;
        *(if is_answered { completed } else { failed }) += 1;
    }
    let stats = store.stats_mut();
    *(if is_answered {
        &mut stats.lines_completed
    } else {
        &mut stats.lines_failed
    }) += 1;
}

/// Twenty-four digits, as recorded.
pub(crate) fn short_id(mock: &MockQwen) -> String {
    let mut id = mock.inner().account().id();
    id.retain(|letter| letter != '-');
    id.truncate(24);
    id
}

/// Now, in seconds since 1970.
pub(crate) fn second(mock: &MockQwen) -> u64 {
    let clock = &mock.inner().clock;
    let since = clock.wall(clock.now()).duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}
