use crate::units::{Fraction, Nanos};

/// A fleet in which each has its part saves this part of a window in all.
const SAVED: u64 = 30;

/// A process's part of an account that a fleet shares; the whole where nobody shares it.
///
/// The rate follows a new part at once. With an even pace, the window's limit follows the largest
/// part of the latest window: what flowed in under that part was granted to this process.
#[derive(Debug)]
pub(crate) struct Part {
    part: Fraction,
    /// The largest part of the latest window; nothing where that is the present one.
    peak: Fraction,
    peak_until: Nanos,
    is_even: bool,
    /// Whether a fleet shares the account, be this process's part the whole.
    is_shared: bool,
    /// Whether the fleet uses what flows in, where the store says so.
    is_used: Option<bool>,
}

impl Part {
    pub(crate) fn whole(is_even: bool) -> Self {
        Self {
            part: Fraction::WHOLE,
            peak: Fraction::ZERO,
            peak_until: 0,
            is_even,
            is_shared: false,
            is_used: None,
        }
    }

    pub(crate) fn set(&mut self, part: Fraction, now: Nanos, window: u64) {
        self.advance(now);
        if self.is_even && part < self.part && self.part >= self.peak {
            self.peak = self.part;
            self.peak_until = now.saturating_add(window);
        }
        self.part = part;
        self.is_shared = true;
    }

    /// What of `amount` flows in.
    #[inline]
    pub(crate) fn of(&self, amount: u64) -> u64 {
        self.part.of(amount)
    }

    /// What of `credit` the whole fleet may save, at `rate` per window.
    // Each process spends what it has saved beside the rate that is in force, and no other knows of it.
    // A thirtieth more than a rate of 0.98 is 1.013 of the quota, and the bound is 1.02
    // (docs/design.md, "Parts of a fleet").
    pub(crate) fn saved_of(&self, credit: u64, rate: u64) -> u64 {
        match self.is_shared {
            true => credit.min(rate / SAVED),
            false => credit,
        }
    }

    /// What of `quota` the window may hold.
    #[inline]
    pub(crate) fn held_of(&self, quota: u64) -> u64 {
        self.part.max(self.peak).of(quota)
    }

    /// Forgets a peak that is older than a window. Returns whether there was one.
    #[inline]
    pub(crate) fn advance(&mut self, now: Nanos) -> bool {
        let is_over = now >= self.peak_until && self.peak > Fraction::ZERO;
        if is_over {
            self.peak = Fraction::ZERO;
        }
        is_over
    }

    pub(crate) fn set_used(&mut self, is_used: Option<bool>) {
        self.is_used = is_used;
    }

    pub(crate) fn is_used(&self) -> Option<bool> {
        self.is_used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_flows_in_follows_at_once_and_the_window_a_window_later() {
        let mut part = Part::whole(true);
        assert_eq!((part.of(100), part.held_of(100)), (100, 100));
        part.set(Fraction::one_of(4), 10, 100);
        assert_eq!((part.of(100), part.held_of(100)), (25, 100));
        assert!(!part.advance(109));
        assert_eq!(part.held_of(100), 100);
        assert!(part.advance(110));
        assert_eq!(part.held_of(100), 25);
        part.set(Fraction::one_of(2), 120, 100);
        part.set(Fraction::one_of(8), 130, 100);
        part.set(Fraction::one_of(16), 140, 100);
        part.advance(229);
        assert_eq!(part.held_of(160), 80, "the largest of the window");
        part.advance(230);
        assert_eq!(part.held_of(160), 10);
    }

    #[test]
    fn what_may_go_at_once_follows_at_once() {
        let mut part = Part::whole(false);
        assert_eq!(part.of(u64::MAX), u64::MAX);
        part.set(Fraction::one_of(2), 0, 1);
        assert_eq!(part.held_of(100), 50, "all may have gone at once");
    }
}
