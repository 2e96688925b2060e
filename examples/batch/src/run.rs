//! The run: takes calls up, waits for them, and writes down what became of them.

use std::{collections::BTreeMap, io, pin::pin, task::Poll, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tokio::{io::AsyncBufRead, time::MissedTickBehavior};
use tower::Service;
use tower_qwen_tokens::{Deadline, call::BoxError};

use crate::{
    call::perform,
    concurrency::Concurrency,
    flight::Flight,
    ids::Ids,
    input::{BadLine, InputCall, Item, Reader},
    output::{ErrorPart, Record, Writer},
    request::Requests,
    stop::Stop,
};

const TICK: Duration = Duration::from_millis(250);

/// Kinds of failure that are told apart; codes come from outside, so their number is bounded.
const MAX_CODES: usize = 32;

/// How a run is made.
#[derive(Debug, Clone)]
pub struct Run {
    /// Makes the requests.
    pub requests: Requests,
    /// Calls held at once.
    pub concurrency: Concurrency,
    /// Time for one call.
    pub deadline: Duration,
}

/// How far a run is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that were answered in an earlier run and not made again.
    pub answered_before: u64,
    /// Calls that were answered.
    pub succeeded: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Of these, by the code of their error.
    pub failed_by: BTreeMap<String, u64>,
    /// Lines that are no calls.
    pub bad_lines: u64,
    /// Calls that are under way or wait for their turn.
    pub held: u64,
    /// Calls that were taken up and given back when the run was stopped.
    pub given_back: u64,
    /// The run was stopped before its end.
    pub stopped: bool,
}

/// Watches a run.
pub trait Observe {
    /// A line is no call.
    fn bad_line(&mut self, line: &BadLine);
    /// Something may have changed. Called some times a second.
    fn tick(&mut self, counts: &Counts);
}

impl Run {
    /// Makes all calls of `input` that are not in `answered`, and writes what became of them to `output`.
    ///
    /// Reads no further than the calls that are held, whatever the length of the input. When stopped, calls on the wire
    /// are finished and those that wait are given back: nothing is written of them.
    ///
    /// # Errors
    ///
    /// As reading the input or writing the output does. When the input fails, what was taken up is finished first.
    pub async fn run<S, RB, R, O>(
        &self,
        client: S,
        input: &mut Reader<R>,
        answered: &Ids,
        output: &mut Writer,
        stop: Stop,
        observer: &mut O,
    ) -> io::Result<Counts>
    where
        S: Service<Request<Full<Bytes>>, Response = Response<RB>, Error = BoxError> + Clone,
        RB: Body<Data = Bytes, Error: Into<BoxError>>,
        R: AsyncBufRead + Unpin,
        O: Observe,
    {
        let mut counts = Counts::default();
        let mut calls = FuturesUnordered::new();
        let mut failure = None;
        let mut input_open = true;
        let (mut gentle, mut at_once) = (stop.clone(), stop.clone());
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while input_open || !calls.is_empty() {
            tokio::select! {
                biased;
                () = at_once.at_once() => break,
                () = gentle.requested(), if input_open => {
                    input_open = false;
                    counts.stopped = true;
                }
                Some(done) = calls.next() => match done {
                    Some(record) => {
                        output.write(&record)?;
                        counts.note(&record);
                    }
                    None => counts.given_back += 1,
                },
                item = input.next(), if input_open && calls.len() < self.concurrency.get() => match item {
                    Ok(Some(Item::Call(call))) if answered.contains(&call.custom_id) => counts.answered_before += 1,
                    Ok(Some(Item::Call(call))) => calls.push(self.one(client.clone(), call, stop.clone())),
                    Ok(Some(Item::Bad(line))) => {
                        counts.bad_lines += 1;
                        observer.bad_line(&line);
                    }
                    Ok(None) => input_open = false,
                    Err(error) => {
                        input_open = false;
                        failure = Some(error);
                    }
                },
                _ = ticks.tick() => {
                    counts.held = count(calls.len());
                    observer.tick(&counts);
                }
            }
        }
        counts.given_back += count(calls.len());
        counts.held = 0;
        counts.stopped |= counts.given_back > 0;
        drop(calls);
        observer.tick(&counts);
        match failure {
            Some(error) => Err(error),
            None => Ok(counts),
        }
    }

    /// One call; `None` where it was given back.
    async fn one<S, RB>(&self, client: S, call: InputCall, stop: Stop) -> Option<Record>
    where
        S: Service<Request<Full<Bytes>>, Response = Response<RB>, Error = BoxError>,
        RB: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let mut request = match self.requests.build(&call) {
            Ok(request) => request,
            Err(error) => {
                let error = ErrorPart::new("bad_request", error.to_string());
                return Some(Record::new(call.custom_id, None, Some(error)));
            }
        };
        let flight = Flight::default();
        request.extensions_mut().insert(flight.clone());
        let outcome = perform(client, request, Deadline::after(self.deadline));
        let (response, error) = unless_stopped(outcome, &flight, stop).await?;
        Some(Record::new(call.custom_id, response, error))
    }
}

impl Counts {
    fn note(&mut self, record: &Record) {
        if record.is_success() {
            self.succeeded += 1;
            return;
        }
        self.failed += 1;
        let code = record.error.as_ref().map_or("unknown", |error| &error.code);
        let code = if self.failed_by.len() < MAX_CODES || self.failed_by.contains_key(code) {
            code
        } else {
            "(other)"
        };
        *self.failed_by.entry(code.to_owned()).or_default() += 1;
    }

    /// Calls and lines that are dealt with, in this run or before.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.answered_before + self.succeeded + self.failed + self.bad_lines
    }
}

/// What the call comes to; `None` when the run is stopped while no attempt of it is on the wire.
async fn unless_stopped<F: Future>(call: F, flight: &Flight, mut stop: Stop) -> Option<F::Output> {
    let mut call = pin!(call);
    let mut requested = pin!(stop.requested());
    let mut stopping = false;
    std::future::poll_fn(|cx| {
        stopping = stopping || requested.as_mut().poll(cx).is_ready();
        if stopping && !flight.is_on_wire() {
            return Poll::Ready(None);
        }
        if let Poll::Ready(outcome) = call.as_mut().poll(cx) {
            return Poll::Ready(Some(outcome));
        }
        // The attempt may have failed just now: its retry is not waited for.
        if stopping && !flight.is_on_wire() {
            return Poll::Ready(None);
        }
        Poll::Pending
    })
    .await
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
