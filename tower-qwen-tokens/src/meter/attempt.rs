use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Extensions, HeaderMap, Method, Request, StatusCode, header::CONTENT_LENGTH};
use http_body::Body;

use crate::{
    Basis, Call, Dialect, End, Ledger, Report, UnknownReason, Usage, UsageSink, Verdict,
    call::{
        facts::{AttemptOutcome, SendMark, SendingLayer},
        is_signed,
        running::RunningCall,
    },
    data::WindowBook,
    ledger::{Entry, Labels, Tenant},
    price::is_batch_host,
    scan::{KnownEvents, NativeEvents, Scanned, Scanner},
    shared::{
        clock::{self, Instant},
        content::is_events,
    },
};

use super::{
    ResponseUsage,
    answer_usage::{SilentBody, is_cut, prompt_only, usage_of},
    counter::Counter,
    request_usage::request_usage,
    settings::Settings,
    usage_bound::{Answers, UsageBound, is_of_all_answers, of_all_answers, states_one},
    usage_event_filter::UsageEventFilter,
    usage_parts::with_possible_parts,
};

/// One attempt at a model call, from its send to the end of its answer. Reports exactly once, when
/// dropped at the latest.
pub(super) struct Attempt {
    ledger: Ledger,
    sink: Option<UsageSink>,
    counter: Counter,
    windows: Arc<WindowBook>,
    events: Arc<KnownEvents>,
    /// As the request names it; empty where it names none or was not read.
    model: Arc<str>,
    call: Arc<Call>,
    tenant: Option<Tenant>,
    labels: Labels,
    dialect: Dialect,
    /// Whether the host bills its calls as batch.
    batch: bool,
    /// Estimated tokens of the prompt; `None` where the request was not read.
    input_estimate: Option<u64>,
    /// Whether the request for usage is the Meter's and not the caller's.
    adds_usage_event: bool,
    sent: Instant,
    first_token: Option<Duration>,
    /// Of the answer, once its head has come.
    status: Option<StatusCode>,
    answer: Option<AnswerScan>,
    /// Of the answer's body. Unit: bytes.
    received: u64,
    /// Shared with the handler below.
    handle: ResponseUsage,
    /// What was known of the call before this attempt.
    mark: SendMark,
    running: RunningCall,
    reported: bool,
}

struct AnswerScan {
    verdict: Option<Verdict>,
    /// How many answers the call has.
    answers: Answers,
    /// Whether the host states the usage of one answer for all of them.
    states_one: bool,
    /// Whether its head announces a stream of events.
    is_events: bool,
    scanner: Result<Scanner, UnknownReason>,
}

impl Attempt {
    /// Begins the attempt that is about to be sent; `None` if it is no model call. Adds the request
    /// for usage, if it has to be added.
    pub(super) fn begin<B: Body + From<Bytes>>(
        settings: &Settings,
        sink: Option<UsageSink>,
        call: Arc<Call>,
        request: &mut Request<B>,
    ) -> Option<Self> {
        let (model, dialect, input_estimate) = match call.model_call() {
            Some(read) => (
                Arc::clone(&read.model),
                read.dialect,
                Some(read.input_tokens),
            ),
            None => (Arc::from(""), dialect_of_unread(&call, request)?, None),
        };
        let handle = ResponseUsage::new();
        request.extensions_mut().insert(handle.clone());
        let running = RunningCall::new(call.report());
        let facts = running.facts();
        facts.enter(SendingLayer::Meter);
        facts.sent(SendingLayer::Meter);
        Some(Self {
            mark: facts.send_mark(),
            running,
            ledger: settings.ledger.clone(),
            sink,
            counter: settings.counter.clone(),
            windows: Arc::clone(&settings.windows),
            events: Arc::clone(&settings.events),
            model,
            tenant: request.extensions().get().cloned(),
            labels: request.extensions().get().cloned().unwrap_or_default(),
            dialect,
            batch: request.uri().host().is_some_and(is_batch_host),
            input_estimate,
            adds_usage_event: settings.request_usage && request_usage(&call, request),
            sent: clock::now(),
            call,
            first_token: None,
            status: None,
            answer: None,
            received: 0,
            handle,
            reported: false,
        })
    }

    /// Takes the status of an answer that is yet to be classified.
    pub(super) fn receive_head(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// Begins to read the answer; returns a filter if it may have a usage event that the caller did
    /// not request.
    pub(super) fn receive_answer(
        &mut self,
        headers: &HeaderMap,
        verdict: Option<&Verdict>,
    ) -> Option<UsageEventFilter> {
        let answers = Answers::of(&self.call);
        let scanner = if self.is_success() {
            Scanner::for_response(headers, self.dialect)
                .map(|scanner| scanner.answers(answers.all, answers.per_prompt))
                .map(|scanner| scanner.native_events(self.native_events()))
                .map(|scanner| self.counter.prepare(scanner).share(&self.events))
                .map_err(UnknownReason::from)
        } else {
            Err(UnknownReason::NoSuccess)
        };
        // With a length or a digest the body must stay as it is, event included.
        let needs_filter = self.adds_usage_event
            && scanner.as_ref().is_ok_and(Scanner::may_read_events)
            && !headers.contains_key(CONTENT_LENGTH)
            && !is_signed(headers);
        self.answer = Some(AnswerScan {
            verdict: verdict.cloned(),
            answers,
            states_one: answers.all > 1 && states_one(headers),
            is_events: is_events(headers),
            scanner,
        });
        needs_filter.then(|| UsageEventFilter::new(answers.all))
    }

    pub(super) fn read(&mut self, data: &[u8]) {
        self.received = self.received.saturating_add(data.len() as u64);
        if let Some(scanner) = self.scanner() {
            scanner.push(data);
        }
        self.note_first_token();
    }

    /// Reads a chunk and filters it; returns what the caller gets next.
    pub(super) fn filter(&mut self, data: Bytes, filter: &mut UsageEventFilter) -> Option<Bytes> {
        self.received = self.received.saturating_add(data.len() as u64);
        let next = match self.scanner() {
            Some(scanner) => filter.push(data, scanner),
            None => Some(data),
        };
        self.note_first_token();
        next
    }

    /// Releases what is held back.
    pub(super) fn finish_filter(&mut self, filter: &mut UsageEventFilter) {
        if let Some(scanner) = self.scanner() {
            filter.finish(scanner);
        }
    }

    fn native_events(&self) -> NativeEvents {
        let stated = self.call.model_call();
        NativeEvents::of(stated.and_then(|call| call.incremental_output), &self.model)
    }

    fn is_success(&self) -> bool {
        self.status.is_some_and(|status| status.is_success())
    }

    fn scanner(&mut self) -> Option<&mut Scanner> {
        self.answer.as_mut()?.scanner.as_mut().ok()
    }

    fn note_first_token(&mut self) {
        if self.first_token.is_none()
            && self.scanner().is_some_and(|scanner| scanner.has_streamed())
        {
            self.first_token = Some(self.age());
        }
    }

    pub(super) fn end(mut self, end: End) {
        self.report(end);
    }

    fn age(&self) -> Duration {
        clock::now().saturating_duration_since(self.sent)
    }

    fn report(&mut self, end: End) {
        if std::mem::replace(&mut self.reported, true) {
            return;
        }
        let duration = self.age();
        let (Some(answer), Some(status)) = (self.answer.take(), self.status) else {
            // Nothing came of a success, or not even a head: the provider has worked on the prompt
            // at least. Of an error that nobody further in can explain it is not known.
            let costs_prompt = match end {
                End::Cancelled => self.status.is_none() || self.is_success(),
                _ => self.is_unanswered(),
            };
            let (usage, basis) = match self.handle.stated() {
                Some(stated) => (stated, Basis::Reported),
                None if !self.is_sent() => (Usage::default(), Basis::NotSent),
                None if costs_prompt && !self.may_cost() => (Usage::default(), Basis::NotSent),
                None if costs_prompt => prompt_only(self.input_estimate),
                None => (Usage::default(), Basis::Unknown),
            };
            self.record(Entry {
                status: self.status,
                duration: Some(duration),
                ..Entry::new(Arc::clone(&self.model), usage, basis, end)
            });
            self.handle.end(None);
            return;
        };
        // Of a stream each answer's usage is added where it stands.
        let is_json = answer
            .scanner
            .as_ref()
            .is_ok_and(|scanner| !scanner.may_read_events());
        let (mut scanned, unread) = match answer.scanner {
            Ok(scanner) if scanner.is_unknown() => {
                (Scanned::default(), Some(UnknownReason::ContentType))
            }
            Ok(scanner) => (self.counter.finish(scanner), None),
            Err(reason) => (Scanned::default(), Some(reason)),
        };
        let model = match scanned.model.take() {
            Some(model) if self.model.is_empty() => model,
            _ => Arc::clone(&self.model),
        };
        // As if it had not been stated.
        let bound = UsageBound {
            call: &self.call,
            answers: answer.answers,
            window: self.windows.window(&model),
            received: self.received,
        };
        let impossible = scanned.usage.take_if(|usage| !bound.allows(usage));
        scanned.usage = scanned.usage.map(with_possible_parts);
        if let Some(usage) = &mut scanned.usage
            && is_json
        {
            let delivered = scanned.delivered.tokens();
            let is_of_all = is_of_all_answers(usage, delivered, answer.answers);
            scanned.is_final &= !answer.states_one && is_of_all;
            if answer.states_one {
                *usage = of_all_answers(*usage, answer.answers, self.input_estimate);
            }
        }
        // What the handler states counts more than what its answer shows.
        let (usage, basis) = match self.handle.stated() {
            Some(stated) => (stated, Basis::Reported),
            None if !self.is_success() && !self.is_sent() => (Usage::default(), Basis::NotSent),
            // It was tried before, and that got no answer.
            None if !self.is_success() && self.is_unanswered() => prompt_only(self.input_estimate),
            None if unread.is_some() => (Usage::default(), Basis::Unknown),
            None => usage_of(&scanned, end, self.input_estimate),
        };
        let not_found = if is_cut(&scanned, end) {
            UnknownReason::CutShort
        } else {
            UnknownReason::NotStated
        };
        let says_nothing = basis == Basis::Unknown;
        let is_error = answer.verdict.is_some() || scanned.verdict.is_some();
        let (usage, basis) = if says_nothing && self.is_success() && !is_error {
            let body = SilentBody {
                bytes: self.received,
                is_encoded: unread == Some(UnknownReason::Encoded),
                is_events: answer.is_events,
            };
            let ceilings = [
                self.call.model_call().and_then(|call| call.output_ceiling),
                self.windows.window(&model).and_then(|it| it.max_output),
            ];
            body.usage(self.input_estimate, answer.answers.all, ceilings)
        } else {
            (usage, basis)
        };
        let report = Report {
            usage,
            basis,
            impossible,
            unknown: says_nothing.then_some(unread.unwrap_or(not_found)),
            end,
            status,
            verdict: answer.verdict.or(scanned.verdict),
            first_token: self.first_token,
            duration,
        };
        // An estimate must not teach the estimator.
        if basis == Basis::Reported
            && let Some(input) = usage.input_tokens
        {
            self.call.learn_input(input);
        }
        self.record(Entry {
            status: Some(status),
            cause: report.verdict.as_ref().map(Verdict::cause),
            impossible,
            unknown_code: report.verdict.as_ref().and_then(unknown_code),
            first_token: self.first_token,
            duration: Some(duration),
            ..Entry::new(model, usage, basis, end)
        });
        // The ledger first: a sink may read it.
        if let Some(sink) = self.sink.take() {
            sink.report(&report);
        }
        self.handle.end(Some(report));
    }

    /// Whether the provider may have worked on it.
    fn is_sent(&self) -> bool {
        self.running.facts().is_sent_since(self.mark)
    }

    /// Whether it may have cost something, though its caller has left.
    fn may_cost(&self) -> bool {
        self.running.facts().may_cost_since(self.mark)
    }

    /// Whether something of it was sent and got no answer, not even an error.
    fn is_unanswered(&self) -> bool {
        let facts = self.running.facts();
        facts.is_unanswered_since(self.mark).unwrap_or(false)
    }

    fn record(&mut self, entry: Entry) {
        let facts = self.running.facts();
        let sends = facts.take_sends(&self.mark);
        let entry = Entry {
            tenant: self.tenant.take(),
            labels: std::mem::take(&mut self.labels),
            dialect: Some(self.dialect),
            batch: self.batch,
            attempt: Some(sends.number),
            target: sends.target,
            queued: sends.queued,
            retry_wait: sends.retry_wait,
            ..entry
        };
        let cost = self.ledger.record_and_price(&entry);
        let outcome = AttemptOutcome {
            usage: entry.usage,
            basis: entry.basis,
            end: entry.end,
            cause: entry.cause,
        };
        facts.attempt_ended(&self.mark, outcome, cost, entry.tenant, entry.labels);
    }

    /// Puts the call's report into the extensions of its answer.
    pub(super) fn attach_report(&self, extensions: &mut Extensions) {
        self.running.attach(extensions);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        // The future or the body was dropped. After an earlier end this does nothing.
        self.report(End::Cancelled);
    }
}

fn unknown_code(verdict: &Verdict) -> Option<Arc<str>> {
    verdict
        .code()
        .filter(|_| verdict.is_unknown_code())
        .map(Arc::from)
}

/// The dialect of a model call whose body was not read.
fn dialect_of_unread<B>(call: &Call, request: &Request<B>) -> Option<Dialect> {
    let is_unread = call.body().is_none() && request.method() == Method::POST;
    is_unread.then(|| Dialect::of_path(request.uri().path()))?
}
