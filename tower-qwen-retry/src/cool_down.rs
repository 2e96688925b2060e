//! Which targets calls keep away from, and until when.

use std::{
    collections::HashMap,
    fmt,
    hash::RandomState,
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

/// The cool-downs of all targets of a layer, by a number of each target.
pub(crate) struct CoolDowns {
    /// How many there are, so that calls look nothing up while all is well.
    // Relaxed: a call that misses the newest finds out for itself.
    count: AtomicUsize,
    targets: Mutex<HashMap<u64, CoolDown>>,
    /// Makes the numbers. Salted, since keys are part of what names a target.
    pub(crate) hasher: RandomState,
}

impl CoolDowns {
    pub(crate) fn new() -> Self {
        Self {
            count: AtomicUsize::new(0),
            targets: Mutex::default(),
            hasher: RandomState::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    pub(crate) fn access(&self, target: u64, now: Instant) -> Access {
        let targets = self.lock();
        let cool_down = targets.get(&target);
        cool_down.map_or(Access::Open, |it| it.access(now))
    }

    /// Makes the caller the probe, unless another call was faster.
    pub(crate) fn take_probe(&self, target: u64, now: Instant) -> bool {
        let mut targets = self.lock();
        let Some(cool_down) = targets.get_mut(&target) else {
            return false;
        };
        let is_due = matches!(cool_down.access(now), Access::Probe(_));
        if is_due {
            cool_down.next_probe = now + cool_down.interval;
        }
        is_due
    }

    pub(crate) fn add(&self, target: u64, cool_down: CoolDown, now: Instant) {
        let mut targets = self.lock();
        // Here alone, where something has failed: a call that succeeds does not pay for it.
        targets.retain(|_, it| it.access(now) != Access::Open);
        if targets.len() >= MOST && !targets.contains_key(&target) {
            let nearest = targets.iter().min_by_key(|(_, it)| it.next_probe);
            if let Some(nearest) = nearest.map(|(&target, _)| target) {
                targets.remove(&nearest);
            }
        }
        targets
            .entry(target)
            .and_modify(|it| *it = it.and(cool_down))
            .or_insert(cool_down);
        self.count.store(targets.len(), Ordering::Relaxed);
    }

    /// A probe has succeeded.
    pub(crate) fn end(&self, target: u64) {
        let mut targets = self.lock();
        targets.remove(&target);
        self.count.store(targets.len(), Ordering::Relaxed);
    }

    // A panic elsewhere leaves no entry half-written: each is one value.
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, CoolDown>> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CoolDowns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoolDowns")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, prop_assert, prop_oneof, proptest};
    use tower_qwen_tokens::{Cause, internal::clock::now};

    use super::*;

    const BAD_KEY: Leave = Leave::Permanent(Cause::Unauthorized);
    const THROTTLED: Leave = Leave::LongHint(Cause::RequestRate);
    const TARGET: u64 = 7;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn closed(cool_downs: &CoolDowns, now: Instant) -> Option<Instant> {
        match cool_downs.access(TARGET, now) {
            Access::Closed(closed) => Some(closed.until),
            _ => None,
        }
    }

    #[test]
    fn a_hint_is_the_floor_and_its_end_opens_to_all() {
        let (cool_downs, start) = (CoolDowns::new(), now());
        assert!(cool_downs.is_empty());
        cool_downs.add(TARGET, CoolDown::until(THROTTLED, start, secs(300)), start);
        assert!(!cool_downs.is_empty());
        assert_eq!(
            closed(&cool_downs, start + secs(299)),
            Some(start + secs(300))
        );
        assert_eq!(cool_downs.access(TARGET, start + secs(300)), Access::Open);
        assert_eq!(cool_downs.access(TARGET + 1, start), Access::Open);
    }

    #[test]
    fn a_long_hint_is_probed_each_half_hour() {
        let (cool_downs, start) = (CoolDowns::new(), now());
        let day = CoolDown::until(THROTTLED, start, secs(86_400));
        assert_eq!(day.length(start), secs(1_800));
        cool_downs.add(TARGET, day, start);
        let half_hour = start + secs(1_800);
        assert_eq!(closed(&cool_downs, start), Some(half_hour));
        assert_eq!(
            cool_downs.access(TARGET, half_hour),
            Access::Probe(THROTTLED)
        );
        assert!(cool_downs.take_probe(TARGET, half_hour));
        assert!(!cool_downs.take_probe(TARGET, half_hour), "one call alone");
        assert_eq!(closed(&cool_downs, half_hour), Some(start + secs(3_600)));
        assert_eq!(
            cool_downs.access(TARGET, start + secs(86_400)),
            Access::Open
        );
    }

    #[test]
    fn a_permanent_cause_ends_by_a_probe_alone() {
        let (cool_downs, start) = (CoolDowns::new(), now());
        let cool_down = CoolDown::probed(BAD_KEY, start, secs(300), None);
        cool_downs.add(TARGET, cool_down, start);
        // A straggler's throttle does not open it.
        cool_downs.add(TARGET, CoolDown::until(THROTTLED, start, secs(5)), start);
        assert_eq!(
            closed(&cool_downs, start + secs(6)),
            Some(start + secs(300))
        );
        assert!(cool_downs.take_probe(TARGET, start + secs(10_000)));
        cool_downs.end(TARGET);
        assert_eq!(
            cool_downs.access(TARGET, start + secs(10_000)),
            Access::Open
        );
        assert!(cool_downs.is_empty());
        let hinted = CoolDown::probed(BAD_KEY, start, secs(300), Some(secs(600)));
        assert_eq!(hinted.length(start), secs(600));
    }

    #[test]
    fn a_plan_is_closed_until_its_end_and_probed() {
        let start = now();
        let ends = CoolDown::of_plan(BAD_KEY, start, Some(secs(18_000)));
        assert_eq!(ends.access(start + secs(1_800)), Access::Probe(BAD_KEY));
        assert_eq!(ends.access(start + secs(18_000)), Access::Open);
        let unknown = CoolDown::of_plan(BAD_KEY, start, None);
        assert_eq!(unknown.access(start + secs(1_800)), Access::Probe(BAD_KEY));
    }

    #[test]
    fn the_number_of_targets_is_bounded() {
        let (cool_downs, start) = (CoolDowns::new(), now());
        for target in 0..2_000 {
            let cool_down = CoolDown::probed(BAD_KEY, start, secs(300), None);
            cool_downs.add(target, cool_down, start);
        }
        assert_eq!(cool_downs.lock().len(), MOST);
        cool_downs.add(0, CoolDown::until(THROTTLED, start, secs(1)), start);
        assert_eq!(cool_downs.lock().len(), MOST);
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Advance(u64),
        /// A call comes, and may become the probe; it fails so.
        Call(Option<Failed>),
        /// A call that was under way fails.
        Straggler(Failed),
    }

    #[derive(Debug, Clone, Copy)]
    enum Failed {
        Hint(u64),
        Permanent,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let failed = || {
            prop_oneof![
                (0_u64..10_000).prop_map(Failed::Hint),
                proptest::prelude::Just(Failed::Permanent),
            ]
        };
        let step = prop_oneof![
            (0_u64..2_000).prop_map(Step::Advance),
            proptest::option::of(failed()).prop_map(Step::Call),
            failed().prop_map(Step::Straggler),
        ];
        proptest::collection::vec(step, 0..200)
    }

    proptest! {
        /// While a target is in cool-down, at most one call in each interval goes there, whoever fails.
        #[test]
        fn a_target_in_cool_down_gets_one_probe_in_each_interval(steps in steps()) {
            let (cool_downs, mut now) = (CoolDowns::new(), now());
            // The instant before which no further probe may go.
            let mut next: Option<Instant> = None;
            let add = |failed, now| {
                let cool_down = match failed {
                    Failed::Hint(wait) => CoolDown::until(THROTTLED, now, secs(wait)),
                    Failed::Permanent => CoolDown::probed(BAD_KEY, now, secs(300), None),
                };
                cool_downs.add(TARGET, cool_down, now);
            };
            for step in steps {
                match step {
                    Step::Advance(by) => now += secs(by),
                    Step::Straggler(failed) => add(failed, now),
                    Step::Call(failed) => match cool_downs.access(TARGET, now) {
                        Access::Open => next = None,
                        Access::Closed(closed) => prop_assert!(closed.until > now),
                        Access::Probe(_) => {
                            prop_assert!(next.is_none_or(|next| now >= next), "too early");
                            let interval = cool_downs.lock()[&TARGET].interval;
                            prop_assert!(cool_downs.take_probe(TARGET, now));
                            prop_assert!(!cool_downs.take_probe(TARGET, now));
                            next = Some(now + interval);
                            match failed {
                                Some(failed) => add(failed, now),
                                None => {
                                    cool_downs.end(TARGET);
                                    next = None;
                                }
                            }
                        }
                    },
                }
            }
        }
    }
}
