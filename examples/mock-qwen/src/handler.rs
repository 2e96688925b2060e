//! The endpoints.

mod batches;
mod embed;
mod files;
mod key;
mod lists;
mod quotas;
mod refuse;
mod start;
mod stream;
mod whole;

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use self::refuse::add_rate_limit;
pub(crate) use self::refuse::{Caller, refuse};
use self::stream::Progress;
use crate::answer::Answer;
use crate::fault::Fault;
use crate::host::Host;
use crate::request::Delivery;
use crate::server::MockQwen;
use crate::stats::Stats;
use crate::ticket::Ticket;
use crate::wire::{Dialect, Reply, Usage};

const MAX_BODY: usize = 64 * 1024 * 1024;

/// A call that was let in, with all that its answer needs.
#[derive(Debug)]
pub(crate) struct Job {
    mock: MockQwen,
    ticket: Ticket,
    reply: Reply,
    /// Each with the tokens of its prompt. Empty for embeddings.
    answers: Vec<(Answer, u64)>,
    usage: Usage,
    fault: Fault,
    /// When the call was let in.
    at: Duration,
}

pub(crate) fn router(mock: MockQwen) -> Router {
    let profile = mock.inner().profile();
    let mut bases = vec!["/compatible-mode/v1", "/v1"];
    if !bases.contains(&profile.base) {
        bases.push(profile.base);
    }
    let mut router = Router::new();
    for base in bases {
        let compatible = [
            ("/chat/completions", Dialect::Compatible),
            ("/completions", Dialect::Completions),
            ("/responses", Dialect::Responses),
            ("/embeddings", Dialect::Embeddings),
        ];
        for (path, dialect) in compatible {
            router = router.route(&format!("{base}{path}"), call(dialect));
        }
        router = router.route(&format!("{base}/models"), get(lists::models));
        // Plans and other hosts have other interfaces, or none.
        if mock.inner().config.host == Host::DashScope {
            router = router.nest(base, batch_api(&mock));
        }
    }
    // Where Model Studio, Kimi and DeepSeek, and Z.ai have it.
    for base in [
        "/v1",
        "/apps/anthropic/v1",
        "/anthropic/v1",
        "/api/anthropic/v1",
    ] {
        router = router
            .route(&format!("{base}/messages"), call(Dialect::Messages))
            .route(
                &format!("{base}/messages/count_tokens"),
                post(lists::count_tokens),
            );
    }
    if !profile.native.is_empty() {
        let native = [
            ("aigc/text-generation/generation", Dialect::Native),
            ("aigc/multimodal-generation/generation", Dialect::Multimodal),
            (
                "embeddings/text-embedding/text-embedding",
                Dialect::NativeEmbeddings,
            ),
        ];
        for (path, dialect) in native {
            router = router.route(&format!("/api/v1/services/{path}"), call(dialect));
        }
        router = router
            .route("/api/v1/quotas", get(quotas::list))
            .route("/api/v1/models/limits", get(quotas::list));
    }
    router
        .route("/stats", get(stats))
        .route("/stats/reset", post(reset))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(mock)
}

/// The endpoint of a dialect.
fn call(dialect: Dialect) -> MethodRouter<MockQwen> {
    post(
        move |State(mock): State<MockQwen>, headers: HeaderMap, body: Bytes| {
            answer(mock, dialect, headers, body)
        },
    )
}

/// Files and jobs.
fn batch_api(mock: &MockQwen) -> Router<MockQwen> {
    // A file larger than allowed is refused by its size, and not by that of its form.
    let form = mock.inner().config.batches.file_bytes + MAX_BODY;
    let upload = post(files::upload).layer(DefaultBodyLimit::max(form));
    Router::new()
        .route("/files", upload.get(files::list))
        .route("/files/{id}", get(files::show).delete(files::delete))
        .route("/files/{id}/content", get(files::content))
        .route("/batches", post(batches::create).get(batches::list))
        .route("/batches/{id}", get(batches::show))
        .route("/batches/{id}/cancel", post(batches::cancel))
}

async fn stats(State(mock): State<MockQwen>) -> Json<Stats> {
    Json(mock.stats())
}

async fn reset(State(mock): State<MockQwen>) -> StatusCode {
    mock.reset_stats();
    StatusCode::NO_CONTENT
}

pub(crate) async fn answer(
    mock: MockQwen,
    dialect: Dialect,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let (id, fault) = mock.inner().account().arrive(&mock.inner().config);
    let mut caller = Caller::new(dialect, &headers, id);
    let mut response = match start::read(&mock, dialect, &headers, &body) {
        Ok(call) => {
            caller.learn(&call);
            match start::start(&mock, &caller, &call, fault).await {
                Ok(job) => {
                    let mut response = match call.delivery {
                        _ if job.answers.is_empty() => embed::respond(job, &call).await,
                        Delivery::Whole => whole::respond(job).await,
                        _ => Progress::new(job).respond(),
                    };
                    add_rate_limit(&mock, &mut response);
                    response
                }
                Err(start::Failed::Refused(refused)) => refuse(&mock, &caller, &refused),
                Err(start::Failed::Disguised { events }) => {
                    refuse::disguised(&mock, &caller, events)
                }
            }
        }
        Err(refused) => {
            mock.inner().account().reject();
            refuse(&mock, &caller, &refused)
        }
    };
    add_id(&mut response, &caller.id);
    response
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
        let pace = self.answers.first().map_or(1.0, |(answer, _)| answer.pace);
        self.at + usual.mul_f64(pace)
    }

    /// What was used when some tokens of one answer are written, its own prompt counted.
    fn own_usage(&self, choice: usize, sent: usize) -> Usage {
        let Some((answer, prompt)) = self.answers.get(choice) else {
            return self.usage;
        };
        let cached = self.mock.inner().cached(*prompt);
        Usage {
            prompt: *prompt,
            cached,
            output: sent as u64,
            thoughts: sent.min(answer.thoughts) as u64,
        }
    }
}
