use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tower_qwen_tokens::internal::clock::{self, Instant};

use super::state::State;
#[cfg(feature = "redis")]
use crate::fleet::AccountLink;
use crate::{
    adapt::Plan,
    key::Key,
    observe::{LimiterEvent, Observers, emit},
    queue::{Discipline, Priority, WaitQueue, Wakes},
    quota::Quota,
    snapshot::{AccountSnapshot, LimitSnapshot},
    units::{NEVER, Nanos, nanos},
};

/// What never comes is this far off, seen from now: from an epoch, a long-lived process would reach
/// it.
const FAR: Duration = Duration::from_secs(86_400 * 365);

/// One account: its gates, its queue, and what it has learned.
#[derive(Debug)]
pub(crate) struct Account {
    pub(super) key: Key,
    epoch: Instant,
    pub(super) config: AccountConfig,
    /// `None` where the account is this process's alone.
    #[cfg(feature = "redis")]
    pub(super) link: Option<AccountLink>,
    state: Mutex<State>,
}

/// What the accounts of a limiter have in common.
#[derive(Debug, Clone)]
pub(crate) struct AccountConfig {
    pub(crate) max_queued: usize,
    pub(crate) discipline: Discipline,
    /// After so long a call goes by its age, now and then.
    pub(crate) ageing: Duration,
    pub(crate) observers: Observers,
    /// Between two probes of an account whose plan is used up; `None`: none.
    pub(crate) plan_probe_interval: Option<Duration>,
}

impl Account {
    pub(crate) fn new(
        key: Key,
        quota: Quota,
        config: AccountConfig,
        epoch: Instant,
        now: Instant,
    ) -> Self {
        let queue = WaitQueue::new(config.discipline, config.ageing);
        let plan = Plan::new(config.plan_probe_interval);
        let now = nanos_between(epoch, now);
        Self {
            key,
            epoch,
            config,
            #[cfg(feature = "redis")]
            link: None,
            state: Mutex::new(State::new(quota, queue, plan, now)),
        }
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// Goes on under another quota. The same one changes nothing: what is owed stays owed.
    pub(crate) fn set_quota(&self, quota: Quota, now: Instant) {
        self.change(now, |state| {
            if state.quota != quota {
                state.set_quota(quota);
            }
        });
    }

    pub(crate) fn snapshot(&self, now: Instant) -> AccountSnapshot {
        let state = self.advanced(now);
        AccountSnapshot {
            key: self.key.clone(),
            requests: state.requests.snapshot(),
            tokens: state.tokens.snapshot(),
            running: state.concurrency.running(),
            may_run: state.concurrency.allowed(),
            tokens_of_day: state.tokens_of_day.used(),
            limits: state
                .limits
                .each(state.now)
                .map(LimitSnapshot::new)
                .collect(),
            slow_start_percent: state.slow_start.as_ref().map(|it| it.share().percent()),
            queued: state.queue.len(),
            queued_by_priority: queued_by_priority(&state.queue),
            in_flight: state.in_flight,
            admitted: state.admitted,
            reserved_tokens: state.reserved_tokens,
            settled_tokens: state.settled_tokens,
            expected_output: state.expected_output(None, None),
            throttled: state.throttled.clone(),
            unexplained_throttles: state.unexplained,
            closed_for: state.wait_until(state.breaker.opens_at().max(state.plan.opens_at())),
            plan_used_up: state.plan.used_up().map(|(plan, _)| plan),
            #[cfg(feature = "redis")]
            fleet: self.link.as_ref().map(|_| state.fleet_snapshot()),
        }
    }

    #[inline]
    pub(super) fn emit(&self, event: &LimiterEvent<'_>) {
        emit(&self.config.observers, event);
    }

    /// Changes what decides when the head may go, and wakes the head.
    pub(super) fn change<R>(&self, now: Instant, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.advanced(now);
        let result = change(&mut state);
        let wakes = state.queue.wake_head();
        self.release(state, wakes);
        result
    }

    /// Releases the lock, and then does what must not be done under it.
    #[inline(always)]
    pub(super) fn release(&self, state: MutexGuard<'_, State>, wakes: Wakes) {
        #[cfg(feature = "redis")]
        let outbox = self.release_with_outbox(state);
        #[cfg(not(feature = "redis"))]
        drop(state);
        wakes.wake();
        #[cfg(feature = "redis")]
        if let Some(outbox) = outbox {
            self.deliver(outbox);
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn advanced(&self, now: Instant) -> MutexGuard<'_, State> {
        self.advanced_to(self.nanos(now))
    }

    #[inline]
    pub(super) fn advanced_to(&self, now: Nanos) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        state.advance(now);
        state
    }

    pub(super) fn nanos(&self, at: Instant) -> Nanos {
        nanos_between(self.epoch, at)
    }

    pub(super) fn instant(&self, at: Nanos) -> Instant {
        self.epoch
            .checked_add(Duration::from_nanos(at))
            .filter(|_| at != NEVER)
            .unwrap_or_else(|| clock::now() + FAR)
    }
}

/// Those that wait, by their class; classes of which nobody waits are left out.
fn queued_by_priority(queue: &WaitQueue) -> BTreeMap<Priority, u64> {
    Priority::IN_ORDER
        .into_iter()
        .map(|class| (class, queue.of_class(class).requests))
        .filter(|&(_, queued)| queued > 0)
        .collect()
}

// At most `NEVER - 1`: a real instant must not look like the sentinel `NEVER`.
#[inline]
fn nanos_between(epoch: Instant, at: Instant) -> Nanos {
    nanos(at.saturating_duration_since(epoch)).min(NEVER - 1)
}
