//! The driver's side of a link.

use std::{
    mem,
    sync::{Arc, Weak},
    task::{Context, Poll, Waker},
};

use tower_qwen_tokens::internal::clock;

use super::{
    Link, SharedAccount,
    op_queue::{FlushEpoch, OpBatch},
};
use crate::{
    leased_amounts::LeasedBudgets,
    observe::{LimiterEvent, LimiterObserver},
};

/// This many operations are worth a round trip at once, whether or not a caller waits.
const FULL_BATCH: usize = 64;
/// The most operations of one round trip: all have to be answered within its one timeout.
// 512 is a choice: the store takes 2,700 to 3,500 a second (docs/performance.md, `fleet_speed`), and
// faster in a batch; the default timeout is half a second.
const MAX_BATCH: usize = 512;

/// What the driver is to do next.
pub(crate) enum Work {
    Ops(OpBatch),
    /// Heartbeats are wanted now.
    Heartbeats,
    /// Budgets have something to report.
    Leases,
    /// All handles are gone, and everything has been taken.
    End,
}

/// Whether operations for which no caller waits go now, or wait for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Linger {
    Waits,
    Over,
}

impl Link {
    /// What the driver does next. Operations for which no caller waits come when they have
    /// lingered, or with others.
    pub(crate) fn poll_work(&self, cx: &mut Context<'_>, linger: Linger) -> Poll<Work> {
        let mut state = self.lock();
        if mem::take(&mut state.wants_heartbeats) {
            return Poll::Ready(Work::Heartbeats);
        }
        if mem::take(&mut state.wants_leases) {
            return Poll::Ready(Work::Leases);
        }
        let is_over = self.is_abandoned();
        // Nothing more comes, so nothing is gathered any longer.
        if is_over {
            state.queue_usage(self.terms.capacity);
        }
        let is_due = linger == Linger::Over
            || is_over
            || !state.flushing.is_empty()
            || state.ops.len() >= FULL_BATCH
            || state.ops.has_urgent();
        if is_due && !state.ops.is_empty() {
            return Poll::Ready(Work::Ops(state.ops.take(MAX_BATCH)));
        }
        if is_over && state.ops.is_empty() {
            return Poll::Ready(Work::End);
        }
        state.driver = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(crate) fn has_ops(&self) -> bool {
        !self.lock().ops.is_empty()
    }

    /// So many operations of an epoch are done.
    pub(crate) fn done(&self, epoch: FlushEpoch, count: usize) {
        let mut state = self.lock();
        state.ops.done(epoch, count);
        let flushing = mem::take(&mut state.flushing);
        drop(state);
        flushing.into_iter().for_each(Waker::wake);
    }

    /// Takes back a batch that may not have arrived: it comes first next time.
    pub(crate) fn return_batch(&self, taken: OpBatch) {
        self.lock().ops.return_batch(taken);
    }

    pub(crate) fn count_round_trip(&self, operations: usize) {
        let mut state = self.lock();
        state.counts.round_trips += 1;
        state.counts.operations += operations as u64;
    }

    /// So many operations reach no store.
    pub(crate) fn count_dropped(&self, operations: usize) {
        self.lock().counts.dropped += operations as u64;
    }

    pub(crate) fn set_members(&self, members: u64) {
        self.lock().counts.members = members;
    }

    pub(crate) fn accounts(&self) -> Vec<Arc<dyn SharedAccount>> {
        let state = self.lock();
        state.accounts.iter().filter_map(Weak::upgrade).collect()
    }

    pub(crate) fn budgets(&self) -> Vec<Arc<dyn LeasedBudgets>> {
        let state = self.lock();
        state.budgets.iter().filter_map(Weak::upgrade).collect()
    }

    /// The store is away. Observers get one event until it is back.
    pub(crate) fn went_away(&self, reason: &str) {
        let mut state = self.lock();
        let queries = state.ops.take_queries();
        // Each failed attempt to reconnect comes here; observers get one event.
        if state.away_since.is_none() {
            state.away_since = Some(clock::now());
            state.counts.outages += 1;
            let observers = state.observers.clone();
            drop(state);
            let outage = self.terms.outage;
            emit_to(&observers, &LimiterEvent::StoreAway { outage, reason });
        } else {
            drop(state);
        }
        // Each query ends with its drop: its caller learns that there is no answer.
        drop(queries);
        for account in self.accounts() {
            account.on_store_away();
        }
        for budgets in self.budgets() {
            budgets.on_store_away();
        }
    }

    /// The store is back.
    pub(crate) fn came_back(&self) {
        let mut state = self.lock();
        let Some(since) = state.away_since.take() else {
            return;
        };
        let observers = state.observers.clone();
        drop(state);
        let away_for = clock::now().saturating_duration_since(since);
        emit_to(&observers, &LimiterEvent::StoreBack { away_for });
        for account in self.accounts() {
            account.on_store_back();
        }
        for budgets in self.budgets() {
            budgets.on_store_back();
        }
    }

    /// There is no driver any more: the store is away for good.
    pub(crate) fn end(&self) {
        let (flushing, ops) = {
            let mut state = self.lock();
            state.has_driver = false;
            (mem::take(&mut state.flushing), mem::take(&mut state.ops))
        };
        // After the lock: operations hold accounts, and those a handle of this link.
        drop(ops);
        flushing.into_iter().for_each(Waker::wake);
        if !self.is_abandoned() {
            self.went_away("its driver has ended");
        }
    }
}

fn emit_to(observers: &[Weak<dyn LimiterObserver>], event: &LimiterEvent<'_>) {
    for observer in observers.iter().filter_map(Weak::upgrade) {
        observer.on_event(event);
    }
}
