//! Telling everything so far: what was gathered is queued, and what is queued is waited for.

use std::{
    task::{Context, Poll, Waker},
    time::Duration,
};

use tower_qwen_tokens::internal::clock;

use super::{Batch, Link, Op, link::State, op_queue::Era};

/// Usage is gathered for so long at most.
const GATHERED: Duration = Duration::from_secs(5);

/// What somebody waits for who wants to know that everything is told.
#[derive(Debug)]
pub(crate) struct Flushing {
    until: Era,
    /// Whether usage is among it; otherwise it has found no room yet.
    is_all: bool,
}

impl Link {
    /// Queues what was gathered; where it is not urgent, only after a while.
    pub(crate) fn queue_usage(&self, is_urgent: bool) {
        self.lock().queue_usage(is_urgent, self.terms.capacity);
    }

    /// Everything so far is to be told.
    pub(crate) fn begin_flush(&self) -> Flushing {
        self.lock().begin_flush(self.terms.capacity)
    }

    /// Ready once that is done with, or nobody does it any more.
    pub(crate) fn poll_flush(&self, flush: &mut Flushing, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        while state.has_driver {
            if state.ops.is_done(flush.until) {
                if flush.is_all {
                    break;
                }
                *flush = state.begin_flush(self.terms.capacity);
                continue;
            }
            let is_it = |waker: &Waker| waker.will_wake(cx.waker());
            if !state.flushing.iter().any(is_it) {
                state.flushing.push(cx.waker().clone());
            }
            let driver = state.driver.take();
            drop(state);
            if let Some(driver) = driver {
                driver.wake();
            }
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

impl State {
    /// Where the queue is full, usage is gathered on.
    pub(super) fn queue_usage(&mut self, is_urgent: bool, capacity: usize) {
        let Some(since) = self.usage_since else {
            return;
        };
        if !self.ops.is_empty() && self.ops.len() >= capacity {
            return;
        }
        if !is_urgent && clock::now().saturating_duration_since(since) < GATHERED {
            return;
        }
        self.usage_since = None;
        for (day, sums) in self.usage.take() {
            self.next_id += 1;
            let id = self.next_id;
            self.ops.push(Op::AddUsage(Batch { id, day, sums }));
        }
    }

    fn begin_flush(&mut self, capacity: usize) -> Flushing {
        self.queue_usage(true, capacity);
        Flushing {
            until: self.ops.end_era(),
            is_all: self.usage_since.is_none(),
        }
    }
}
