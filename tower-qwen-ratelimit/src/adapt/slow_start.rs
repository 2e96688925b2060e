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

/// Slow start: the share of the full rate that may be used, by how much was used a moment ago.
///
/// Each period allows half again of what the one before used, of requests or of tokens, whichever
/// is nearer to its rate; and at least four fifths of what it allowed, or half where nothing was
/// used.
#[derive(Debug)]
pub(crate) struct SlowStart {
    share: Fraction,
    period: u64,
    requests: Use,
    tokens: Use,
    period_ends: Nanos,
}

/// What a period used of a dimension.
#[derive(Debug)]
struct Use {
    used: u64,
    /// What it uses at full rate.
    full: u64,
}

impl SlowStart {
    /// From the least share on, of a rate of so many requests and tokens per window.
    pub(crate) fn new(requests: u64, tokens: u64, window: u64, now: Nanos) -> Self {
        let requests = requests.max(1);
        let measured = u128::from(window) * u128::from(MEASURED_BY) / u128::from(requests);
        let period = u64::try_from(measured)
            .unwrap_or(u64::MAX)
            .max(window / 60)
            .max(1);
        Self {
            share: LEAST,
            period,
            requests: Use::of(requests, period, window),
            tokens: Use::of(tokens, period, window),
            period_ends: now.saturating_add(period),
        }
    }

    /// The same, from this share of the rate on.
    pub(crate) fn at(mut self, share: Fraction) -> Self {
        self.share = share.max(LEAST);
        self
    }

    /// Goes on to `now`. Returns whether the share changed.
    pub(crate) fn advance(&mut self, now: Nanos) -> bool {
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
        self.share != before
    }

    /// A request of so many tokens was admitted.
    pub(crate) fn on_admit(&mut self, tokens: u64) {
        self.requests.add(1);
        self.tokens.add(tokens);
    }

    /// The provider found the growth too fast.
    pub(crate) fn cut(&mut self) {
        self.share = Fraction::from_parts(self.share.parts() / 2).max(LEAST);
        // What was used before the cut allows no growth after it.
        self.requests.take();
        self.tokens.take();
    }

    /// The share of the full rate.
    pub(crate) fn share(&self) -> Fraction {
        self.share
    }

    fn end_period(&mut self) {
        let used = self.requests.take().max(self.tokens.take());
        let floor = match used {
            Fraction::ZERO => self.share.parts() / 2,
            _ => self.share.parts() / 5 * 4,
        };
        // What was saved is spent faster than the rate, which must not make it grow faster.
        let grown = used.min(self.share).parts() * 3 / 2;
        self.share = Fraction::from_parts(grown.max(floor)).max(LEAST);
    }
}

impl Use {
    fn of(rate: u64, period: u64, window: u64) -> Self {
        let full = u128::from(rate) * u128::from(period) / u128::from(window.max(1));
        Self {
            used: 0,
            full: u64::try_from(full).unwrap_or(u64::MAX).max(1),
        }
    }

    fn add(&mut self, amount: u64) {
        self.used = self.used.saturating_add(amount);
    }

    /// The share that was used, rounded up; counting starts again.
    fn take(&mut self) -> Fraction {
        Fraction::ratio_rounded_up(std::mem::take(&mut self.used), self.full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn use_beyond_what_was_allowed_does_not_make_it_grow_faster() {
        let mut slow_start = slow_start();
        for _ in 0..100 {
            slow_start.on_admit(0);
        }
        slow_start.advance(SECOND);
        assert_eq!(slow_start.share().parts(), LEAST.parts() * 3 / 2);
    }

    fn slow_start() -> SlowStart {
        SlowStart::new(960, 960_000, 60 * SECOND, 0)
    }

    #[test]
    fn a_rate_that_is_used_grows_by_half_per_period() {
        let mut slow_start = slow_start();
        assert_eq!(slow_start.share(), LEAST);
        let mut shares = vec![slow_start.share()];
        for second in 1..=10 {
            // All that is allowed, and a whole request at least.
            for _ in 0..(16 * slow_start.share().parts()).div_ceil(Fraction::WHOLE.parts()) {
                slow_start.on_admit(0);
            }
            slow_start.advance(second * SECOND);
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
    fn the_dimension_that_binds_is_the_one_that_counts() {
        let mut slow_start = slow_start().at(Fraction::WHOLE);
        for second in 1..=60 {
            // One of sixteen requests, but three quarters of the tokens.
            slow_start.on_admit(12_000);
            slow_start.advance(second * SECOND);
            assert_eq!(slow_start.share(), Fraction::WHOLE);
        }
    }

    #[test]
    fn silence_halves_it() {
        let mut slow_start = slow_start().at(Fraction::WHOLE);
        assert!(slow_start.advance(SECOND));
        assert_eq!(slow_start.share(), Fraction::one_of(2));
        assert!(!slow_start.advance(SECOND + 1));
        slow_start.advance(100 * SECOND);
        assert_eq!(slow_start.share(), LEAST);
        assert!(!slow_start.advance(u64::MAX));
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
        let slow = SlowStart::new(6, 600, 60 * SECOND, 0);
        assert_eq!((slow.period, slow.requests.full), (80 * SECOND, 8));
        assert_eq!(
            (slow_start().period, slow_start().requests.full),
            (SECOND, 16)
        );
        let none = SlowStart::new(0, 0, 0, 0);
        assert_eq!((none.period, none.requests.full), (1, 1));
        let most = SlowStart::new(u64::MAX, u64::MAX, u64::MAX, u64::MAX);
        assert_eq!(most.period, u64::MAX / 60);
    }
}
