//! Sums per window, for the statistics only.

use std::time::Duration;

use crate::stats::{Share, Shares, Utilisation};

/// Windows in a row from the first accepted call on.
#[derive(Debug)]
pub(crate) struct Windows {
    window: Duration,
    /// The date of the first accepted call.
    first: Option<Duration>,
    /// Requests and tokens of each window, up to the last with a charge.
    sums: Vec<(u64, u64)>,
}

impl Windows {
    pub(crate) fn new(window: Duration) -> Self {
        Self {
            window,
            first: None,
            sums: Vec::new(),
        }
    }

    /// An accepted call.
    pub(crate) fn request(&mut self, at: Duration) {
        self.first.get_or_insert(at);
        if let Some(sums) = self.at(at) {
            sums.0 += 1;
        }
    }

    /// Tokens of a call, as they are dated.
    pub(crate) fn tokens(&mut self, at: Duration, amount: u64) {
        if let Some(sums) = self.at(at) {
            sums.1 += amount;
        }
    }

    pub(crate) fn clear(&mut self) {
        self.first = None;
        self.sums.clear();
    }

    /// All but the highest sums.
    pub(crate) fn utilisation(&self, rpm: u64, tpm: u64) -> Utilisation {
        let full = match self.sums.split_last() {
            Some((_, full)) => full,
            None => &[],
        };
        let share = |used: u64, limit: u64| used as f64 / limit.max(1) as f64;
        let windows = Shares {
            requests: full.iter().map(|sums| share(sums.0, rpm)).collect(),
            tokens: full.iter().map(|sums| share(sums.1, tpm)).collect(),
        };
        Utilisation {
            mean: windows.mean(0),
            steady: windows.mean(1),
            windows,
            highest_window: Share::default(),
        }
    }

    /// The sums of the window of an instant; none before the first call.
    fn at(&mut self, at: Duration) -> Option<&mut (u64, u64)> {
        let since = at.checked_sub(self.first?)?;
        let number = (since.as_nanos() / self.window.as_nanos()) as usize;
        if self.sums.len() <= number {
            self.sums.resize(number + 1, (0, 0));
        }
        self.sums.get_mut(number)
    }
}

impl Shares {
    fn mean(&self, skip: usize) -> Share {
        let mean = |shares: &[f64]| {
            let shares = shares.get(skip..).unwrap_or_default();
            shares.iter().fold(0.0, |sum, share| sum + share) / shares.len().max(1) as f64
        };
        Share {
            requests: mean(&self.requests),
            tokens: mean(&self.tokens),
        }
    }
}
