use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;

/// Gives each call its own random numbers: the same ones in every run where a seed was set.
#[derive(Debug, Clone)]
pub(crate) struct Seeds(Option<Seeded>);

#[derive(Debug, Clone)]
struct Seeded {
    seed: u64,
    calls: Arc<AtomicU64>,
}

impl Seeds {
    pub(crate) fn random() -> Self {
        Self(None)
    }

    pub(crate) fn seeded(seed: u64) -> Self {
        let calls = Arc::default();
        Self(Some(Seeded { seed, calls }))
    }

    /// The random numbers of the next call.
    pub(crate) fn rng(&self) -> Rng {
        match &self.0 {
            None => Rng::new(),
            Some(seeded) => {
                let call = seeded.calls.fetch_add(1, Ordering::Relaxed);
                Rng::with_seed(Rng::with_seed(seeded.seed).u64(..) ^ Rng::with_seed(call).u64(..))
            }
        }
    }
}

/// A duration between `low` and `high`, both included, each equally likely; `low` where `high` lies below it.
pub(crate) fn between(rng: &mut Rng, low: Duration, high: Duration) -> Duration {
    let range = u64::try_from(high.saturating_sub(low).as_nanos()).unwrap_or(u64::MAX);
    low.saturating_add(Duration::from_nanos(rng.u64(0..=range)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeded_calls_repeat_from_run_to_run_and_differ_from_each_other() {
        let drawn = || {
            let seeds = Seeds::seeded(7);
            [seeds.rng().u64(..), seeds.clone().rng().u64(..)]
        };
        assert_eq!(drawn(), drawn());
        assert_ne!(drawn()[0], drawn()[1]);
    }

    #[test]
    fn another_seed_draws_other_numbers() {
        assert_ne!(
            Seeds::seeded(7).rng().u64(..),
            Seeds::seeded(8).rng().u64(..)
        );
    }

    #[test]
    fn between_holds_its_bounds_where_they_meet_cross_or_are_endless() {
        let mut rng = Rng::with_seed(1);
        let second = Duration::from_secs(1);
        assert_eq!(between(&mut rng, second, second), second);
        assert_eq!(between(&mut rng, second, Duration::ZERO), second);
        assert!(between(&mut rng, second, Duration::MAX) >= second);
    }
}
