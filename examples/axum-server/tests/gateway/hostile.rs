//! An upstream that does what a provider should not, by the name of the model that is asked for.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    response::Response,
};
use futures_util::stream;
use http::StatusCode;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Counts what it does.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hostile {
    calls: Arc<AtomicUsize>,
    /// Streams that have not ended.
    streams: Arc<AtomicUsize>,
}

/// A stream that goes on until it is dropped.
struct Endless(Arc<AtomicUsize>);

impl Drop for Endless {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Hostile {
    /// Starts it; gives the flag that names it.
    pub(crate) async fn start() -> std::io::Result<(Self, String)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let at: SocketAddr = listener.local_addr()?;
        let hostile = Self::default();
        let answers = hostile.clone();
        let answer = async move |request: Request| answers.answer(request).await;
        tokio::spawn(async { axum::serve(listener, Router::new().fallback(answer)).await });
        Ok((
            hostile,
            format!("--upstream=http://{at}/compatible-mode/v1"),
        ))
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    pub(crate) fn streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    /// Waits until so many streams run.
    pub(crate) async fn running(&self, streams: usize) {
        while self.streams() != streams {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn answer(&self, request: Request) -> Response {
        let body = request.into_body().collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        let call: Value = serde_json::from_slice(&body).unwrap_or_default();
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        match call["model"].as_str().unwrap_or_default() {
            "endless" => self.endless(),
            "silent" => std::future::pending().await,
            "absurd" => completion(json!({"prompt_tokens": u64::MAX, "completion_tokens": 1})),
            "absurd-less" => completion(json!({
                "prompt_tokens": 1_000_000_000_000_u64, "completion_tokens": 1,
            })),
            "absurd-decimal" => completion(json!({"prompt_tokens": 1e30, "completion_tokens": 1})),
            "decimals" => completion(json!({
                "prompt_tokens": 11.5, "completion_tokens": 4.0, "total_tokens": 15.5,
            })),
            "elsewhere" => answer(
                StatusCode::TEMPORARY_REDIRECT,
                &[("location", "http://127.0.0.1:9/x")],
                &json!({}),
            ),
            "long-head" => throttle(&[("x-long", &"x".repeat(9_000))]),
            "short-head" => throttle(&[("x-long", &"x".repeat(7_000))]),
            "full" => throttle(&[]),
            "full-for-7" => throttle(&[("retry-after", "7"), ("retry-after-ms", "7000")]),
            "full-till-9999" if number == 0 => {
                throttle(&[("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT")])
            }
            "full-for-9999" if number == 0 => throttle(&[("retry-after", "9999")]),
            "busy" => capacity(),
            "busy-sometimes" if number.is_multiple_of(20) => capacity(),
            _ => completion(json!({
                "prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13,
            })),
        }
    }

    fn endless(&self) -> Response {
        self.streams.fetch_add(1, Ordering::Relaxed);
        let end = Endless(self.streams.clone());
        let text = "word ".repeat(800);
        let event = json!({"choices": [{"index": 0, "delta": {"content": text}}]});
        let event = Bytes::from(format!("data: {event}\n\n"));
        let events = stream::unfold(end, move |end| {
            let event = event.clone();
            async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                Some((Ok::<_, Infallible>(event), end))
            }
        });
        let answer = Response::builder().header("content-type", "text/event-stream");
        answer.body(Body::from_stream(events)).expect("an answer")
    }
}

fn completion(usage: Value) -> Response {
    let message = json!({"role": "assistant", "content": "Rivers run."});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    let body = json!({"object": "chat.completion", "choices": [choice], "usage": usage});
    answer(StatusCode::OK, &[], &body)
}

fn throttle(headers: &[(&str, &str)]) -> Response {
    let body = json!({"error": {
        "code": "limit_requests", "type": "limit_requests",
        "message": "Requests rate limit exceeded, please try again later.",
    }});
    let mut all = vec![("x-ratelimit-remaining-requests", "1000")];
    all.extend_from_slice(headers);
    answer(StatusCode::TOO_MANY_REQUESTS, &all, &body)
}

fn capacity() -> Response {
    let body = json!({"error": {
        "code": "ServiceUnavailable", "type": "server_error",
        "message": "The server has no capacity now.",
    }});
    answer(StatusCode::SERVICE_UNAVAILABLE, &[], &body)
}

fn answer(status: StatusCode, headers: &[(&str, &str)], body: &Value) -> Response {
    let mut answer = Response::builder()
        .status(status)
        .header("content-type", "application/json");
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    let body = Body::from(body.to_string());
    answer.body(body).expect("an answer")
}
