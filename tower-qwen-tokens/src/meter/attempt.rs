use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header::CONTENT_LENGTH};
use http_body::Body;

use crate::{
    Basis, Call, Dialect, End, Ledger, Report, UnknownReason, Usage, UsageSink, Verdict,
    call::is_signed,
    internal::clock::{self, Instant},
    ledger::{Entry, Labels, Tenant},
    scan::{Scanned, Scanner, UnsupportedBody},
};

use super::{
    ResponseUsage, ask::ask, counter::Counter, extra_event::ExtraEvent, service::Settings,
};

/// One attempt at a model call, from its send to the end of its answer. Reports exactly once, when dropped at the latest.
pub(super) struct Attempt {
    ledger: Ledger,
    sink: Option<UsageSink>,
    counter: Counter,
    /// As the request names it; empty where it names none or was not read.
    model: Arc<str>,
    call: Arc<Call>,
    tenant: Option<Tenant>,
    labels: Labels,
    dialect: Dialect,
    /// Estimated tokens of the prompt; `None` where the request was not read.
    input_estimate: Option<u64>,
    /// Whether the request asks for usage without its caller having asked.
    asked: bool,
    sent: Instant,
    first_token: Option<Duration>,
    /// Of the answer, once its head has come.
    status: Option<StatusCode>,
    answer: Option<Answer>,
    /// What the handler knows the attempt by.
    handle: ResponseUsage,
    reported: bool,
}

struct Answer {
    verdict: Option<Verdict>,
    scanner: Result<Scanner, UnknownReason>,
}

impl Attempt {
    /// The attempt that is about to be sent; `None` where it is no model call. The request asks for usage from here on,
    /// where it is to.
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
        Some(Self {
            ledger: settings.ledger.clone(),
            sink,
            counter: settings.counter.clone(),
            model,
            tenant: request.extensions().get().cloned(),
            labels: request.extensions().get().cloned().unwrap_or_default(),
            dialect,
            input_estimate,
            asked: settings.ask_for_usage && ask(&call, request),
            sent: clock::now(),
            call,
            first_token: None,
            status: None,
            answer: None,
            handle,
            reported: false,
        })
    }

    /// The answer's head has come.
    pub(super) fn headed(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// Begins to read the answer; gives what takes the extra event out of it, where there may be one.
    pub(super) fn answered(
        &mut self,
        headers: &HeaderMap,
        verdict: Option<&Verdict>,
    ) -> Option<ExtraEvent> {
        let scanner = if self.is_success() {
            Scanner::for_response(headers, self.dialect)
                .map(|scanner| self.counter.prepare(scanner))
                .map_err(UnknownReason::from)
        } else {
            Err(UnknownReason::NoSuccess)
        };
        let has_extra = self.asked
            && scanner.as_ref().is_ok_and(Scanner::reads_events)
            && !headers.contains_key(CONTENT_LENGTH)
            && !is_signed(headers);
        self.answer = Some(Answer {
            verdict: verdict.cloned(),
            scanner,
        });
        has_extra.then(ExtraEvent::default)
    }

    pub(super) fn read(&mut self, data: &[u8]) {
        if let Some(scanner) = self.scanner() {
            scanner.push(data);
        }
        self.look_for_text();
    }

    /// Reads a chunk and has it sorted; gives what goes on next.
    pub(super) fn sort(&mut self, data: Bytes, extra: &mut ExtraEvent) -> Option<Bytes> {
        let next = match self.scanner() {
            Some(scanner) => extra.push(data, scanner),
            None => Some(data),
        };
        self.look_for_text();
        next
    }

    /// Lets go what is held back.
    pub(super) fn finish(&mut self, extra: &mut ExtraEvent) {
        if let Some(scanner) = self.scanner() {
            extra.finish(scanner);
        }
    }

    fn is_success(&self) -> bool {
        self.status.is_some_and(|status| status.is_success())
    }

    fn scanner(&mut self) -> Option<&mut Scanner> {
        self.answer.as_mut()?.scanner.as_mut().ok()
    }

    fn look_for_text(&mut self) {
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
            let was_left = end == End::Cancelled && (self.status.is_none() || self.is_success());
            let (usage, basis) = match self.handle.stated() {
                Some(stated) => (stated, Basis::Reported),
                None if was_left => prompt_alone(self.input_estimate),
                None => (Usage::default(), Basis::Unknown),
            };
            self.book(Entry {
                status: self.status,
                duration: Some(duration),
                ..Entry::new(Arc::clone(&self.model), usage, basis, end)
            });
            self.handle.end(None);
            return;
        };
        let (scanned, unread) = match answer.scanner {
            Ok(scanner) => (self.counter.finish(scanner), None),
            Err(reason) => (Scanned::default(), Some(reason)),
        };
        let (usage, basis) = match self.handle.stated() {
            Some(stated) => (stated, Basis::Reported),
            None if unread.is_some() => (Usage::default(), Basis::Unknown),
            None => settle(&scanned, end, self.input_estimate),
        };
        let nothing = if end == End::Complete {
            UnknownReason::NotStated
        } else {
            UnknownReason::CutShort
        };
        let report = Report {
            usage,
            basis,
            unknown: (basis == Basis::Unknown).then_some(unread.unwrap_or(nothing)),
            end,
            status,
            verdict: answer.verdict.or(scanned.verdict),
            first_token: self.first_token,
            duration,
        };
        if basis == Basis::Reported
            && let Some(input) = usage.input_tokens
        {
            self.call.learn_input(input);
        }
        let model = match scanned.model {
            Some(model) if self.model.is_empty() => model,
            _ => Arc::clone(&self.model),
        };
        self.book(Entry {
            status: Some(status),
            cause: report.verdict.as_ref().map(Verdict::cause),
            first_token: self.first_token,
            duration: Some(duration),
            ..Entry::new(model, usage, basis, end)
        });
        if let Some(sink) = self.sink.take() {
            sink.report(&report);
        }
        self.handle.end(Some(report));
    }

    fn book(&mut self, entry: Entry) {
        self.ledger.record(&Entry {
            tenant: self.tenant.take(),
            labels: std::mem::take(&mut self.labels),
            dialect: Some(self.dialect),
            ..entry
        });
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.report(End::Cancelled);
    }
}

impl From<UnsupportedBody> for UnknownReason {
    fn from(reason: UnsupportedBody) -> Self {
        match reason {
            UnsupportedBody::Encoded => Self::Encoded,
            UnsupportedBody::ContentType => Self::ContentType,
        }
    }
}

/// The dialect of a model call whose body was left unread.
fn dialect_of_unread<B>(call: &Call, request: &Request<B>) -> Option<Dialect> {
    let is_unread = call.body().is_none() && request.method() == Method::POST;
    is_unread.then(|| Dialect::of_path(request.uri().path()))?
}

/// What the call cost by all that was seen of its answer.
fn settle(scanned: &Scanned, end: End, input_estimate: Option<u64>) -> (Usage, Basis) {
    let delivered = scanned.delivered.tokens();
    match scanned.usage {
        Some(usage) if scanned.is_final || end == End::Complete => (usage, Basis::Reported),
        Some(usage) => {
            let (input, output) = usage.input_and_output().unwrap_or_default();
            let estimate = Usage {
                input_tokens: Some(input).filter(|&stated| stated > 0).or(input_estimate),
                output_tokens: Some(output.max(delivered)),
                total_tokens: None,
                ..usage
            };
            (estimate, Basis::Estimated)
        }
        None if delivered > 0 => {
            let estimate = Usage {
                input_tokens: input_estimate,
                output_tokens: Some(delivered),
                ..Usage::default()
            };
            (estimate, Basis::Estimated)
        }
        None if end != End::Complete && scanned.verdict.is_none() => prompt_alone(input_estimate),
        None => (Usage::default(), Basis::Unknown),
    }
}

/// What a call cost at the least that was left or broke off before a word of the model came.
fn prompt_alone(input_estimate: Option<u64>) -> (Usage, Basis) {
    let usage = Usage {
        input_tokens: input_estimate,
        ..Usage::default()
    };
    let basis = input_estimate.map_or(Basis::Unknown, |_| Basis::Estimated);
    (usage, basis)
}
