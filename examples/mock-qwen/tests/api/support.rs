//! A client in the same process.

use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use mock_qwen::{Config, Host, MockQwen, count_prompt};
use serde_json::{Value, json};
use tower::ServiceExt;

pub(crate) const COMPATIBLE: &str = "/compatible-mode/v1/chat/completions";
pub(crate) const NATIVE: &str = "/api/v1/services/aigc/text-generation/generation";

/// Answers that take no time, and a token each unless the call says otherwise.
pub(crate) fn instant() -> Config {
    Config {
        ttft: Duration::ZERO,
        tpot: Duration::ZERO,
        output_tokens: 1,
        ..Config::default()
    }
}

/// The same of another host.
pub(crate) fn of(host: Host) -> Config {
    Config { host, ..instant() }
}

/// A streamed chat that asks for usage.
pub(crate) fn streamed(text: &str) -> Value {
    let mut body = chat(text);
    body["stream"] = json!(true);
    body["stream_options"] = json!({ "include_usage": true });
    body
}

/// Status, headers and text of an answer.
pub(crate) async fn told(mock: &MockQwen, path: &str, body: &Value) -> (u16, HeaderMap, String) {
    let response = post(mock, path, &[], body).await;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    (status, headers, read(response).await)
}

/// The data of a stream's events, `[DONE]` left out.
pub(crate) async fn data(mock: &MockQwen, path: &str, body: &Value) -> Vec<Value> {
    let (status, headers, text) = told(mock, path, body).await;
    assert_eq!(
        (status, &headers["content-type"].as_bytes()[..17]),
        (200, &b"text/event-stream"[..])
    );
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).expect("JSON"))
        .collect()
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Lets time pass. tokio's `advance` is exact to the nanosecond.
pub(crate) async fn pass(time: Duration) {
    tokio::time::advance(time).await;
}

pub(crate) fn chat(text: &str) -> Value {
    json!({ "model": "qwen-plus", "messages": [{ "role": "user", "content": text }] })
}

pub(crate) fn prompt_of(text: &str) -> u64 {
    count_prompt([text])
}

pub(crate) async fn post(
    mock: &MockQwen,
    path: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> Response<Body> {
    let mut request = Request::post(path).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request
        .body(Body::from(body.to_string()))
        .expect("a valid request");
    mock.router()
        .oneshot(request)
        .await
        .expect("a router answers")
}

/// Status, headers and body of a call that is answered in one piece.
pub(crate) async fn call(
    mock: &MockQwen,
    path: &str,
    body: &Value,
) -> (StatusCode, HeaderMap, Value) {
    let response = post(mock, path, &[], body).await;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    let body = serde_json::from_slice(&body).expect("a JSON body");
    (parts.status, parts.headers, body)
}

/// The status of a small call.
pub(crate) async fn ask(mock: &MockQwen, text: &str) -> u16 {
    call(mock, COMPATIBLE, &chat(text)).await.0.as_u16()
}

/// The text of a stream, to its end.
pub(crate) async fn read(response: Response<Body>) -> String {
    let body = response.into_body().collect().await.expect("a whole body");
    String::from_utf8(body.to_bytes().to_vec()).expect("text")
}

/// The next event of a stream.
pub(crate) async fn frame(body: &mut Body) -> Option<String> {
    let frame = body.frame().await?.expect("no break");
    let data = frame.into_data().expect("data");
    Some(String::from_utf8(data.to_vec()).expect("text"))
}
