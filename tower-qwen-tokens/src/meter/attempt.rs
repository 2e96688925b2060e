use std::{io::IoSlice, sync::Arc, time::Duration};

use bytes::Buf;
use http::{HeaderMap, StatusCode};

use crate::{
    Basis, Call, Dialect, End, Ledger, Report, Usage, UsageSink, Verdict,
    clock::{self, Instant},
    ledger::Entry,
    scan::{Scanned, Scanner},
};

/// One attempt at a model call, from its send to the end of its answer. Reports exactly once, when dropped at the latest.
pub(super) struct Attempt {
    ledger: Ledger,
    sink: Option<UsageSink>,
    model: Arc<str>,
    dialect: Dialect,
    input_estimate: u64,
    sent: Instant,
    first_token: Option<Duration>,
    answer: Option<Answer>,
    reported: bool,
}

struct Answer {
    status: StatusCode,
    verdict: Option<Verdict>,
    scanner: Option<Scanner>,
}

impl Attempt {
    /// The attempt that is about to be sent; `None` where it is no model call.
    pub(super) fn begin(ledger: &Ledger, sink: Option<UsageSink>, call: &Call) -> Option<Self> {
        let call = call.model_call()?;
        Some(Self {
            ledger: ledger.clone(),
            sink,
            model: Arc::clone(&call.model),
            dialect: call.dialect,
            input_estimate: call.input_tokens,
            sent: clock::now(),
            first_token: None,
            answer: None,
            reported: false,
        })
    }

    pub(super) fn answered(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
        verdict: Option<&Verdict>,
    ) {
        let scanner = status
            .is_success()
            .then(|| Scanner::for_response(headers, self.dialect));
        self.answer = Some(Answer {
            status,
            verdict: verdict.cloned(),
            scanner: scanner.flatten(),
        });
    }

    /// Reads a chunk without consuming it.
    pub(super) fn read(&mut self, data: &impl Buf) {
        let Some(Answer { scanner, .. }) = &mut self.answer else {
            return;
        };
        let Some(reader) = scanner else { return };
        let mut slices = [IoSlice::new(&[]); 16];
        let count = data.chunks_vectored(&mut slices);
        let shown: usize = slices[..count].iter().map(|slice| slice.len()).sum();
        if shown < data.remaining() {
            *scanner = None;
            return;
        }
        for slice in &slices[..count] {
            reader.push(slice);
        }
        if self.first_token.is_none() && reader.has_streamed() {
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
        let duration = Some(self.age());
        let Some(answer) = self.answer.take() else {
            let entry = Entry::unanswered(Arc::clone(&self.model), end);
            self.ledger.record(&Entry { duration, ..entry });
            return;
        };
        let scanned = answer.scanner.map(Scanner::finish).unwrap_or_default();
        let (usage, basis) = settle(&scanned, end, self.input_estimate);
        let report = Report {
            usage,
            basis,
            end,
            status: answer.status,
            verdict: answer.verdict.or(scanned.verdict),
        };
        self.ledger.record(&Entry {
            status: Some(report.status),
            cause: report.verdict.as_ref().map(Verdict::cause),
            first_token: self.first_token,
            duration,
            ..Entry::new(Arc::clone(&self.model), usage, basis, end)
        });
        if let Some(sink) = self.sink.take() {
            sink.settle(&report);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.report(End::Cancelled);
    }
}

/// What the call cost by all that was seen of its answer.
fn settle(scanned: &Scanned, end: End, input_estimate: u64) -> (Usage, Basis) {
    let delivered = scanned.delivered.tokens();
    match scanned.usage {
        Some(usage) if scanned.is_final || end == End::Complete => (usage, Basis::Reported),
        Some(usage) => {
            let (input, output) = usage.input_and_output().unwrap_or_default();
            let estimate = Usage {
                input_tokens: Some(if input == 0 { input_estimate } else { input }),
                output_tokens: Some(output.max(delivered)),
                total_tokens: None,
                ..usage
            };
            (estimate, Basis::Estimated)
        }
        None if delivered > 0 => (Usage::new(input_estimate, delivered), Basis::Estimated),
        None => (Usage::default(), Basis::Unknown),
    }
}
