use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use http::Request;
use tokio::sync::Notify;

use crate::{Report, Usage, UsageSink};

/// The usage of the answer under way, for the handler below a Meter: it can state it, or learn what the Meter reported.
///
/// The Meter puts one into the extensions of every request that it meters. Clones share everything.
#[derive(Clone)]
pub struct ResponseUsage(Arc<Shared>);

struct Shared {
    stated: OnceLock<Usage>,
    further: Mutex<Option<UsageSink>>,
    /// What was reported at the end; `None` where no answer came.
    outcome: OnceLock<Option<Report>>,
    ended: Notify,
}

impl ResponseUsage {
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared {
            stated: OnceLock::new(),
            further: Mutex::new(None),
            outcome: OnceLock::new(),
            ended: Notify::new(),
        }))
    }

    /// The handle of a request; `None` where no Meter stands above, or the request is no model call.
    #[must_use]
    pub fn of<B>(request: &Request<B>) -> Option<&Self> {
        request.extensions().get()
    }

    /// States what the answer costs, for handlers that know better than their answer tells: it is in a shape of their
    /// own, say, or compressed. Counts in place of what the Meter finds, as [`Basis::Reported`](crate::Basis::Reported).
    ///
    /// The first statement counts. One that comes after the answer's end changes nothing.
    pub fn state(&self, usage: Usage) {
        let _ = self.0.stated.set(usage);
    }

    /// Has the report go to a further sink. The latest one takes the place of the one before, which is dropped uncalled.
    ///
    /// For a gateway, whose one Meter settles both sides: what was set aside for its caller, and what an Admission behind it
    /// has set aside for the attempt. The Admission puts its sink into the request; whoever stands right below takes it out
    /// and hands it on here, attempt by attempt, so that the last one hears.
    pub fn tell(&self, sink: UsageSink) {
        *self.further() = Some(sink);
    }

    /// What the Meter reported; `None` before the answer's end, and where no answer came.
    #[must_use]
    pub fn report(&self) -> Option<&Report> {
        self.0.outcome.get()?.as_ref()
    }

    /// Waits for the answer's end and gives what the Meter reported; `None` where no answer came.
    ///
    /// For a task beside the handler. The handler itself would wait for an end that comes after its own.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn ended(&self) -> Option<Report> {
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
        let further = self.further().take();
        if let (Some(sink), Some(report)) = (further, &outcome) {
            sink.report(report);
        }
        let _ = self.0.outcome.set(outcome);
        self.0.ended.notify_waiters();
    }

    fn further(&self) -> MutexGuard<'_, Option<UsageSink>> {
        self.0
            .further
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
