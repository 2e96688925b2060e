use std::{sync::Arc, time::Duration};

use tower_qwen_tokens::internal::clock::Instant;

use super::charge::Charge;
use crate::{
    cost::Cost,
    error::{RejectKind, Rejected},
    queue::{FlowKey, Priority},
    units::Nanos,
};

/// A call that asks for admission.
#[derive(Debug, Clone)]
pub(crate) struct AdmitRequest {
    pub(crate) cost: Cost,
    /// What kind of answer is expected, where the user says.
    pub(crate) label: Option<Arc<str>>,
    /// When the call arrived first; `None`: now.
    pub(crate) arrived: Option<Instant>,
    pub(crate) flow: FlowKey,
    pub(crate) priority: Priority,
    /// What else it waits for, beside the account.
    pub(crate) pace: Pace,
    /// The most calls that may wait, beside the account's own limit.
    pub(crate) max_queued: usize,
    /// `None`: it waits as long as it takes.
    pub(crate) limit: Option<WaitLimit>,
}

/// A pace beside the account's gates, as seen when the request is polled: one request after the other.
///
/// At a server governor counts the requests, and says how long they wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pace {
    /// The wait of the next request, less a burst: negative while several may go at once. Unit: nanoseconds.
    pub(crate) next_in: i64,
    /// Between two requests. Unit: nanoseconds.
    pub(crate) interval: u64,
}

/// How long a call may wait, and by which limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WaitLimit<T = Instant> {
    /// The latest instant of its admission.
    pub(crate) until: T,
    /// The reason of a rejection by this limit.
    pub(crate) kind: RejectKind,
}

/// What a poll of a waiting call came to.
#[derive(Debug)]
pub(crate) enum WaitOutcome {
    Admitted(Charge),
    /// To be polled again at this instant, if it is not woken before.
    WaitUntil(Instant),
    /// To be polled again when it is woken.
    WaitForWake,
    /// It has left the queue, if it was in it.
    Rejected(Rejected),
}

impl Pace {
    /// Whether the next request may go now.
    #[inline]
    pub(crate) fn is_open(self) -> bool {
        self.next_in <= 0
    }

    /// The wait of a request behind so many others. Unit: nanoseconds.
    pub(crate) fn wait_behind(self, requests: u64) -> Nanos {
        let all = i128::from(self.next_in) + i128::from(requests) * i128::from(self.interval);
        u64::try_from(all.max(0)).unwrap_or(u64::MAX)
    }
}

impl AdmitRequest {
    /// A call that arrives now, of no tenant, without a limit to its wait.
    pub(crate) fn new(cost: Cost) -> Self {
        Self {
            cost,
            label: None,
            arrived: None,
            flow: FlowKey::default(),
            priority: Priority::default(),
            pace: Pace::default(),
            max_queued: usize::MAX,
            limit: None,
        }
    }

    /// The call begins to wait, for at most `max_wait`. The earlier of two limits counts.
    pub(crate) fn begin_wait(&mut self, now: Instant, max_wait: Option<Duration>) {
        self.arrived.get_or_insert(now);
        let Some(until) = max_wait.and_then(|longest| now.checked_add(longest)) else {
            return;
        };
        if self.limit.is_none_or(|limit| until < limit.until) {
            let kind = RejectKind::MaxWait;
            self.limit = Some(WaitLimit { until, kind });
        }
    }
}
