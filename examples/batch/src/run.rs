//! The run: takes calls up, waits for them, and writes down what became of them.

use std::{collections::VecDeque, io, pin::pin, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tokio::time::{Instant, MissedTickBehavior, sleep, sleep_until, timeout};
use tower::Service;
use tower_qwen_ratelimit::budget::BudgetError;
use tower_qwen_tokens::{Deadline, call::BoxError};

use crate::{
    accounts::Accounts,
    call::{CallTimes, Outcome, perform},
    concurrency::Concurrency,
    counts::Counts,
    end_rules::{EndRules, Ended, Finding, Next, is_final},
    fatal::Fatal,
    first_calls::{FirstCalls, OPEN_AFTER, Turn},
    flight::Flight,
    ids::Ids,
    input::{BadLine, InputCall, Item, Reader},
    output::{ErrorPart, Record, Writer},
    request::{Requests, Route},
    stop::{Stop, stop},
};

const TICK: Duration = Duration::from_millis(250);

/// So many of the calls that wait for room under a cap try again when another one ends: it may make room for more than
/// one, and each that has none costs an estimate only.
const TRY_AGAIN: usize = 2;

/// So long calls that were sent may take after the address is given up: they hang, as a rule, and their deadline is far.
/// Where the key or the account has ended, they were accepted before, and are paid: they are waited for.
const HANGING: Duration = Duration::from_secs(10);

/// So long a call waits that Retry has no account for, though one is left: that one rests after a rejection, and hundreds of
/// calls would ask for it without end.
const AGAIN: Duration = Duration::from_secs(1);

/// The pause between calls that go one by one. Without it a file is read through within the seconds of an outage, since
/// calls that reach nobody use no quota.
const PAUSE: Duration = Duration::from_secs(2);

/// How a run is made.
#[derive(Debug, Clone)]
pub struct Run {
    /// Makes the requests.
    pub requests: Requests,
    /// Whom they go to, for the lines of the output.
    pub provider: String,
    /// The accounts that share the calls, where there are several.
    pub accounts: Option<Accounts>,
    /// Calls held at once.
    pub concurrency: Concurrency,
    /// Time for one call.
    pub deadline: Duration,
    /// The run ends when so many calls have failed.
    pub max_failures: Option<u64>,
}

/// Watches a run.
pub trait Observe {
    /// A line is no call.
    fn bad_line(&mut self, line: &BadLine);
    /// Something may have changed. Called some times a second.
    fn tick(&mut self, counts: &Counts);
    /// A model or a path cannot be called; the run goes on without its calls.
    fn closed(&mut self, _: &Fatal) {}
    /// A call has its line.
    fn ended(&mut self, _: EndedCall<'_>) {}
}

/// A call that has its line.
#[derive(Debug, Clone, Copy)]
pub struct EndedCall<'a> {
    /// Its model; empty where its body names none.
    pub model: &'a str,
    /// How long it took; `None` where no request could be made of it.
    pub times: Option<CallTimes>,
    /// Whether it was answered.
    pub is_success: bool,
}

/// What became of a call that was taken up.
enum Finished {
    /// It has its line.
    Line(Box<Line>),
    /// The account that it met takes no more calls; another one may, until the same deadline.
    Again(InputCall, Deadline),
    /// It was not sent.
    NotSent,
    /// The cap has no room for it.
    NoRoom(InputCall, BudgetError),
}

struct Line {
    record: Record,
    route: Route,
    times: Option<CallTimes>,
    fatal: Option<Fatal>,
    /// No account took the call, so it has no line after all.
    is_without_account: bool,
    turn: Turn,
}

impl Run {
    /// Makes all calls of `input` that are not in `answered`, and writes what became of them to `output`.
    ///
    /// Reads no further than the calls that are held, whatever the length of the input. When stopped, calls on the wire
    /// are finished and those that wait are not sent: nothing is written of them. Likewise where no call can succeed. A cap
    /// that is reached lets those finish that it has room for.
    ///
    /// # Errors
    ///
    /// As reading the input or writing the output does. When the input fails, what was taken up is finished first.
    pub async fn run<S, RB, O>(
        &self,
        client: S,
        input: &mut Reader<'_>,
        answered: &Ids,
        output: &mut Writer,
        user: Stop,
        observer: &mut O,
    ) -> io::Result<Counts>
    where
        S: Service<Request<Full<Bytes>>, Response = Response<RB>, Error = BoxError> + Clone,
        RB: Body<Data = Bytes, Error: Into<BoxError>>,
        O: Observe,
    {
        let mut counts = Counts::default();
        let first = FirstCalls::default();
        let mut rules = EndRules::new(self.max_failures);
        let mut calls = FuturesUnordered::new();
        // Calls for which a cap has no room while others hold a part of it.
        let mut parked = VecDeque::new();
        let mut failure = None;
        let (mut input_open, mut pressed) = (true, false);
        let started = Instant::now();
        let (mut give_up, mut resume) = (None, None);
        let (mut gentle, mut at_once) = (user.clone(), user);
        // Pressed by the user's, and where no call can succeed.
        let (stopper, stop) = stop();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while input_open || !calls.is_empty() || !parked.is_empty() {
            if calls.is_empty()
                && let Some(call) = parked.pop_front()
            {
                calls.push(self.one(client.clone(), (call, None), &first, stop.clone()));
            }
            tokio::select! {
                biased;
                () = at_once.at_once() => {
                    counts.stopped |= input_open || !parked.is_empty();
                    pressed = true;
                    break;
                }
                () = gentle.requested(), if !pressed => {
                    counts.stopped = input_open || !parked.is_empty();
                    (pressed, input_open) = (true, false);
                    counts.not_sent += count(parked.drain(..).len());
                    stopper.press();
                }
                () = sleep_until(give_up.unwrap_or(started)), if give_up.is_some() => break,
                () = sleep_until(resume.unwrap_or(started)), if resume.is_some() => {
                    resume = None;
                    first.resume();
                }
                Some(finished) = calls.next() => match finished {
                    Finished::Line(line) => {
                        if line.is_without_account {
                            counts.not_sent += 1;
                        } else {
                            output.write(&line.record)?;
                            counts.note(&line.record);
                            observer.ended(EndedCall {
                                model: line.route.model(),
                                times: line.times,
                                is_success: line.record.is_success(),
                            });
                        }
                        match self.after(*line, &mut rules, &first) {
                            Next::GoOn => {}
                            Next::OneByOne => {
                                resume.get_or_insert(Instant::now() + PAUSE);
                            }
                            // Calls that were on their way find the same.
                            Next::CloseRoute(fatal) if counts.has_closed(&fatal) => {}
                            Next::CloseRoute(fatal) => {
                                observer.closed(&fatal);
                                counts.closed.push(fatal);
                            }
                            Next::End(ended) => {
                                input_open = false;
                                counts.not_sent += count(parked.drain(..).len());
                                if matches!(&ended, Ended::Fatal(fatal) if fatal.reason.may_pass()) {
                                    give_up = Some(Instant::now() + HANGING);
                                }
                                counts.ended.get_or_insert(ended);
                                stopper.press();
                            }
                        }
                        for call in parked.drain(..parked.len().min(TRY_AGAIN)) {
                            calls.push(self.one(client.clone(), (call, None), &first, stop.clone()));
                        }
                    }
                    Finished::Again(_, _) if pressed || counts.ended.is_some() => counts.not_sent += 1,
                    Finished::Again(call, deadline) => calls.push(self.one(client.clone(), (call, Some(deadline)), &first, stop.clone())),
                    Finished::NotSent => counts.not_sent += 1,
                    Finished::NoRoom(_, _) if pressed || counts.ended.is_some() => counts.not_sent += 1,
                    Finished::NoRoom(call, error) if !is_final(&error) => parked.push_back(call),
                    Finished::NoRoom(_, error) => {
                        input_open = false;
                        counts.not_sent += 1 + count(parked.drain(..).len());
                        counts.ended = Some(Ended::Cap(error));
                    }
                },
                item = input.next(), if input_open && parked.is_empty() && calls.len() < self.concurrency.get() => match item {
                    Ok(Some(Item::Call(call))) if answered.contains(&call.custom_id) => counts.answered_before += 1,
                    Ok(Some(Item::Call(call))) => calls.push(self.one(client.clone(), (call, None), &first, stop.clone())),
                    Ok(Some(Item::Bad(line))) => {
                        counts.bad_lines += 1;
                        output.bad_line(&line)?;
                        observer.bad_line(&line);
                    }
                    Ok(None) => input_open = false,
                    Err(error) => {
                        input_open = false;
                        failure = Some(error);
                    }
                },
                _ = ticks.tick() => {
                    counts.held = count(calls.len() + parked.len());
                    observer.tick(&counts);
                }
            }
        }
        counts.not_sent += count(calls.len() + parked.len());
        counts.held = 0;
        counts.stopped |= pressed && counts.not_sent > 0;
        drop(calls);
        counts.close();
        observer.tick(&counts);
        match failure {
            Some(error) => Err(error),
            None => Ok(counts),
        }
    }

    /// One call.
    async fn one<S, RB>(
        &self,
        client: S,
        call: (InputCall, Option<Deadline>),
        first: &FirstCalls,
        mut stop: Stop,
    ) -> Finished
    where
        S: Service<Request<Full<Bytes>>, Response = Response<RB>, Error = BoxError>,
        RB: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let flight = Flight::default();
        // What is held by the hundred is moved as a pointer: the futures of the stack have kilobytes.
        let work = Box::pin(self.send(client, call, first, &flight));
        let finished = flight.unless(stop.requested(), work).await;
        finished.unwrap_or(Finished::NotSent)
    }

    async fn send<S, RB>(
        &self,
        client: S,
        (call, deadline): (InputCall, Option<Deadline>),
        first: &FirstCalls,
        flight: &Flight,
    ) -> Finished
    where
        S: Service<Request<Full<Bytes>>, Response = Response<RB>, Error = BoxError>,
        RB: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let route = self.requests.route(&call);
        let line = |call: InputCall, turn, outcome: Outcome, provider: &str| {
            let record = Record::new(call.custom_id, outcome.response, outcome.error);
            Finished::Line(Box::new(Line {
                record: record.by(provider).carrying(call.carried),
                times: outcome.times,
                fatal: outcome
                    .fatal
                    .map(|fatal| fatal.of(route.model(), route.path())),
                is_without_account: outcome.is_without_account,
                turn,
                route: route.clone(),
            }))
        };
        let mut request = match self.requests.build(&call) {
            Ok(request) => request,
            Err(error) => {
                let error = Some(ErrorPart::new("bad_request", error.to_string()));
                let outcome = Outcome {
                    error,
                    ..Outcome::default()
                };
                return line(call, Turn::default(), outcome, &self.provider);
            }
        };
        request.extensions_mut().insert(flight.clone());
        let accounts = self.accounts.as_ref();
        let served = accounts.map(|accounts| accounts.prepare(&mut request, &route));
        let Some(mut turn) = first.enter(route.key()).await else {
            return Finished::NotSent;
        };
        let deadline = deadline.unwrap_or_else(|| Deadline::after(self.deadline));
        let mut work = pin!(perform(client, request, deadline));
        let mut outcome = None;
        if turn.is_first() {
            outcome = timeout(OPEN_AFTER, work.as_mut()).await.ok();
            if outcome.is_none() {
                std::mem::take(&mut turn).open();
            }
        }
        let mut outcome = match outcome {
            Some(outcome) => outcome,
            None => work.await,
        };
        if let Some(error) = outcome.over_cap.take() {
            return Finished::NoRoom(call, error);
        }
        let Some((accounts, served)) = accounts.zip(served) else {
            return line(call, turn, outcome, &self.provider);
        };
        if let Some(fatal) = &outcome.fatal {
            accounts.note_answer(served.index(), fatal);
        }
        let may_go_on = match &outcome.fatal {
            Some(fatal) => accounts.has_another(fatal, &route),
            None => outcome.is_without_account,
        };
        if may_go_on {
            // The next call may be the first, while this one waits.
            drop(turn);
            sleep(AGAIN).await;
            return Finished::Again(call, deadline);
        }
        match accounts.count() {
            1 => line(call, turn, outcome, &self.provider),
            _ => {
                let provider = accounts.get(served.index()).provider();
                line(call, turn, outcome, &provider)
            }
        }
    }

    /// Lets the calls go that waited for this one, or not.
    fn after(&self, line: Line, rules: &mut EndRules, first: &FirstCalls) -> Next {
        let by_accounts = self.accounts.as_ref().zip(line.fatal.as_ref());
        let next = by_accounts.and_then(|(accounts, fatal)| accounts.next(fatal));
        let next = next.unwrap_or_else(|| {
            rules.note(Finding {
                route: line.route.key(),
                is_success: line.record.is_success(),
                is_answered: line.record.response.is_some(),
                fatal: line.fatal.as_ref(),
            })
        });
        match &next {
            Next::GoOn => line.turn.open(),
            Next::CloseRoute(_) => {
                first.close(line.route.key());
                line.turn.close_route();
            }
            Next::OneByOne => {
                // Its end lets the next one go, if it was the first.
                drop(line.turn);
                first.suspend();
            }
            // The others are stopped where they wait.
            Next::End(_) => {}
        }
        next
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
