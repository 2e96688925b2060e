//! Slow start: a rate that grows only as fast as it is used.

use crate::{adapt::FULL, gate::Nanos};

/// Where a rate begins that was not used: a sixteenth.
const LEAST: u32 = FULL / 16;
/// The least number of requests, at full rate, by which use is measured.
const MEASURED_BY: u64 = 8;
/// The most periods of silence that make a difference.
const PERIODS_TO_LEAST: u64 = 5;

/// The share of the full rate that may be used, by how much was used a moment ago.
///
/// Each period allows half again of what the one before used, of requests or of tokens, whichever is nearer to its rate;
/// and at least four fifths of what it allowed, or half where nothing was used.
#[derive(Debug)]
pub(crate) struct Ramp {
    share: u32,
    period: u64,
    requests: Use,
    tokens: Use,
    ends: Nanos,
}

/// What a period used of a dimension.
#[derive(Debug)]
struct Use {
    used: u64,
    /// What it uses at full rate.
    full: u64,
}

impl Ramp {
    /// A ramp from its lowest end, of a rate of so many requests and tokens per window.
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
            ends: now.saturating_add(period),
        }
    }

    /// The same, from this share of the rate on.
    pub(crate) fn at(mut self, share: u32) -> Self {
        self.share = share.clamp(LEAST, FULL);
        self
    }

    /// Goes on to `now`; says whether the share changed.
    pub(crate) fn advance(&mut self, now: Nanos) -> bool {
        let before = self.share;
        let passed = (now.saturating_add(self.period).saturating_sub(self.ends)) / self.period;
        for _ in 0..passed.min(PERIODS_TO_LEAST) {
            self.end_period();
        }
        self.ends = self.ends.saturating_add(passed.saturating_mul(self.period));
        self.share != before
    }

    /// A request of so many tokens was admitted.
    pub(crate) fn take(&mut self, tokens: u64) {
        self.requests.add(1);
        self.tokens.add(tokens);
    }

    /// The provider found the growth too fast.
    pub(crate) fn cut(&mut self) {
        self.share = (self.share / 2).max(LEAST);
        self.requests.take();
        self.tokens.take();
    }

    /// The share of the full rate, of [`FULL`].
    pub(crate) fn share(&self) -> u32 {
        self.share
    }

    /// The share in percent, rounded down.
    pub(crate) fn percent(&self) -> u8 {
        u8::try_from(u64::from(self.share) * 100 / u64::from(FULL)).unwrap_or(100)
    }

    fn end_period(&mut self) {
        let used = self.requests.take().max(self.tokens.take());
        let kept = match used {
            0 => self.share / 2,
            _ => self.share / 5 * 4,
        };
        self.share = (used.saturating_mul(3) / 2).max(kept).clamp(LEAST, FULL);
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

    /// The share that was used, of [`FULL`]; nothing from now on.
    fn take(&mut self) -> u32 {
        let used = u128::from(std::mem::take(&mut self.used));
        let share = (used * u128::from(FULL)).div_ceil(u128::from(self.full));
        u32::try_from(share).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn ramp() -> Ramp {
        Ramp::new(960, 960_000, 60 * SECOND, 0)
    }

    #[test]
    fn a_rate_that_is_used_grows_by_half_per_period() {
        let mut ramp = ramp();
        assert_eq!(ramp.share(), LEAST);
        let mut shares = vec![ramp.share()];
        for second in 1..=10 {
            // All that is allowed, and a whole request at least.
            for _ in 0..(16 * ramp.share()).div_ceil(FULL) {
                ramp.take(0);
            }
            ramp.advance(second * SECOND);
            shares.push(ramp.share());
        }
        assert!(shares.windows(2).all(|pair| pair[1] <= pair[0] * 2 + LEAST));
        assert_eq!(ramp.share(), FULL);
    }

    #[test]
    fn the_dimension_that_binds_is_the_one_that_counts() {
        let mut ramp = ramp().at(FULL);
        for second in 1..=60 {
            // One of sixteen requests, but three quarters of the tokens.
            ramp.take(12_000);
            ramp.advance(second * SECOND);
            assert_eq!(ramp.share(), FULL);
        }
    }

    #[test]
    fn silence_halves_it() {
        let mut ramp = ramp().at(FULL);
        assert!(ramp.advance(SECOND));
        assert_eq!(ramp.share(), FULL / 2);
        assert!(!ramp.advance(SECOND + 1));
        ramp.advance(100 * SECOND);
        assert_eq!(ramp.share(), LEAST);
        assert!(!ramp.advance(u64::MAX));
    }

    #[test]
    fn a_cut_halves_it_at_once() {
        let mut ramp = ramp().at(FULL);
        ramp.cut();
        assert_eq!(ramp.share(), FULL / 2);
        for _ in 0..10 {
            ramp.cut();
        }
        assert_eq!(ramp.share(), LEAST);
    }

    #[test]
    fn a_slow_rate_is_measured_over_a_longer_period() {
        let slow = Ramp::new(6, 600, 60 * SECOND, 0);
        assert_eq!((slow.period, slow.requests.full), (80 * SECOND, 8));
        assert_eq!((ramp().period, ramp().requests.full), (SECOND, 16));
        let none = Ramp::new(0, 0, 0, 0);
        assert_eq!((none.period, none.requests.full), (1, 1));
        let most = Ramp::new(u64::MAX, u64::MAX, u64::MAX, u64::MAX);
        assert_eq!(most.period, u64::MAX / 60);
    }
}
