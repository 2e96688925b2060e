use crate::units::{Fraction, Nanos};

/// Where a rate begins that was not used: a sixteenth, from which growth by half reaches the whole
/// in seven periods.
const LEAST: Fraction = Fraction::one_of(16);
/// The least number of requests, at full rate, by which use is measured: of fewer, one more or less
/// is no growth.
const MEASURED_BY: u64 = 8;
/// The most periods that make a difference: calls may have been admitted in the first of them, and
/// four halvings lead from the whole to [`LEAST`].
const PERIODS_TO_LEAST: u64 = 5;

/// Slow start: the share of the full rate of requests that may be used, by how much was used a moment
/// ago.
///
/// Each period allows half again of what the one before used, and at least four fifths of what it
/// allowed, or half where nothing was used.
// Of requests alone: that is what hosts say grows too fast ("Request rate increased too quickly",
// Model Studio, 2026-11-29). Where tokens were slowed too, one large prompt took several periods, in
// which nothing was used: a known quota was used by 0.81 in place of 0.94 (examples/goodput).
#[derive(Debug)]
pub(crate) struct SlowStart {
    share: Fraction,
    /// Requests of a window at full rate.
    rate: u64,
    window: u64,
    period: u64,
    /// Requests of this period, and of one at full rate.
    used: u64,
    full: u64,
    period_ends: Nanos,
}

impl SlowStart {
    /// From the least share on, of a rate of so many requests per window.
    pub(crate) fn new(requests: u64, window: u64, now: Nanos) -> Self {
        let mut slow_start = Self {
            share: LEAST,
            rate: 0,
            window,
            period: 1,
            used: 0,
            full: 1,
            period_ends: 0,
        };
        slow_start.set_rate(requests.max(1));
        slow_start.period_ends = now.saturating_add(slow_start.period);
        slow_start
    }

    /// The same, from this share of the rate on.
    pub(crate) fn at(mut self, share: Fraction) -> Self {
        self.share = share.max(LEAST);
        self
    }

    /// Goes on to `now`, at a full rate of so many requests per window from now on. Returns whether
    /// the share changed.
    pub(crate) fn advance(&mut self, now: Nanos, requests: u64) -> bool {
        let before = self.share;
        let elapsed = (now
            .saturating_add(self.period)
            .saturating_sub(self.period_ends))
            / self.period;
        for _ in 0..elapsed.min(PERIODS_TO_LEAST) {
            self.end_period();
        }
        self.period_ends = self
            .period_ends
            .saturating_add(elapsed.saturating_mul(self.period));
        // What is learned of the quota changes what a full rate is.
        if requests != self.rate {
            self.set_rate(requests.max(1));
        }
        self.share != before
    }

    /// A request was admitted.
    pub(crate) fn on_admit(&mut self) {
        self.used = self.used.saturating_add(1);
    }

    /// The provider found the growth too fast.
    pub(crate) fn cut(&mut self) {
        self.share = Fraction::from_parts(self.share.parts() / 2).max(LEAST);
        // What was used before the cut allows no growth after it.
        self.used = 0;
    }

    /// The share of the full rate.
    pub(crate) fn share(&self) -> Fraction {
        self.share
    }

    fn set_rate(&mut self, requests: u64) {
        self.rate = requests;
        let amount = |product: u128| u64::try_from(product).unwrap_or(u64::MAX);
        let (requests, window) = (u128::from(requests), u128::from(self.window));
        self.period = amount(window * u128::from(MEASURED_BY) / requests)
            .max(self.window / 60)
            .max(1);
        self.full = amount(requests * u128::from(self.period) / window.max(1)).max(1);
    }

    fn end_period(&mut self) {
        let used = Fraction::ratio_rounded_up(std::mem::take(&mut self.used), self.full);
        let floor = match used {
            Fraction::ZERO => self.share.parts() / 2,
            _ => self.share.parts() / 5 * 4,
        };
        // What was saved is spent faster than the rate, which must not make it grow faster.
        let grown = used.min(self.share).parts() * 3 / 2;
        self.share = Fraction::from_parts(grown.max(floor)).max(LEAST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const RATE: u64 = 960;

    #[test]
    fn use_beyond_what_was_allowed_does_not_make_it_grow_faster() {
        let mut slow_start = slow_start();
        for _ in 0..100 {
            slow_start.on_admit();
        }
        slow_start.advance(SECOND, RATE);
        assert_eq!(slow_start.share().parts(), LEAST.parts() * 3 / 2);
    }

    fn slow_start() -> SlowStart {
        SlowStart::new(RATE, 60 * SECOND, 0)
    }

    #[test]
    fn a_rate_that_is_used_grows_by_half_per_period() {
        let mut slow_start = slow_start();
        assert_eq!(slow_start.share(), LEAST);
        let mut shares = vec![slow_start.share()];
        for second in 1..=10 {
            // All that is allowed, and a whole request at least.
            for _ in 0..(16 * slow_start.share().parts()).div_ceil(Fraction::WHOLE.parts()) {
                slow_start.on_admit();
            }
            slow_start.advance(second * SECOND, RATE);
            shares.push(slow_start.share());
        }
        assert!(
            shares
                .windows(2)
                .all(|pair| pair[1].parts() <= pair[0].parts() * 2 + LEAST.parts())
        );
        assert_eq!(slow_start.share(), Fraction::WHOLE);
    }

    #[test]
    fn what_a_full_rate_is_follows_what_is_learned() {
        let mut slow_start = SlowStart::new(60, 60 * SECOND, 0);
        assert_eq!((slow_start.period, slow_start.full), (8 * SECOND, 8));
        slow_start.advance(SECOND, 960);
        assert_eq!((slow_start.period, slow_start.full), (SECOND, 16));
    }

    #[test]
    fn silence_halves_it() {
        let mut slow_start = slow_start().at(Fraction::WHOLE);
        assert!(slow_start.advance(SECOND, RATE));
        assert_eq!(slow_start.share(), Fraction::one_of(2));
        assert!(!slow_start.advance(SECOND + 1, RATE));
        slow_start.advance(100 * SECOND, RATE);
        assert_eq!(slow_start.share(), LEAST);
        assert!(!slow_start.advance(u64::MAX, RATE));
    }

    #[test]
    fn a_cut_halves_it_at_once() {
        let mut slow_start = slow_start().at(Fraction::WHOLE);
        slow_start.cut();
        assert_eq!(slow_start.share(), Fraction::one_of(2));
        for _ in 0..10 {
            slow_start.cut();
        }
        assert_eq!(slow_start.share(), LEAST);
    }

    #[test]
    fn a_slow_rate_is_measured_over_a_longer_period() {
        let slow = SlowStart::new(6, 60 * SECOND, 0);
        assert_eq!((slow.period, slow.full), (80 * SECOND, 8));
        assert_eq!((slow_start().period, slow_start().full), (SECOND, 16));
        let none = SlowStart::new(0, 0, 0);
        assert_eq!((none.period, none.full), (1, 1));
        let most = SlowStart::new(u64::MAX, u64::MAX, u64::MAX);
        assert_eq!(most.period, u64::MAX / 60);
    }
}
