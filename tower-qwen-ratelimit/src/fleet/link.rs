use std::{
    fmt,
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::Waker,
    time::Duration,
};

use tower_qwen_tokens::{
    internal::clock::{self, Instant},
    ledger::Day,
};

use super::{
    CallId, Op, SharedAccount,
    op_queue::OpQueue,
    usage::{Gathered, UsageSums},
};
use crate::{
    key::FleetSalt,
    leased_amounts::LeasedBudgets,
    observe::{LimiterObserver, Observers},
    sharing::{OutagePolicy, Sharing},
};

/// Below this number of accounts dead ones are not pruned: a search at each new account would cost
/// more than they take.
const FEW: usize = 64;

/// What the processes of a fleet have agreed on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) sharing: Sharing,
    pub(crate) outage: OutagePolicy,
    /// How long an operation may take before the store counts as away.
    pub(crate) timeout: Duration,
    /// Operations that may wait for the driver.
    pub(crate) capacity: usize,
    /// Processes that are taken to share the accounts until the store has counted them.
    pub(crate) processes: u64,
    /// Of the digests of callers' secrets.
    pub(crate) salt: FleetSalt,
}

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
    pub(super) budgets: Vec<Weak<dyn LeasedBudgets>>,
    /// Budgets have something to report now.
    pub(super) wants_leases: bool,
    pub(super) observers: Vec<Weak<dyn LimiterObserver>>,
    pub(super) away_since: Option<Instant>,
    pub(super) has_driver: bool,
    pub(super) flushing: Vec<Waker>,
    /// [`Link::snapshot`] adds whether it is away.
    pub(super) counts: StoreSnapshot,
    pub(super) usage: Gathered,
    /// Since when usage has been gathered.
    pub(super) usage_since: Option<Instant>,
}

/// What has become of a store so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreSnapshot {
    /// Whether the server is away.
    pub is_away: bool,
    /// How often it went away.
    pub outages: u64,
    /// Round trips to the server.
    pub round_trips: u64,
    /// Operations that went along.
    pub operations: u64,
    /// Operations that found the queue full, no driver, or an account that the server refuses.
    pub dropped: u64,
    /// Processes that live and have the same namespace, as the latest heartbeat counted them.
    pub members: u64,
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
    fn alive(&self) -> Arc<()> {
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
        wake_driver(self.lock());
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
        let mut state = self.lock();
        if matches!(op, Op::Heartbeat) {
            state.wants_heartbeats = true;
            return wake_driver(state);
        }
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
        wake_driver(state);
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
        wake_driver(state);
    }

    /// Budgets join. Returns whether the store is away.
    pub(crate) fn add_budgets(&self, budgets: Weak<dyn LeasedBudgets>) -> bool {
        let mut state = self.lock();
        state.budgets.retain(|known| known.strong_count() > 0);
        state.budgets.push(budgets);
        state.away_since.is_some() || !state.has_driver
    }

    /// Budgets have something to report.
    pub(crate) fn request_leases(&self) {
        let mut state = self.lock();
        state.wants_leases = true;
        wake_driver(state);
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
        self.snapshot().is_away
    }

    /// Processes that live and have the same namespace, as the store counted them last, or as many as
    /// the application expects.
    pub(crate) fn members(&self) -> u64 {
        match self.counted_members() {
            0 => self.terms.processes,
            members => members,
        }
    }

    /// The same; 0 while the store has counted none.
    pub(crate) fn counted_members(&self) -> u64 {
        self.lock().counts.members
    }

    pub(crate) fn snapshot(&self) -> StoreSnapshot {
        let state = self.lock();
        StoreSnapshot {
            is_away: state.away_since.is_some() || !state.has_driver,
            ..state.counts
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, LinkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the driver once the lock is released: a waker may run code of others.
pub(super) fn wake_driver(mut state: MutexGuard<'_, LinkState>) {
    let driver = state.driver.take();
    drop(state);
    if let Some(driver) = driver {
        driver.wake();
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

/// An end of a link on the side of the calls. When all are gone, the driver ends.
#[derive(Clone)]
pub(crate) struct Handle {
    // An option, so that it is dropped before the link is asked whether others are left.
    alive: Option<Arc<()>>,
    link: Arc<Link>,
}

impl Handle {
    /// The first of them.
    pub(crate) fn new(link: Arc<Link>) -> Self {
        Self {
            alive: Some(link.alive()),
            link,
        }
    }
}

impl Deref for Handle {
    type Target = Link;

    fn deref(&self) -> &Link {
        &self.link
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.alive = None;
        if self.link.is_abandoned() {
            self.link.wake_driver();
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.link.fmt(f)
    }
}
