use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use http::Request;
use tokio::sync::Notify;

use crate::{Report, Usage, UsageSink};

/// The usage of the present answer, for the handler below a Meter: to state it, or to read what the
/// Meter reported.
///
/// The Meter puts one into the extensions of every request that it meters. Clones share everything.
#[derive(Clone)]
pub struct ResponseUsage(Arc<UsageExchange>);

struct UsageExchange {
    stated: OnceLock<Usage>,
    second_sink: Mutex<Option<UsageSink>>,
    /// What was reported at the end; `None` if no answer came.
    outcome: OnceLock<Option<Report>>,
    ended: Notify,
}

impl ResponseUsage {
    pub(super) fn new() -> Self {
        Self(Arc::new(UsageExchange {
            stated: OnceLock::new(),
            second_sink: Mutex::new(None),
            outcome: OnceLock::new(),
            ended: Notify::new(),
        }))
    }

    /// The handle of a request; `None` if there is no Meter above, or the request is no model call.
    #[must_use]
    pub fn of<B>(request: &Request<B>) -> Option<&Self> {
        request.extensions().get()
    }

    /// States the usage of the answer, for handlers whose answers do not show it: they have a shape
    /// of their own, say, or are compressed. It replaces what the Meter finds, as
    /// [`Basis::Reported`](crate::Basis::Reported).
    ///
    /// The first statement counts. One that comes after the answer's end changes nothing.
    pub fn state(&self, usage: Usage) {
        let _ = self.0.stated.set(usage);
    }

    /// Sends the report to a second sink as well. The latest one replaces the one before, which is
    /// dropped uncalled.
    ///
    /// For a gateway whose one Meter settles two reservations: the one for its caller, and the one
    /// that an Admission behind it made for the attempt. The Admission puts its sink into the
    /// request; a service right below it takes the sink out and passes it to this method, attempt
    /// by attempt, so that the last attempt gets the report.
    pub fn report_to(&self, sink: UsageSink) {
        *self.second_sink() = Some(sink);
    }

    /// What the Meter reported; `None` before the answer's end, and if no answer came.
    #[must_use]
    pub fn report(&self) -> Option<&Report> {
        self.0.outcome.get()?.as_ref()
    }

    /// Waits for the answer's end and returns what the Meter reported; `None` if no answer came.
    ///
    /// For a task beside the handler. The handler itself would wait for ever: the answer ends after
    /// the handler.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn ended(&self) -> Option<Report> {
        // Registered before the check, so that an end between the two is not missed.
        let ended = self.0.ended.notified();
        if let Some(outcome) = self.0.outcome.get() {
            return outcome.clone();
        }
        ended.await;
        self.0.outcome.get().cloned().flatten()
    }

    pub(super) fn stated(&self) -> Option<Usage> {
        self.0.stated.get().copied()
    }

    pub(super) fn end(&self, outcome: Option<Report>) {
        // The lock is released before the sink is called: that may take other locks.
        let second_sink = self.second_sink().take();
        if let (Some(sink), Some(report)) = (second_sink, &outcome) {
            sink.report(report);
        }
        let _ = self.0.outcome.set(outcome);
        self.0.ended.notify_waiters();
    }

    fn second_sink(&self) -> MutexGuard<'_, Option<UsageSink>> {
        self.0
            .second_sink
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ResponseUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseUsage")
            .field("stated", &self.0.stated.get())
            .field("has_ended", &self.0.outcome.get().is_some())
            .finish_non_exhaustive()
    }
}
