//! How many calls a run holds at once.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tower_qwen_ratelimit::Quota;

/// So that answers of up to this length leave no request of the quota unused. Unit: milliseconds.
const LONGEST_ANSWER: u128 = 15_000;
/// A small quota has waits of its own; fewer calls would leave tokens unused beside requests.
const LEAST: u64 = 16;
/// For the sake of memory and sockets: a call of 4 KB takes 60 KB, of which 40 are its connection's, and most systems let a process open
/// 1,024 files.
const MOST: u64 = 384;
/// More would wait for too long where a quota begins small.
const UNKNOWN: u64 = 256;

/// How many calls a run holds at once. Clones share the number, which may grow while the run goes on.
#[derive(Debug, Clone)]
pub struct Concurrency(Number);

#[derive(Debug, Clone)]
enum Number {
    Fixed(usize),
    /// The sum of what each model can use.
    Growing(Arc<AtomicU64>),
}

impl Concurrency {
    /// As many as are given, else as many as the quotas can use.
    #[must_use]
    pub fn new(given: Option<u32>) -> Self {
        Self(match given {
            Some(calls) => Number::Fixed(usize::try_from(calls).unwrap_or(usize::MAX)),
            None => Number::Growing(Arc::default()),
        })
    }

    /// The number now.
    #[must_use]
    pub fn get(&self) -> usize {
        match &self.0 {
            Number::Fixed(calls) => *calls,
            Number::Growing(sum) => at_most(sum.load(Ordering::Relaxed).clamp(LEAST, MOST)),
        }
    }

    /// The highest that it can become.
    #[must_use]
    pub fn most(&self) -> usize {
        match &self.0 {
            Number::Fixed(calls) => *calls,
            Number::Growing(_) => at_most(MOST),
        }
    }

    /// Adds what a model with this quota can use; `None` where its quota is not known.
    pub fn add(&self, quota: Option<Quota>) {
        let Number::Growing(sum) = &self.0 else {
            return;
        };
        let more = quota.map_or(UNKNOWN, |quota| {
            let window = quota.window_length().as_millis().max(1);
            let calls = u128::from(quota.requests()).saturating_mul(LONGEST_ANSWER) / window;
            u64::try_from(calls).unwrap_or(MOST).min(MOST)
        });
        sum.fetch_add(more, Ordering::Relaxed);
    }
}

impl From<usize> for Concurrency {
    fn from(calls: usize) -> Self {
        Self(Number::Fixed(calls))
    }
}

fn at_most(calls: u64) -> usize {
    usize::try_from(calls).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn of(given: Option<u32>, quotas: &[Option<Quota>]) -> usize {
        let concurrency = Concurrency::new(given);
        for &quota in quotas {
            concurrency.add(quota);
        }
        assert!(concurrency.get() <= concurrency.most());
        concurrency.get()
    }

    #[test]
    fn it_follows_the_quotas_within_bounds() {
        let known = |requests| Some(Quota::per_minute(requests, 1_000_000));
        let half_a_minute = known(400).map(|quota| quota.window(Duration::from_secs(30)));
        for (given, quotas, expected) in [
            (None, &[][..], 16),
            (None, &[known(60)], 16),
            (None, &[known(400)], 100),
            (None, &[half_a_minute], 200),
            (None, &[known(400), known(200)], 150),
            (None, &[known(30_000)], 384),
            (None, &[known(u64::MAX)], 384),
            (None, &[None], 256),
            (None, &[None, known(60)], 271),
            (Some(3), &[known(30_000)], 3),
            (Some(2_000), &[None], 2_000),
        ] {
            assert_eq!(of(given, quotas), expected, "{given:?} {quotas:?}");
        }
    }
}
