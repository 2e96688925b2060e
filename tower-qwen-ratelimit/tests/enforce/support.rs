use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_qwen_ratelimit::{
    AccountSnapshot, EnforceLayer, KeyOf, Limiter, Quota,
    enforce::{Enforce, Rejection, ResponseBody},
};

pub(crate) type Body = Full<Bytes>;
pub(crate) type Answer = Response<ResponseBody<Body>>;

pub(crate) const CHAT: &str = "/compatible-mode/v1/chat/completions";
pub(crate) const NATIVE: &str = "/api/v1/services/aigc/text-generation/generation";
pub(crate) const ANTHROPIC: &str = "/apps/anthropic/v1/messages";

pub(crate) fn limiter(requests: u64, tokens: u64) -> Limiter {
    Limiter::new(Quota::per_minute(requests, tokens))
}

pub(crate) fn layer(limiter: &Limiter) -> EnforceLayer {
    EnforceLayer::new(limiter.clone(), KeyOf::api_key())
}

/// A server whose handler answers everything with `ok`.
pub(crate) fn server(
    layer: &EnforceLayer,
) -> impl Clone + Service<Request<Body>, Response = Answer, Error = Infallible, Future: Send> + use<>
{
    answering(layer, StatusCode::OK, "ok")
}

/// A server whose handler always answers so.
pub(crate) fn answering(
    layer: &EnforceLayer,
    status: StatusCode,
    body: &'static str,
) -> Enforce<
    impl Clone
    + Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
    + use<>,
> {
    layer.layer(service_fn(move |_: Request<Body>| async move {
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        Ok::<_, Infallible>(response)
    }))
}

/// A chat call of an embedding's cost: the prompt's tokens and none of an answer.
pub(crate) fn request(path: &str, body: &str) -> Request<Body> {
    Request::post(path)
        .header("authorization", "Bearer sk-1")
        .body(Full::from(body.to_owned()))
        .unwrap()
}

pub(crate) fn chat() -> Request<Body> {
    request(
        CHAT,
        r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Hello!"}],"max_tokens":100}"#,
    )
}

/// An embedding of about so many tokens, and exactly as many each time.
pub(crate) fn embedding(words: usize) -> Request<Body> {
    let input = "hello ".repeat(words);
    request(
        "/compatible-mode/v1/embeddings",
        &format!(r#"{{"model":"text-embedding-v4","input":"{input}"}}"#),
    )
}

pub(crate) async fn send<S>(server: &S, request: Request<Body>) -> Answer
where
    S: Service<Request<Body>, Response = Answer, Error = Infallible> + Clone,
{
    let Ok(answer) = server.clone().oneshot(request).await;
    answer
}

pub(crate) async fn text(answer: Answer) -> String {
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

pub(crate) fn rejection(answer: &Answer) -> &Rejection {
    answer.extensions().get().unwrap()
}

pub(crate) fn account(limiter: &Limiter) -> AccountSnapshot {
    limiter.snapshot().remove(0)
}
