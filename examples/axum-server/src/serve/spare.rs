//! Connections beyond the limit: they are told whether the gateway lives, and to come back for anything else.
//!
//! What watches the gateway would else end it, or send no more calls, whenever strangers hold all connections.

use std::{convert::Infallible, time::Duration};

use axum::{body::Body, extract::Request, response::Response};
use http::{HeaderValue, Version, header::CONNECTION};
use tower::{Service, service_fn};
use tower_qwen_tokens::protocol::rejection::UNAVAILABLE;

use super::Answers;
use crate::{errors::error_format, waits};

/// How many there are at one time. Beyond them a connection is closed without an answer.
pub(super) const MAX: usize = 64;
/// How long each lives. Who is silent for so long gets no answer.
pub(super) const LIFETIME: Duration = Duration::from_secs(1);

/// What does not need a key and is answered at once: nothing that takes time or quota.
const PATHS: [&str; 2] = ["/healthz", "/readyz"];

/// The same answers, for one request a connection and these paths alone.
pub(super) fn answers(answers: Answers) -> Answers {
    let answer = move |request: Request| {
        let mut answers = answers.clone();
        async move {
            let is_http2 = request.version() == Version::HTTP_2;
            let mut answer = if PATHS.contains(&request.uri().path()) {
                answers.call(request).await?
            } else {
                come_back(&request)
            };
            // HTTP/2 has no such header: there the connection ends with its time.
            if !is_http2 {
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(CONNECTION, close);
            }
            Ok::<_, Infallible>(answer)
        }
    };
    Answers::new(service_fn(answer))
}

fn come_back(request: &Request) -> Response {
    let format = error_format(request);
    let mut answer = format
        .error(UNAVAILABLE, "Too many connections.")
        .map(Body::from);
    waits::come_back(&mut answer, Duration::from_secs(1));
    answer
}
