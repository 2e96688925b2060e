//! When the jobs are looked at next.

use std::time::Duration;

/// It grows up to so many times the first one.
const MOST: u32 = 10;

/// The time from one look to the next: it grows by half while nothing changes.
#[derive(Debug, Clone)]
pub(super) struct Interval {
    first: Duration,
    now: Duration,
}

impl Interval {
    pub(super) fn new(first: Duration) -> Self {
        Self { first, now: first }
    }

    /// The time to wait now; the next one is longer.
    pub(super) fn next(&mut self) -> Duration {
        let now = self.now;
        self.now = (now + now / 2).min(self.first.saturating_mul(MOST));
        now
    }

    /// Something has changed.
    pub(super) fn reset(&mut self) {
        self.now = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_by_half_up_to_ten_times() {
        let mut interval = Interval::new(Duration::from_secs(60));
        let seconds: Vec<u64> = (0..9).map(|_| interval.next().as_secs()).collect();
        assert_eq!(seconds, [60, 90, 135, 202, 303, 455, 600, 600, 600]);
        interval.reset();
        assert_eq!(interval.next().as_secs(), 60);
    }
}
