//! An answer in one piece.

use std::future::ready;

use axum::body::{Body, Bytes};
use futures_util::{StreamExt, stream};
use http::{Response, StatusCode};

use super::{Job, response};
use crate::account::End;
use crate::fault::Fault;
use crate::handler::stream::broken;
use crate::wire::{Usage, Written};

pub(super) async fn respond(mut job: Job) -> Response<Body> {
    let count = job.answers.iter().map(|(answer, _)| answer.len()).sum();
    job.mock
        .inner()
        .clock
        .sleep_until(job.written_at(count))
        .await;
    job.ticket.deliver(count);
    let written: Vec<Written> = job.answers.iter().enumerate().map(write(&job)).collect();
    let usage = Usage {
        output: count,
        thoughts: written.iter().map(|written| written.usage.thoughts).sum(),
        ..job.usage
    };
    let body = job.reply.whole(&written, usage).to_string();
    let (end, body) = match job.fault {
        Fault::Reset => (End::Reset, half(body)),
        Fault::NoUsage => (End::CompletedWithoutUsage, Body::from(body)),
        _ => (End::Completed, Body::from(body)),
    };
    job.ticket.end(end);
    response(StatusCode::OK, job.reply.content_type(), body)
}

fn write(job: &Job) -> impl Fn((usize, &(crate::answer::Answer, u64))) -> Written + '_ {
    move |(choice, (answer, _))| {
        let (thoughts, text) = answer.parts();
        Written {
            thoughts,
            text,
            tool: answer.tool.clone(),
            finish: answer.finish.name(),
            usage: job.own_usage(choice, answer.tokens.len()),
        }
    }
}

/// Half of a body, then the break.
fn half(body: String) -> Body {
    let mut bytes = Bytes::from(body);
    bytes.truncate(bytes.len() / 2);
    let sent = stream::once(ready(Ok(bytes)));
    Body::from_stream(sent.chain(stream::once(async { Err(broken().await) })))
}
