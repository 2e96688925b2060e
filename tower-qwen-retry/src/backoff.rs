use std::time::Duration;

use fastrand::Rng;

use crate::jitter::between;

/// How long to wait where the server names no wait: exponential, with full jitter.
///
/// The longest wait before the first retry is `first`; it doubles with each retry, up to `max`. The wait itself is
/// drawn evenly between the least wait (zero, unless set by [`at_least`](Backoff::at_least)) and that longest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Backoff {
    least: Duration,
    first: Duration,
    max: Duration,
}

impl Backoff {
    /// Waits of up to `first` before the first retry, doubling up to `max`. A `max` below `first` counts as `first`.
    #[must_use]
    pub fn new(first: Duration, max: Duration) -> Self {
        Self {
            least: Duration::ZERO,
            first,
            max: max.max(first),
        }
    }

    /// The least wait, however the dice fall. Default: zero. Above `first` it counts as `first`.
    #[must_use]
    pub fn at_least(mut self, least: Duration) -> Self {
        self.least = least.min(self.first);
        self
    }

    /// The longest wait after this many retries.
    fn ceiling(&self, retries: u32) -> Duration {
        let doubled = 2u32.checked_pow(retries).unwrap_or(u32::MAX);
        self.first.saturating_mul(doubled).min(self.max)
    }

    /// A wait after this many retries.
    pub(crate) fn wait(&self, retries: u32, rng: &mut Rng) -> Duration {
        between(rng, self.least, self.ceiling(retries))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::*;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn ceiling_doubles_up_to_the_max() {
        let backoff = Backoff::new(secs(8), secs(60));
        let ceilings: Vec<_> = (0..5).map(|retries| backoff.ceiling(retries)).collect();
        assert_eq!(ceilings, [8, 16, 32, 60, 60].map(secs));
    }

    #[test]
    fn values_that_contradict_each_other_are_clamped() {
        assert_eq!(
            Backoff::new(secs(9), secs(1)),
            Backoff::new(secs(9), secs(9))
        );
        assert_eq!(
            Backoff::new(secs(1), secs(5)).at_least(secs(3)).least,
            secs(1)
        );
    }

    proptest! {
        #[test]
        fn wait_stays_within_its_bounds(
            least in 0u64..100_000, first in 0u64..100_000, max: u64, retries: u32, seed: u64,
        ) {
            let (least, first) = (Duration::from_millis(least), Duration::from_millis(first));
            let max = Duration::from_millis(max);
            let wait = Backoff::new(first, max).at_least(least).wait(retries, &mut Rng::with_seed(seed));
            prop_assert!(wait >= least.min(first));
            prop_assert!(wait <= max.max(first));
            prop_assert!(retries > 0 || wait <= first);
        }
    }
}
