//! How the limits change during a run.

use std::ops::RangeInclusive;

use mock_qwen::{Config, MockQwen};

/// The limits of each window, as a share of those at the start. Windows count from 1.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Schedule(Vec<Change>);

/// From the beginning of this window on, this share of the limits is in force.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// The number of the window, from 1.
    pub window: u32,
    /// Of the limits at the start.
    pub share: f64,
}

impl Schedule {
    /// Changes in the order of their windows.
    #[must_use]
    pub fn new(changes: Vec<Change>) -> Self {
        debug_assert!(changes.is_sorted_by_key(|change| change.window));
        Self(changes)
    }

    /// The share in force in a window.
    #[must_use]
    pub fn share(&self, window: u32) -> f64 {
        let begun = self.0.iter().rev().find(|change| change.window <= window);
        begun.map_or(1.0, |change| change.share)
    }

    /// Requests and tokens in force in a window.
    #[must_use]
    pub fn limits(&self, config: &Config, window: u32) -> (u64, u64) {
        let share = self.share(window);
        let of = |limit: u64| ((limit as f64 * share).round() as u64).max(1);
        (of(config.rpm), of(config.tpm))
    }

    /// The windows of a run in which one share is in force, where those are three at least: from the first change on, or all windows
    /// where there is no change.
    #[must_use]
    pub fn periods(&self, windows: u32) -> Vec<RangeInclusive<u32>> {
        if self.0.is_empty() {
            return vec![1..=windows];
        }
        let begins = self.0.iter().map(|change| change.window);
        let ends = self.0.iter().skip(1).map(|change| change.window - 1);
        let periods = begins.zip(ends.chain([windows]));
        periods
            .filter(|(begin, end)| begin + 2 <= *end)
            .map(|(begin, end)| begin..=end)
            .collect()
    }

    /// Changes the provider's limits when it is time. The provider's time begins when this is called.
    pub async fn keep(&self, config: &Config, provider: &MockQwen) {
        let start = tokio::time::Instant::now();
        for change in &self.0 {
            let begins = config.window * change.window.saturating_sub(1);
            tokio::time::sleep_until(start + begins).await;
            let (rpm, tpm) = self.limits(config, change.window);
            provider.set_limits(rpm, tpm);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_holds_until_the_next() {
        let schedule = Schedule::new(vec![
            Change {
                window: 3,
                share: 0.5,
            },
            Change {
                window: 5,
                share: 1.0,
            },
        ]);
        let shares = [1, 2, 3, 4, 5, 9].map(|window| schedule.share(window));
        assert_eq!(shares, [1.0, 1.0, 0.5, 0.5, 1.0, 1.0]);
        let config = Config {
            rpm: 3,
            ..Config::default()
        };
        assert_eq!(schedule.limits(&config, 3), (2, 400_000));
        assert_eq!(schedule.periods(9), [5..=9]);
        assert_eq!(Schedule::default().periods(9), [1..=9]);
    }
}
