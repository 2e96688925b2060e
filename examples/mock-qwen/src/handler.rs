//! The endpoints.

mod quotas;
mod stream;
mod whole;

use std::time::{Duration, UNIX_EPOCH};

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use self::stream::Progress;
use crate::account::{Cost, Refused};
use crate::answer::Answer;
use crate::config::{RateLimitHeaders, RetryAfter};
use crate::fault::Fault;
use crate::rate_limit_headers;
use crate::request::{Call, Delivery, wants_events};
use crate::retry_after;
use crate::server::MockQwen;
use crate::stats::Stats;
use crate::ticket::Ticket;
use crate::tokens::count_prompt;
use crate::wire::{Dialect, Problem, Reply, Usage};

const MAX_BODY: usize = 64 * 1024 * 1024;

/// A call that was let in, with all that its answer needs.
#[derive(Debug)]
pub(crate) struct Job {
    mock: MockQwen,
    ticket: Ticket,
    reply: Reply,
    answer: Answer,
    usage: Usage,
    fault: Fault,
    /// When the call was let in.
    at: Duration,
}

pub(crate) fn router(mock: MockQwen) -> Router {
    Router::new()
        .route("/compatible-mode/v1/chat/completions", post(compatible))
        .route("/v1/chat/completions", post(compatible))
        .route(
            "/api/v1/services/aigc/text-generation/generation",
            post(native),
        )
        .route("/api/v1/quotas", get(quotas::list))
        .route("/api/v1/models/limits", get(quotas::list))
        .route("/stats", get(stats))
        .route("/stats/reset", post(reset))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(mock)
}

async fn compatible(
    State(mock): State<MockQwen>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    answer(mock, Dialect::Compatible, headers, body).await
}

async fn native(State(mock): State<MockQwen>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    answer(mock, Dialect::Native, headers, body).await
}

async fn stats(State(mock): State<MockQwen>) -> Json<Stats> {
    Json(mock.stats())
}

async fn reset(State(mock): State<MockQwen>) -> StatusCode {
    mock.reset_stats();
    StatusCode::NO_CONTENT
}

async fn answer(
    mock: MockQwen,
    dialect: Dialect,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let (id, fault) = mock.inner().account().arrive(&mock.inner().config);
    let mut response = match start(&mock, dialect, &headers, &body, &id, fault) {
        Ok(job) => {
            let mut response = match job.reply.delivery {
                Delivery::Whole => whole::respond(job).await,
                _ => Progress::new(job).respond(),
            };
            add_rate_limit(&mock, &mut response);
            response
        }
        Err(refused) => refuse(&mock, dialect, &headers, &id, refused),
    };
    add_id(&mut response, &id);
    response
}

/// Reads a call and lets it in.
fn start(
    mock: &MockQwen,
    dialect: Dialect,
    headers: &HeaderMap,
    body: &[u8],
    id: &str,
    fault: Fault,
) -> Result<Job, Refused> {
    let inner = mock.inner();
    let config = &inner.config;
    let read = || {
        if config.require_key && !has_key(headers) {
            return Err(Problem::Key);
        }
        let call = Call::read(dialect, headers, body, config.max_output)?;
        let prompt = count_prompt(call.contents.iter().map(String::as_str));
        if prompt > config.tpm {
            let message = format!("Range of input length should be [1, {}]", config.tpm);
            return Err(Problem::invalid(message));
        }
        Ok((call, prompt))
    };
    let (call, prompt) = read().inspect_err(|_| inner.account().reject())?;
    match fault {
        Fault::Unavailable => {
            inner.account().unavailable();
            return Err(Problem::Capacity.into());
        }
        Fault::Throttle500 => {
            inner.account().throttle_500();
            return Err(Problem::HiddenCapacity.into());
        }
        _ => {}
    }
    let ceiling = call.ceiling.unwrap_or(config.max_output);
    let answer = Answer::new(config, &call.contents, ceiling);
    let cost = Cost {
        prompt,
        output: answer.len(),
        ceiling,
    };
    let admitted = {
        let mut account = inner.account();
        account.admit(config, inner.clock.now(), cost)?
    };
    let at = admitted.at;
    let created = inner.clock.wall(at).duration_since(UNIX_EPOCH);
    Ok(Job {
        mock: mock.clone(),
        ticket: Ticket::new(mock.clone(), admitted),
        reply: Reply {
            dialect,
            delivery: call.delivery,
            format: call.format,
            id: id.to_owned(),
            model: call.model,
            created: created.unwrap_or_default().as_secs(),
            tells_usage: fault != Fault::NoUsage,
        },
        answer,
        usage: Usage {
            prompt,
            cached: (prompt as f64 * config.cached_share) as u64,
            output: 0,
        },
        fault,
        at,
    })
}

fn has_key(headers: &HeaderMap) -> bool {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .is_some_and(|key| !key.trim().is_empty())
}

fn refuse(
    mock: &MockQwen,
    dialect: Dialect,
    headers: &HeaderMap,
    id: &str,
    refused: Refused,
) -> Response<Body> {
    let Refused { problem, wait } = refused;
    // A native stream tells of a bad parameter inside a 200, as was recorded.
    let in_stream = matches!(problem, Problem::Invalid { .. })
        && dialect == Dialect::Native
        && wants_events(headers);
    if in_stream {
        return response(
            StatusCode::OK,
            "text/event-stream;charset=UTF-8",
            Body::from(problem.event(1, id)),
        );
    }
    let body = problem.body(dialect, id).to_string();
    let mut response = response(problem.status(), "application/json", Body::from(body));
    if problem.status() == StatusCode::TOO_MANY_REQUESTS {
        let inner = mock.inner();
        let wall = inner.clock.wall(inner.clock.now());
        let form = match (inner.config.retry_after, inner.config.rate_limit_headers) {
            (RetryAfter::None, RateLimitHeaders::Groq) => RetryAfter::Seconds,
            (form, _) => form,
        };
        retry_after::add(response.headers_mut(), form, wait, wall);
        add_rate_limit(mock, &mut response);
    }
    response
}

fn add_rate_limit(mock: &MockQwen, response: &mut Response<Body>) {
    let inner = mock.inner();
    let (requests, tokens) = {
        let mut account = inner.account();
        account.room(inner.clock.now())
    };
    let form = inner.config.rate_limit_headers;
    rate_limit_headers::add(response.headers_mut(), form, requests, tokens);
}

fn add_id(response: &mut Response<Body>, id: &str) {
    if let Ok(id) = HeaderValue::from_str(id) {
        response
            .headers_mut()
            .insert(HeaderName::from_static("x-request-id"), id);
    }
}

fn response(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

impl Job {
    /// When `tokens` of the answer are written.
    fn written_at(&self, tokens: u64) -> Duration {
        let config = &self.mock.inner().config;
        let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        let usual = config.ttft + config.tpot.saturating_mul(tokens);
        self.at + usual.mul_f64(self.answer.pace)
    }
}
