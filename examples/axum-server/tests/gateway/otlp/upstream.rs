//! An upstream that keeps the traces it is made a part of.

use std::sync::{Arc, Mutex};

use axum::{Router, body::Body, extract::Request, response::Response};
use futures_util::{StreamExt, stream};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::TestResult;

const USAGE: &str = r#"{"prompt_tokens":1000,"completion_tokens":200,"total_tokens":1200}"#;

/// Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Upstream(Arc<Mutex<Vec<HeaderMap>>>);

impl Upstream {
    /// Starts it; gives the flag that names it.
    pub(crate) async fn start() -> TestResult<(Self, String)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let flag = format!("--upstream=http://{}/v1", listener.local_addr()?);
        let upstream = Self::default();
        let answers = upstream.clone();
        let answer = async move |request: Request| answers.answer(request).await;
        tokio::spawn(async { axum::serve(listener, Router::new().fallback(answer)).await });
        Ok((upstream, flag))
    }

    /// What the header said at each attempt.
    pub(crate) fn saw(&self, header: &str) -> Vec<Option<String>> {
        let headers = self.0.lock().expect("whole");
        let text = |it: &HeaderMap| Some(it.get(header)?.to_str().ok()?.to_owned());
        headers.iter().map(text).collect()
    }

    /// The first attempt of `qwen-plus` fails; a stream of `qwen-turbo` has no end, and one of `qwen-flash` a bad one.
    async fn answer(&self, request: Request) -> Response {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(|it| it.to_bytes());
        let call: Value = serde_json::from_slice(&body.unwrap_or_default()).unwrap_or_default();
        let attempts = {
            let mut saw = self.0.lock().expect("whole");
            saw.push(head.headers);
            saw.len()
        };
        let answer = Response::builder();
        let answer = match (call["model"].as_str(), call["stream"] == true) {
            (Some("qwen-plus"), _) if attempts == 1 => answer
                .status(StatusCode::SERVICE_UNAVAILABLE)
                .body(Body::from("{}")),
            (_, false) => {
                let usage: Value = serde_json::from_str(USAGE).expect("usage");
                let whole = json!({"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}],
                    "model": "qwen-plus-2026", "usage": usage});
                let answer = answer.header("content-type", "application/json");
                answer.body(Body::from(whole.to_string()))
            }
            (model, true) => {
                let some = r#"{"choices":[{"delta":{"content":"Hi"}}]}"#;
                let last =
                    format!(r#"{{"choices":[{{"finish_reason":"length"}}],"usage":{USAGE}}}"#);
                let error =
                    r#"{"error":{"message":"Internal server error!","code":"InternalError"}}"#;
                let (events, goes_on) = match model {
                    Some("qwen-turbo") => (vec![some], true),
                    Some("qwen-flash") => (vec![some, error], false),
                    _ => (vec![some, &last, "[DONE]"], false),
                };
                let events = events.into_iter().map(|it| format!("data: {it}\n\n"));
                let events = stream::iter(events.collect::<Vec<_>>());
                let events = match goes_on {
                    true => events.chain(stream::pending()).boxed(),
                    false => events.boxed(),
                };
                let events = events.map(Ok::<_, std::io::Error>);
                let answer = answer.header("content-type", "text/event-stream");
                answer.body(Body::from_stream(events))
            }
        };
        answer.expect("an answer")
    }
}
