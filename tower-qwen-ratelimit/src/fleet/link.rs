use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::Waker,
};

use tower_qwen_tokens::{
    internal::clock::{self, Instant},
    ledger::Day,
};

use super::{
    CallId, Op, SharedAccount, Terms,
    op_queue::OpQueue,
    usage::{Gathered, UsageSums},
};
use crate::observe::{LimiterObserver, Observers};

/// Below this number of accounts dead ones are not pruned: a search at each new account would cost
/// more than they take.
const FEW: usize = 64;
/// Between the accounts of a process and the driver of their store.
// Lock order: `state`, then `alive`.
pub(crate) struct Link {
    pub(super) terms: Terms,
    alive: Mutex<Weak<()>>,
    state: Mutex<LinkState>,
}

#[derive(Default)]
pub(super) struct LinkState {
    pub(super) ops: OpQueue,
    pub(super) driver: Option<Waker>,
    pub(super) next_id: CallId,
    pub(super) accounts: Vec<Weak<dyn SharedAccount>>,
    /// From this number of accounts on, dead ones are pruned.
    pub(super) prune_at: usize,
    /// Heartbeats are wanted now: accounts are new, or need more than they have.
    pub(super) wants_heartbeats: bool,
    pub(super) observers: Vec<Weak<dyn LimiterObserver>>,
    pub(super) away_since: Option<Instant>,
    pub(super) has_driver: bool,
    pub(super) flushing: Vec<Waker>,
    pub(super) counts: LinkCounts,
    pub(super) usage: Gathered,
    /// Since when usage has been gathered.
    pub(super) usage_since: Option<Instant>,
}

/// What has gone through a link so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LinkCounts {
    pub(crate) round_trips: u64,
    pub(crate) operations: u64,
    pub(crate) dropped: u64,
    pub(crate) outages: u64,
    pub(crate) members: u64,
}

impl Link {
    pub(crate) fn new(terms: Terms) -> Arc<Self> {
        Arc::new(Self {
            terms,
            alive: Mutex::default(),
            state: Mutex::new(LinkState {
                has_driver: true,
                ..LinkState::default()
            }),
        })
    }

    pub(crate) fn terms(&self) -> &Terms {
        &self.terms
    }

    /// A token that lives as long as any handle.
    pub(super) fn alive(&self) -> Arc<()> {
        let mut alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        let strong = alive.upgrade().unwrap_or_default();
        *alive = Arc::downgrade(&strong);
        strong
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        let alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        alive.strong_count() == 0
    }

    pub(crate) fn wake_driver(&self) {
        let driver = self.lock().driver.take();
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// A number for a call.
    pub(crate) fn next_id(&self) -> CallId {
        let mut state = self.lock();
        state.next_id += 1;
        state.next_id
    }

    /// Queues an operation for the driver. Where the queue is full, what a call cost is not
    /// reported: its estimate stands. A booking always finds room, since an account has one at a
    /// time; given back before the driver has taken it, it is forgotten.
    pub(crate) fn push(&self, op: Op) {
        if matches!(op, Op::Heartbeat) {
            self.lock().wants_heartbeats = true;
            return self.wake_driver();
        }
        let mut state = self.lock();
        if let Some(booking) = state.ops.withdraw(&op) {
            drop(state);
            self.done(booking.epoch, 1);
            // Both hold their account: dropped without the lock, like every operation.
            return drop((booking, op));
        }
        let is_full = state.ops.len() >= self.terms.capacity && !op.is_booking();
        let is_futile = state.away_since.is_some() && op.is_query();
        if is_full || is_futile || !state.has_driver {
            state.counts.dropped += 1;
            drop(state);
            return drop(op);
        }
        state.ops.push(op);
        let driver = state.driver.take();
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// Gathers what was used; it goes with other operations, or alone after a while.
    pub(crate) fn add_usage(&self, day: Day, tenant: &str, model: &str, sums: UsageSums) {
        let mut state = self.lock();
        let capacity = self.terms.capacity;
        if !state.has_driver || !state.usage.add(day, tenant, model, sums, capacity) {
            state.counts.dropped += 1;
        } else if state.usage_since.is_none() {
            state.usage_since = Some(clock::now());
        }
    }

    /// An account joins.
    pub(crate) fn add_account(&self, account: Weak<dyn SharedAccount>) {
        let mut state = self.lock();
        if state.accounts.len() >= state.prune_at {
            state.accounts.retain(|account| account.strong_count() > 0);
            state.prune_at = (state.accounts.len() * 2).max(FEW);
        }
        state.accounts.push(account);
        state.wants_heartbeats = true;
        drop(state);
        self.wake_driver();
    }

    /// Calls these observers when the store goes away and comes back, as long as their limiter
    /// lives.
    pub(crate) fn observe(&self, observers: &Observers) {
        let mut state = self.lock();
        state.observers.retain(|known| known.strong_count() > 0);
        state.observers.extend(observers.downgrade());
    }

    /// Whether the store is away.
    pub(crate) fn is_away(&self) -> bool {
        let state = self.lock();
        state.away_since.is_some() || !state.has_driver
    }

    pub(crate) fn members(&self) -> u64 {
        self.lock().counts.members.max(1)
    }

    pub(crate) fn counts(&self) -> LinkCounts {
        self.lock().counts
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, LinkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Link")
            .field("terms", &self.terms)
            .field("waiting", &state.ops.len())
            .field("away_since", &state.away_since)
            .field("counts", &state.counts)
            .finish_non_exhaustive()
    }
}
