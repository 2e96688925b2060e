//! Which targets calls keep away from, and until when.

use std::{
    collections::HashMap,
    fmt,
    hash::RandomState,
    mem,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tower_qwen_tokens::internal::clock::Instant;

use crate::leave::Leave;

/// A target is probed at least this often, however long the server asks to wait.
// As often as Admission probes a used-up plan: plans are renewed by hand, and a date may be wrong. A
// probe costs one call a rejected attempt.
const LONGEST: Duration = Duration::from_secs(30 * 60);
/// Between two probes of a target where calls had used up their retries.
// A quota's minute: the usual reason passes within it.
pub(crate) const AFTER_RETRIES: Duration = Duration::from_secs(60);
/// The most targets in cool-down. Callers of a gateway may bring keys of their own, and each is a target.
const MOST: usize = 1_024;

/// The cool-down of one target.
///
/// While it lasts, calls go elsewhere, but for one probe in each interval. A probe that succeeds ends it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CoolDown {
    leave: Leave,
    /// From then on the target is open to all; `None`: once a probe succeeds.
    ends: Option<Instant>,
    next_probe: Instant,
    interval: Duration,
}

/// What is known of one target.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// Its last answer was a rejection.
    is_rejecting: bool,
    /// Why it rests, by kind: calls may go there in spite of rejections where no other target is left, so neither kind may
    /// lengthen the other.
    rejections: Option<CoolDown>,
    failures: Option<CoolDown>,
}

/// What a call may do at a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Open,
    /// One call may go there and find out.
    Probe(Leave),
    Closed(Closed),
}

/// A target that calls keep away from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed {
    /// When it is open again, or its next probe goes.
    pub(crate) until: Instant,
    pub(crate) leave: Leave,
    /// Because of rejections alone: not a sign of overload or outage.
    pub(crate) is_rejecting: bool,
}

impl CoolDown {
    /// Until a wait that is known is over.
    pub(crate) fn until(leave: Leave, now: Instant, wait: Duration) -> Self {
        Self {
            leave,
            ends: now.checked_add(wait),
            next_probe: now + wait.min(LONGEST),
            interval: LONGEST,
        }
    }

    /// Until a probe succeeds. The first goes no earlier than the server asks for, but for a wait
    /// beyond the longest time between two probes.
    pub(crate) fn probed(
        leave: Leave,
        now: Instant,
        interval: Duration,
        hint: Option<Duration>,
    ) -> Self {
        let interval = interval.min(LONGEST);
        let first = hint.map_or(interval, |hint| hint.min(LONGEST).max(interval));
        Self {
            leave,
            ends: None,
            next_probe: now + first,
            interval,
        }
    }

    /// Until the window of a plan ends, where its end is known.
    pub(crate) fn of_plan(leave: Leave, now: Instant, ends_in: Option<Duration>) -> Self {
        match ends_in {
            Some(wait) => Self::until(leave, now, wait),
            None => Self::probed(leave, now, LONGEST, None),
        }
    }

    /// How long calls keep away from now on.
    pub(crate) fn length(&self, now: Instant) -> Duration {
        let until = self
            .ends
            .map_or(self.next_probe, |ends| ends.min(self.next_probe));
        until.saturating_duration_since(now)
    }

    fn access(&self, now: Instant) -> Access {
        let ends = self.ends.unwrap_or(self.next_probe);
        if self.ends.is_some_and(|ends| ends <= now) {
            Access::Open
        } else if self.next_probe <= now {
            Access::Probe(self.leave)
        } else {
            Access::Closed(Closed {
                until: ends.min(self.next_probe),
                leave: self.leave,
                is_rejecting: false,
            })
        }
    }

    /// What both say together. No word of a call that was under way brings a probe or the end nearer.
    fn and(self, later: Self) -> Self {
        Self {
            ends: self.ends.zip(later.ends).map(|(one, other)| one.max(other)),
            next_probe: self.next_probe.max(later.next_probe),
            ..later
        }
    }
}

impl Known {
    fn access(&self, now: Instant) -> Access {
        let of = |it: Option<CoolDown>| it.map_or(Access::Open, |it| it.access(now));
        match (of(self.failures), of(self.rejections)) {
            (closed @ Access::Closed(_), _) => closed,
            (_, Access::Closed(closed)) => Access::Closed(Closed {
                is_rejecting: true,
                ..closed
            }),
            (probe @ Access::Probe(_), _) | (_, probe) => probe,
        }
    }

    fn rests(&self) -> bool {
        self.failures.is_some() || self.rejections.is_some()
    }

    fn next_probe(&self) -> Option<Instant> {
        let probe = |it: Option<CoolDown>| it.map(|it| it.next_probe);
        probe(self.failures).max(probe(self.rejections))
    }

    /// Forgets what is over; returns whether anything is left.
    fn tidy(&mut self, now: Instant) -> bool {
        let is_over = |it: &mut CoolDown| it.access(now) == Access::Open;
        self.failures.take_if(is_over);
        self.rejections.take_if(is_over);
        self.is_rejecting || self.rests()
    }
}

/// The cool-downs of all targets of a layer, by a number of each target.
pub(crate) struct CoolDowns {
    /// How many targets rest, so that calls look nothing up while all is well.
    // Relaxed: a call that misses the newest finds out for itself.
    resting: AtomicUsize,
    /// The last answer of so many was a rejection, so that successes look nothing up either.
    rejecting: AtomicUsize,
    targets: Mutex<HashMap<u64, Known>>,
    /// Makes the numbers. Salted, since keys are part of what names a target.
    pub(crate) hasher: RandomState,
}

impl CoolDowns {
    pub(crate) fn new() -> Self {
        Self {
            resting: AtomicUsize::new(0),
            rejecting: AtomicUsize::new(0),
            targets: Mutex::default(),
            hasher: RandomState::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.resting.load(Ordering::Relaxed) == 0
    }

    /// Whether a success says something new of any target.
    pub(crate) fn has_rejecting(&self) -> bool {
        self.rejecting.load(Ordering::Relaxed) != 0
    }

    pub(crate) fn access(&self, target: u64, now: Instant) -> Access {
        let targets = self.lock();
        let known = targets.get(&target);
        known.map_or(Access::Open, |it| it.access(now))
    }

    /// Makes the caller the probe, unless another call was faster.
    pub(crate) fn take_probe(&self, target: u64, now: Instant) -> bool {
        let mut targets = self.lock();
        let Some(known) = targets.get_mut(&target) else {
            return false;
        };
        let is_due = matches!(known.access(now), Access::Probe(_));
        if is_due {
            let both = [&mut known.failures, &mut known.rejections];
            for cool_down in both.into_iter().flatten() {
                cool_down.next_probe = now + cool_down.interval;
            }
        }
        is_due
    }

    /// The target has failed: a sign of overload, an outage, or a used-up plan.
    pub(crate) fn failed(&self, target: u64, cool_down: CoolDown, now: Instant) {
        self.change(target, now, |known| {
            let before = known.failures;
            known.failures = Some(before.map_or(cool_down, |it| it.and(cool_down)));
        });
    }

    /// The target has rejected a call. The second such answer in a row begins a cool-down: the first may be the fault of its
    /// call. Returns whether it has.
    pub(crate) fn rejected(&self, target: u64, cool_down: CoolDown, now: Instant) -> bool {
        self.change(target, now, |known| {
            if mem::replace(&mut known.is_rejecting, true) {
                let before = known.rejections;
                known.rejections = Some(before.map_or(cool_down, |it| it.and(cool_down)));
            }
            known.rejections.is_some()
        })
    }

    /// A call was a success, so the target rejects calls no more. The success of a probe ends all cool-downs.
    pub(crate) fn succeeded(&self, target: u64, is_probe: bool) {
        let mut targets = self.lock();
        let Some(known) = targets.get_mut(&target) else {
            return;
        };
        let failures = known.failures.filter(|_| !is_probe);
        *known = Known {
            failures,
            ..Known::default()
        };
        if failures.is_none() {
            targets.remove(&target);
        }
        self.count(&targets);
    }

    fn change<R>(&self, target: u64, now: Instant, change: impl FnOnce(&mut Known) -> R) -> R {
        let mut targets = self.lock();
        // Here alone, where something has failed: a call that succeeds does not pay for it.
        targets.retain(|_, it| it.tidy(now));
        if targets.len() >= MOST && !targets.contains_key(&target) {
            // Those that do not rest go first.
            let nearest = targets.iter().min_by_key(|(_, it)| it.next_probe());
            if let Some(nearest) = nearest.map(|(&target, _)| target) {
                targets.remove(&nearest);
            }
        }
        let changed = change(targets.entry(target).or_default());
        self.count(&targets);
        changed
    }

    fn count(&self, targets: &HashMap<u64, Known>) {
        let of = |is: fn(&Known) -> bool| targets.values().filter(|it| is(it)).count();
        self.resting.store(of(Known::rests), Ordering::Relaxed);
        let rejecting = of(|it| it.is_rejecting);
        self.rejecting.store(rejecting, Ordering::Relaxed);
    }

    // A panic elsewhere leaves no entry half-written: each is one value.
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Known>> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CoolDowns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoolDowns")
            .field("resting", &self.resting)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
