use super::Nanos;
use crate::adapt::FULL;

/// A process's part of an account that a fleet shares; of an account of one's own, the whole.
///
/// What flows in follows it at once. Where that is even, what the window may hold follows the largest part of the latest
/// window: what flowed in under that part was ours to use.
#[derive(Debug)]
pub(crate) struct Part {
    part: u32,
    /// What throttles have left the whole fleet.
    cap: u32,
    peak: u32,
    peak_until: Nanos,
    is_even: bool,
}

impl Part {
    pub(crate) fn whole(is_even: bool) -> Self {
        Self {
            part: FULL,
            cap: FULL,
            peak: 0,
            peak_until: 0,
            is_even,
        }
    }

    pub(crate) fn set(&mut self, part: u32, cap: u32, now: Nanos, window: u64) {
        self.advance(now);
        if self.is_even && part < self.part && self.part >= self.peak {
            self.peak = self.part;
            self.peak_until = now.saturating_add(window);
        }
        self.part = part.min(FULL);
        self.cap = cap.min(FULL);
    }

    /// What of `amount` flows in.
    #[inline]
    pub(crate) fn of(&self, amount: u64) -> u64 {
        of(amount, self.part)
    }

    /// What of `quota` the window may hold.
    #[inline]
    pub(crate) fn held_of(&self, quota: u64) -> u64 {
        of(quota, self.part.max(self.peak))
    }

    /// Lets go what was held longer ago than a window; says whether there was something.
    #[inline]
    pub(crate) fn advance(&mut self, now: Nanos) -> bool {
        let is_over = now >= self.peak_until && self.peak > 0;
        if is_over {
            self.peak = 0;
        }
        is_over
    }

    /// What throttles have left the fleet of `quota`.
    #[inline]
    pub(crate) fn capped(&self, quota: u64) -> u64 {
        of(quota, self.cap).max(quota.min(1))
    }
}

/// A share of an amount, of [`FULL`].
#[inline]
fn of(amount: u64, share: u32) -> u64 {
    if share == FULL {
        return amount;
    }
    let part = u128::from(amount) * u128::from(share) / u128::from(FULL);
    u64::try_from(part).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_flows_in_follows_at_once_and_the_window_a_window_later() {
        let mut part = Part::whole(true);
        assert_eq!((part.of(100), part.held_of(100)), (100, 100));
        part.set(FULL / 4, FULL, 10, 100);
        assert_eq!((part.of(100), part.held_of(100)), (25, 100));
        assert!(!part.advance(109));
        assert_eq!(part.held_of(100), 100);
        assert!(part.advance(110));
        assert_eq!(part.held_of(100), 25);
        part.set(FULL / 2, FULL, 120, 100);
        part.set(FULL / 8, FULL, 130, 100);
        part.set(FULL / 16, FULL, 140, 100);
        part.advance(229);
        assert_eq!(part.held_of(160), 80, "the largest of the window");
        part.advance(230);
        assert_eq!(part.held_of(160), 10);
    }

    #[test]
    fn a_throttle_of_the_fleet_leaves_something() {
        let mut part = Part::whole(false);
        part.set(FULL, FULL / 2, 0, 1);
        assert_eq!(part.capped(100), 50);
        assert_eq!((part.capped(1), part.capped(0)), (1, 0));
        assert_eq!(part.of(u64::MAX), u64::MAX);
        part.set(FULL / 2, FULL, 0, 1);
        assert_eq!(part.held_of(100), 50, "all may have gone at once");
    }
}
