//! A server in this process whose answers a test makes, and bodies whose frames it hands out.

use std::{convert::Infallible, future::Future, net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, channel::mpsc};
use http::{HeaderValue, Request, Response, header::CONTENT_TYPE};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

pub(crate) type AnswerBody = BoxBody<Bytes, Infallible>;

/// Answers with `answer` as long as the test runs.
pub(crate) async fn serve<F, Fut>(answer: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Response<AnswerBody>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let answer = answer.clone();
            let service = service_fn(move |request| {
                let answer = answer(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(socket), service);
            tokio::spawn(async move { connection.await.ok() });
        }
    });
    address
}

/// An address at which nobody listens.
pub(crate) async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    listener.local_addr().expect("an address")
}

/// A body, and the end into which its frames go.
pub(crate) fn body() -> (mpsc::UnboundedSender<&'static str>, AnswerBody) {
    let (sender, receiver) = mpsc::unbounded();
    let frames = receiver.map(|text: &str| Ok(Frame::data(Bytes::from(text))));
    (sender, BoxBody::new(StreamBody::new(frames)))
}

pub(crate) fn text(text: &'static str) -> AnswerBody {
    http_body_util::Full::from(text).boxed()
}

/// A model's whole answer: 20 tokens in, 1 out.
pub(crate) fn model_answer() -> Response<AnswerBody> {
    let body =
        r#"{"choices":[],"usage":{"prompt_tokens":20,"completion_tokens":1,"total_tokens":21}}"#;
    let mut answer = answer(200, text(body));
    let kind = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

pub(crate) fn answer(status: u16, body: AnswerBody) -> Response<AnswerBody> {
    Response::builder()
        .status(status)
        .header("x-of-server", "yes")
        .body(body)
        .expect("a valid answer")
}

/// A client without proxies, whose connections do not outlive a moment without use.
pub(crate) fn client() -> reqwest::Client {
    builder().build().expect("a client")
}

pub(crate) fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .no_proxy()
        .pool_idle_timeout(Duration::from_secs(1))
}
