//! Runs one call against a scripted inner service. `tower_test`'s mock panics when it is called before it was ready.

#![allow(dead_code, unreachable_pub)]

use std::{pin::pin, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use tower::{Layer, Service, ServiceExt};
use tower_qwen_retry::{BoxError, RetryLayer, RetryPolicy, retry::ResponseBody};
use tower_qwen_tokens::{CallReport, internal::clock::now};

pub const PROMPT: &str = r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Hello!"}]}"#;

pub type RequestBody = Full<Bytes>;
pub type AnswerBody = BoxBody<Bytes, BoxError>;
pub type Answer = Response<AnswerBody>;

/// What the report of an answer says of its attempts.
#[derive(Debug, Clone)]
pub struct Attempts {
    pub number: u32,
    pub waited: Duration,
    pub target: Option<std::sync::Arc<str>>,
}

impl Attempts {
    pub fn of<B>(answer: &Response<B>) -> Self {
        let report = answer.extensions().get::<CallReport>().expect("a report");
        Self {
            number: report.sends(),
            waited: report.retry_wait(),
            target: report.target(),
        }
    }
}

/// What came of a call.
pub struct Run {
    pub result: Result<Response<ResponseBody<AnswerBody>>, BoxError>,
    /// The requests of the attempts, and when they were sent, counted from the start.
    pub sent: Vec<(Duration, Request<RequestBody>)>,
    /// How long all of it took.
    pub took: Duration,
}

pub fn request() -> Request<RequestBody> {
    Request::post("https://dashscope.aliyuncs.com/compatible-mode/v1/chat/completions")
        .header("content-type", "application/json")
        .body(Full::from(PROMPT))
        .expect("a valid request")
}

/// The same, to be answered by a stream.
pub fn streaming() -> Request<RequestBody> {
    let body = PROMPT.replacen('{', r#"{"stream":true,"#, 1);
    request().map(|_| Full::from(body))
}

/// A stream of these pieces, then an error where one is named.
pub fn stream(pieces: &[&str], error: Option<&'static str>) -> Answer {
    let frames = pieces
        .iter()
        .map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece.as_bytes()))));
    let frames: Vec<_> = frames.chain(error.map(|error| Err(error.into()))).collect();
    let body = BoxBody::new(StreamBody::new(futures::stream::iter(frames)));
    Response::builder()
        .header("content-type", "text/event-stream")
        .body(body)
        .expect("a valid answer")
}

pub fn answer(status: u16, body: &'static str) -> Answer {
    let body = Full::from(body).map_err(|never| match never {});
    Response::builder()
        .status(status)
        .body(BoxBody::new(body))
        .expect("a valid answer")
}

pub fn ok() -> Answer {
    answer(200, r#"{"id":"1"}"#)
}

pub fn throttled() -> Answer {
    answer(
        429,
        r#"{"error":{"code":"limit_requests","message":"You have exceeded your request limit."}}"#,
    )
}

pub fn broken() -> Answer {
    answer(
        500,
        r#"{"error":{"code":"internal_error","message":"An internal error has occurred."}}"#,
    )
}

pub fn with_header(mut answer: Answer, name: &'static str, value: &str) -> Answer {
    answer
        .headers_mut()
        .insert(name, value.parse().expect("a valid header value"));
    answer
}

/// Calls the layered service once; the inner one answers by the script, which has to be used up.
pub async fn run(
    policy: RetryPolicy,
    request: Request<RequestBody>,
    script: Vec<Result<Answer, BoxError>>,
) -> Run {
    let (mock, mut handle) = tower_test::mock::pair::<Request<RequestBody>, Answer>();
    let mut service = RetryLayer::new(policy).layer(mock);
    let start = now();
    let mut script = script.into_iter();
    let mut sent = Vec::new();
    let mut call = pin!(async { service.ready().await?.call(request).await });
    let result = loop {
        tokio::select! {
            result = &mut call => break result,
            Some((request, respond)) = handle.next_request() => {
                sent.push((now() - start, request));
                match script.next().expect("an attempt too many") {
                    Ok(answer) => respond.send_response(answer),
                    Err(error) => respond.send_error(error),
                }
            }
        }
    };
    assert_eq!(script.count(), 0, "an attempt too few");
    let took = now() - start;
    Run { result, sent, took }
}

impl Run {
    pub fn answer(&self) -> &Response<ResponseBody<AnswerBody>> {
        self.result.as_ref().expect("an answer")
    }

    pub fn status(&self) -> StatusCode {
        self.answer().status()
    }

    pub fn attempts(&self) -> Attempts {
        Attempts::of(self.answer())
    }

    /// The time between each attempt and the next.
    pub fn gaps(&self) -> Vec<Duration> {
        self.sent
            .windows(2)
            .map(|pair| pair[1].0 - pair[0].0)
            .collect()
    }
}

pub async fn bytes<B>(body: B) -> Bytes
where
    B: Body,
    B::Error: std::fmt::Debug,
{
    body.collect().await.expect("a whole body").to_bytes()
}

pub fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}
