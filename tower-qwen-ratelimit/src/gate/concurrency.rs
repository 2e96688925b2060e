use super::{NEVER, Nanos};

/// The newest call weighs one part in this many in the mean time that calls run.
const SMOOTHING: u64 = 8;

/// Never more than a number of calls at one time.
///
/// The provider may have a lower limit than ours: its throttle lowers the number to seven tenths of what was running, and
/// every sixtieth of a window gives one back.
///
/// Where there is a limit, a call runs until it has ended; where there is none, nobody waits for that, and it runs until
/// it has settled.
#[derive(Debug)]
pub(crate) struct Running {
    limit: u64,
    /// What the provider seems to allow.
    cap: u64,
    /// What was running when it did not.
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

impl Running {
    pub(crate) fn new(limit: u64, window: u64, now: Nanos) -> Self {
        Self {
            limit,
            cap: u64::MAX,
            peak: 0,
            at: now,
            step: (window / 60).max(1),
            timed: 0,
            untimed: 0,
            mean: 0,
        }
    }

    #[inline]
    pub(crate) fn advance(&mut self, now: Nanos) {
        let passed = now.saturating_sub(self.at);
        if passed >= self.step {
            let steps = passed / self.step;
            self.at = self.at.saturating_add(steps.saturating_mul(self.step));
            self.cap = self.cap.saturating_add(steps);
        }
        if self.cap > self.peak.saturating_mul(2) {
            self.cap = u64::MAX;
        }
    }

    /// How many may run at one time, as things stand.
    pub(crate) fn allowed(&self) -> u64 {
        self.limit.min(self.cap)
    }

    pub(crate) fn running(&self) -> u64 {
        self.timed.saturating_add(self.untimed)
    }

    /// How many may run at one time by the quota, or this process's part of it.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    pub(crate) fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// The provider found too many running.
    pub(crate) fn slow(&mut self) {
        self.peak = self.running();
        self.cap = (self.peak.saturating_mul(7) / 10).max(1);
    }

    /// `now` where one more may run; else the instant at which the cap will have grown so far, since the end of another is
    /// not foreseen.
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

    /// The instant at which one more may run behind `ahead` others, by the mean time that calls run.
    pub(crate) fn predicted(&self, now: Nanos, ahead: u64) -> Nanos {
        let rounds = self
            .running()
            .saturating_add(ahead)
            .checked_div(self.allowed())
            .unwrap_or(u64::MAX);
        now.saturating_add(rounds.saturating_mul(self.mean))
    }

    /// One more runs; says whether its end will have to be told, which is so where there is a limit, ours or the
    /// provider's.
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

    /// One has settled whose end will not be told.
    #[inline]
    pub(crate) fn settle(&mut self) {
        self.untimed = self.untimed.saturating_sub(1);
    }

    /// One that ran for `time` has ended, as was to be told.
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

    fn running(limit: u64) -> Running {
        Running::new(limit, 60 * STEP, 0)
    }

    #[test]
    fn only_an_end_makes_room() {
        let mut running = running(2);
        assert_eq!(running.ready_at(7), 7);
        running.start();
        running.start();
        assert_eq!((running.running(), running.ready_at(7)), (2, NEVER));
        running.end(100);
        assert_eq!(running.ready_at(9), 9);
    }

    #[test]
    fn a_throttle_lowers_the_number_and_time_raises_it() {
        let mut running = running(u64::MAX);
        for _ in 0..10 {
            running.start();
        }
        running.slow();
        assert_eq!(running.allowed(), 7);
        assert_eq!(running.ready_at(0), 4 * STEP);
        running.advance(4 * STEP);
        assert_eq!(running.ready_at(4 * STEP), 4 * STEP);
        running.advance(20 * STEP);
        assert_eq!(running.allowed(), u64::MAX, "forgotten at twice the peak");
    }

    #[test]
    fn predictions_follow_the_mean_time() {
        let mut running = running(2);
        assert_eq!(running.predicted(5, 10), 5, "nothing is known yet");
        running.start();
        running.end(80);
        assert_eq!(running.predicted(5, 0), 5);
        running.start();
        running.start();
        assert_eq!(running.predicted(5, 0), 85);
        assert_eq!(running.predicted(5, 2), 165);
        running.end(160);
        assert_eq!(running.mean, 90);
    }

    #[test]
    fn without_a_limit_a_call_runs_until_it_has_settled() {
        let mut running = running(u64::MAX);
        assert!(!running.start());
        assert!(!running.start());
        running.set_limit(3);
        assert!(running.start(), "what ran before counts too");
        assert_eq!((running.running(), running.ready_at(7)), (3, NEVER));
        running.settle();
        assert_eq!((running.running(), running.ready_at(7)), (2, 7));
        running.end(80);
        assert_eq!((running.running(), running.mean), (1, 80));
    }

    #[test]
    fn nothing_overflows() {
        let mut running = Running::new(0, 0, 0);
        running.end(u64::MAX);
        running.start();
        running.end(u64::MAX);
        assert_eq!(running.predicted(u64::MAX, u64::MAX), u64::MAX);
        running.end(0);
        assert_eq!(running.running(), 0);
        running.slow();
        running.advance(u64::MAX);
        assert_eq!(running.ready_at(u64::MAX), NEVER);
    }
}
