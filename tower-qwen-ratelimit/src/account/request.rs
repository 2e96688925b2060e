use std::{sync::Arc, time::Duration};

use tower_qwen_tokens::internal::clock::Instant;

use super::charge::Charge;
use crate::{
    cost::Cost,
    error::{RejectKind, Rejected},
    queue::FlowKey,
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
    /// `None`: it waits as long as it takes.
    pub(crate) limit: Option<WaitLimit>,
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

impl AdmitRequest {
    /// A call that arrives now, of no tenant, without a limit to its wait.
    pub(crate) fn new(cost: Cost) -> Self {
        Self {
            cost,
            label: None,
            arrived: None,
            flow: FlowKey::default(),
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
