//! Flushing: the usage gathered so far is queued, and what is queued is waited for.

use std::{
    task::{Context, Poll, Waker},
    time::Duration,
};

use tower_qwen_tokens::internal::clock;

use super::{
    Link, Op, UsageBatch,
    link::{LinkState, wake_driver},
    op_queue::FlushEpoch,
};

/// Usage is gathered for at most this long: a day's sums need no haste, and many calls become one
/// operation.
const GATHERED: Duration = Duration::from_secs(5);

/// Progress of a flush.
#[derive(Debug)]
pub(crate) struct FlushProgress {
    until: FlushEpoch,
    /// Whether the usage gathered so far is queued too; otherwise it has found no room yet.
    is_all: bool,
}

impl Link {
    /// Queues the usage that was gathered, if it has been for long enough.
    pub(crate) fn queue_old_usage(&self) {
        let mut state = self.lock();
        let is_old = |since| clock::now().saturating_duration_since(since) >= GATHERED;
        if state.usage_since.is_some_and(is_old) {
            state.queue_usage(self.terms.capacity);
        }
    }

    /// Begins to flush everything so far.
    pub(crate) fn begin_flush(&self) -> FlushProgress {
        self.lock().begin_flush(self.terms.capacity)
    }

    /// Ready once that is done, or there is no driver any more to do it.
    pub(crate) fn poll_flush(&self, flush: &mut FlushProgress, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        while state.has_driver {
            if state.ops.is_done(flush.until) {
                if flush.is_all {
                    break;
                }
                // There is room now for usage that found none before.
                *flush = state.begin_flush(self.terms.capacity);
                continue;
            }
            let is_it = |waker: &Waker| waker.will_wake(cx.waker());
            if !state.flushing.iter().any(is_it) {
                state.flushing.push(cx.waker().clone());
            }
            // What lingers does not linger now.
            wake_driver(state);
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

impl LinkState {
    /// Queues the usage that was gathered. While the queue is full, it is gathered on: nothing of
    /// it is lost.
    pub(super) fn queue_usage(&mut self, capacity: usize) {
        let is_full = !self.ops.is_empty() && self.ops.len() >= capacity;
        if is_full || self.usage_since.is_none() {
            return;
        }
        self.usage_since = None;
        for (day, sums) in self.usage.take() {
            self.next_id += 1;
            let id = self.next_id;
            self.ops.push(Op::AddUsage(UsageBatch { id, day, sums }));
        }
    }

    fn begin_flush(&mut self, capacity: usize) -> FlushProgress {
        self.queue_usage(capacity);
        FlushProgress {
            until: self.ops.end_epoch(),
            is_all: self.usage_since.is_none(),
        }
    }
}
