use crate::units::{NEVER, Nanos};

/// The newest call weighs one part in this many in the mean time that calls run.
// A dozen calls replace the mean: it follows a change of load, and one slow call moves it little.
const SMOOTHING: u64 = 8;
/// What a throttle leaves of the calls that were running, in tenths.
// Deeper than a cut of a rate: the accepted calls in flight go on counting against the limit until
// they end.
const LEFT_TENTHS: u64 = 7;
/// A window gives back this many calls, one after the other: one a second of a minute.
const STEPS: u64 = 60;

/// A gate of calls at one time.
///
/// The provider may have a lower limit than ours: its throttle lowers the number to seven tenths of
/// the calls in flight, and every sixtieth of a window gives one back.
///
/// Where there is a limit, a call runs until its answer's body has ended; where there is none, no
/// call waits for that, and it runs until it has settled.
#[derive(Debug)]
pub(crate) struct Concurrency {
    limit: u64,
    /// What the provider seems to allow.
    cap: u64,
    /// Calls in flight at the last throttle.
    peak: u64,
    /// Recovery is counted up to here.
    at: Nanos,
    step: u64,
    /// Calls that began under a limit.
    timed: u64,
    /// The others.
    untimed: u64,
    /// How long calls run, on the mean; 0 while nothing is known.
    mean: u64,
}

impl Concurrency {
    pub(crate) fn new(limit: u64, window: u64, now: Nanos) -> Self {
        Self {
            limit,
            cap: u64::MAX,
            peak: 0,
            at: now,
            step: (window / STEPS).max(1),
            timed: 0,
            untimed: 0,
            mean: 0,
        }
    }

    #[inline]
    pub(crate) fn advance(&mut self, now: Nanos) {
        let elapsed = now.saturating_sub(self.at);
        if elapsed >= self.step {
            self.recover(elapsed / self.step);
        }
        // Twice the load that was too much, and no throttle: that limit is gone.
        if self.cap > self.peak.saturating_mul(2) {
            self.cap = u64::MAX;
        }
    }

    #[cold]
    fn recover(&mut self, steps: u64) {
        self.at = self.at.saturating_add(steps.saturating_mul(self.step));
        self.cap = self.cap.saturating_add(steps);
    }

    /// How many may run at one time at present.
    pub(crate) fn allowed(&self) -> u64 {
        self.limit.min(self.cap)
    }

    pub(crate) fn running(&self) -> u64 {
        self.timed.saturating_add(self.untimed)
    }

    /// How many may run at one time by the quota, or this process's part of it.
    #[cfg(feature = "redis")]
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    pub(crate) fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// The provider found too many running.
    pub(crate) fn on_throttle(&mut self) {
        self.peak = self.running();
        self.cap = (self.peak.saturating_mul(LEFT_TENTHS) / 10).max(1);
    }

    /// `now` if one more may run; else when the cap will have grown enough, or never: when another
    /// call ends is not known.
    #[inline]
    pub(crate) fn ready_at(&self, now: Nanos) -> Nanos {
        let running = self.running();
        if running < self.allowed() {
            now
        } else if running < self.limit {
            let missing = (running - self.cap).saturating_add(1);
            self.at.saturating_add(missing.saturating_mul(self.step))
        } else {
            NEVER
        }
    }

    /// The instant at which one more may run behind `ahead` others, by the mean time that calls
    /// run.
    pub(crate) fn predicted(&self, now: Nanos, ahead: u64) -> Nanos {
        let rounds = self
            .running()
            .saturating_add(ahead)
            .checked_div(self.allowed())
            .unwrap_or(u64::MAX);
        now.saturating_add(rounds.saturating_mul(self.mean))
    }

    /// One more runs. Returns whether its end has to be reported, which is so where there is a
    /// limit, ours or the provider's.
    #[inline]
    pub(crate) fn start(&mut self) -> bool {
        let is_timed = self.allowed() < u64::MAX;
        let running = if is_timed {
            &mut self.timed
        } else {
            &mut self.untimed
        };
        *running = running.saturating_add(1);
        is_timed
    }

    /// One has settled whose end is not reported.
    #[inline]
    pub(crate) fn settle(&mut self) {
        self.untimed = self.untimed.saturating_sub(1);
    }

    /// One whose end is reported has ended, after `time`.
    pub(crate) fn end(&mut self, time: u64) {
        self.timed = self.timed.saturating_sub(1);
        self.mean = match self.mean {
            0 => time,
            mean => mean - mean / SMOOTHING + time / SMOOTHING,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: u64 = 10;

    fn concurrency(limit: u64) -> Concurrency {
        Concurrency::new(limit, 60 * STEP, 0)
    }

    #[test]
    fn only_an_end_makes_room() {
        let mut concurrency = concurrency(2);
        assert_eq!(concurrency.ready_at(7), 7);
        concurrency.start();
        concurrency.start();
        assert_eq!((concurrency.running(), concurrency.ready_at(7)), (2, NEVER));
        concurrency.end(100);
        assert_eq!(concurrency.ready_at(9), 9);
    }

    #[test]
    fn a_throttle_lowers_the_number_and_time_raises_it() {
        let mut concurrency = concurrency(u64::MAX);
        for _ in 0..10 {
            concurrency.start();
        }
        concurrency.on_throttle();
        assert_eq!(concurrency.allowed(), 7);
        assert_eq!(concurrency.ready_at(0), 4 * STEP);
        concurrency.advance(4 * STEP);
        assert_eq!(concurrency.ready_at(4 * STEP), 4 * STEP);
        concurrency.advance(20 * STEP);
        assert_eq!(
            concurrency.allowed(),
            u64::MAX,
            "forgotten at twice the peak"
        );
    }

    #[test]
    fn predictions_follow_the_mean_time() {
        let mut concurrency = concurrency(2);
        assert_eq!(concurrency.predicted(5, 10), 5, "nothing is known yet");
        concurrency.start();
        concurrency.end(80);
        assert_eq!(concurrency.predicted(5, 0), 5);
        concurrency.start();
        concurrency.start();
        assert_eq!(concurrency.predicted(5, 0), 85);
        assert_eq!(concurrency.predicted(5, 2), 165);
        concurrency.end(160);
        assert_eq!(concurrency.mean, 90);
    }

    #[test]
    fn without_a_limit_a_call_runs_until_it_has_settled() {
        let mut concurrency = concurrency(u64::MAX);
        assert!(!concurrency.start());
        assert!(!concurrency.start());
        concurrency.set_limit(3);
        assert!(concurrency.start(), "what ran before counts too");
        assert_eq!((concurrency.running(), concurrency.ready_at(7)), (3, NEVER));
        concurrency.settle();
        assert_eq!((concurrency.running(), concurrency.ready_at(7)), (2, 7));
        concurrency.end(80);
        assert_eq!((concurrency.running(), concurrency.mean), (1, 80));
    }

    #[test]
    fn nothing_overflows() {
        let mut concurrency = Concurrency::new(0, 0, 0);
        concurrency.end(u64::MAX);
        concurrency.start();
        concurrency.end(u64::MAX);
        assert_eq!(concurrency.predicted(u64::MAX, u64::MAX), u64::MAX);
        concurrency.end(0);
        assert_eq!(concurrency.running(), 0);
        concurrency.on_throttle();
        concurrency.advance(u64::MAX);
        assert_eq!(concurrency.ready_at(u64::MAX), NEVER);
    }
}
