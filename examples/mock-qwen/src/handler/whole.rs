//! An answer in one piece.

use std::future::ready;

use axum::body::{Body, Bytes};
use futures_util::{StreamExt, stream};
use http::{Response, StatusCode};

use super::{Job, response};
use crate::account::End;
use crate::fault::Fault;
use crate::handler::stream::broken;
use crate::wire::Usage;

pub(super) async fn respond(mut job: Job) -> Response<Body> {
    let count = job.answer.len();
    job.mock
        .inner()
        .clock
        .sleep_until(job.written_at(count))
        .await;
    job.ticket.deliver(count);
    let usage = Usage {
        output: count,
        ..job.usage
    };
    let finish = job.answer.finish.name();
    let body = job
        .reply
        .whole(&job.answer.text(), finish, usage)
        .to_string();
    let (end, body) = match job.fault {
        Fault::Reset => (End::Reset, half(body)),
        Fault::NoUsage => (End::CompletedWithoutUsage, Body::from(body)),
        _ => (End::Completed, Body::from(body)),
    };
    job.ticket.end(end);
    response(StatusCode::OK, job.reply.content_type(), body)
}

/// Half of a body, then the break.
fn half(body: String) -> Body {
    let mut bytes = Bytes::from(body);
    bytes.truncate(bytes.len() / 2);
    let sent = stream::once(ready(Ok(bytes)));
    Body::from_stream(sent.chain(stream::once(async { Err(broken().await) })))
}
