use std::time::Duration;

use fastrand::Rng;

use crate::jitter::between;

/// The wait before a retry if the server names none: exponential, with jitter.
///
/// With full jitter, the default, the longest wait before the first retry is `first`; it doubles
/// with each retry, up to `max`. The wait itself is drawn evenly between the least wait (zero,
/// unless set by [`at_least`](Backoff::at_least)) and the longest. With
/// [decorrelated](Backoff::decorrelated) jitter the longest wait is three times the wait before, up
/// to `max`: calls that began together drift apart faster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Backoff {
    least: Duration,
    first: Duration,
    max: Duration,
    jitter: Jitter,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Jitter {
    Full,
    Decorrelated,
}

impl Backoff {
    /// Waits of up to `first` before the first retry, doubling up to `max`. A `max` below `first`
    /// counts as `first`.
    #[must_use]
    pub fn new(first: Duration, max: Duration) -> Self {
        Self {
            least: Duration::ZERO,
            first,
            max: max.max(first),
            jitter: Jitter::Full,
        }
    }

    /// The least wait. Default: zero. Above `first` it counts as `first`.
    #[must_use]
    pub fn at_least(mut self, least: Duration) -> Self {
        self.least = least.min(self.first);
        self
    }

    /// Draws each wait between the least wait and three times the wait before.
    #[must_use]
    pub fn decorrelated(mut self) -> Self {
        self.jitter = Jitter::Decorrelated;
        self
    }

    /// The longest wait after this many retries; `last` is the latest wait.
    fn ceiling(&self, retries: u32, last: Duration) -> Duration {
        match self.jitter {
            Jitter::Full => {
                // Saturates: `max` applies long before.
                let doubled = 2u32.checked_pow(retries).unwrap_or(u32::MAX);
                self.first.saturating_mul(doubled).min(self.max)
            }
            // There is no wait before the first retry to go by.
            Jitter::Decorrelated if retries == 0 => self.first,
            // Three times, as in AWS's study of jitter ("Exponential Backoff And Jitter").
            Jitter::Decorrelated => last.saturating_mul(3).clamp(self.least, self.max),
        }
    }

    /// A wait after this many retries; `last` is the wait before the latest.
    pub(crate) fn wait(&self, retries: u32, last: Duration, rng: &mut Rng) -> Duration {
        between(rng, self.least, self.ceiling(retries, last))
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
        let ceilings: Vec<_> = (0..5)
            .map(|retries| backoff.ceiling(retries, secs(1)))
            .collect();
        assert_eq!(ceilings, [8, 16, 32, 60, 60].map(secs));
        let backoff = backoff.at_least(secs(2)).decorrelated();
        let ceilings: Vec<_> = [(0, 9), (1, 5), (2, 30), (9, 0)]
            .map(|(retries, last)| backoff.ceiling(retries, secs(last)))
            .into();
        assert_eq!(ceilings, [8, 15, 60, 2].map(secs));
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
            least in 0u64..100_000, first in 0u64..100_000, max: u64, retries: u32, last: u64,
            seed: u64, decorrelated: bool,
        ) {
            let (least, first) = (Duration::from_millis(least), Duration::from_millis(first));
            let max = Duration::from_millis(max);
            let mut backoff = Backoff::new(first, max).at_least(least);
            if decorrelated {
                backoff = backoff.decorrelated();
            }
            let last = Duration::from_millis(last);
            let wait = backoff.wait(retries, last, &mut Rng::with_seed(seed));
            prop_assert!(wait >= least.min(first));
            prop_assert!(wait <= max.max(first));
            prop_assert!(retries > 0 || wait <= first);
        }
    }
}
