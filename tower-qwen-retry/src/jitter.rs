use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;

/// Gives each call its own random numbers; with a seed, the same ones in every run.
#[derive(Debug, Clone)]
pub(crate) struct Seeds(Option<Seeded>);

#[derive(Debug, Clone)]
struct Seeded {
    seed: u64,
    // Only counts: no other memory depends on it, so `Relaxed` is enough.
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
                // Both are scrambled first: `seed ^ call` would give seeds 0 and 1 the same
                // numbers, one call apart.
                Rng::with_seed(Rng::with_seed(seeded.seed).u64(..) ^ Rng::with_seed(call).u64(..))
            }
        }
    }
}

/// A duration from `low` to `high`, both included, each equally likely; `low` if `high` is less.
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
    fn threads_draw_the_same_numbers_as_one_alone() {
        fn draw(seeds: &Seeds, calls: u32) -> Vec<u64> {
            (0..calls).map(|_| seeds.rng().u64(..)).collect()
        }
        let mut alone = draw(&Seeds::seeded(7), 2_000);
        let seeds = Seeds::seeded(7);
        let mut together = std::thread::scope(|scope| {
            let threads = [(); 4].map(|()| scope.spawn(|| draw(&seeds, 500)));
            threads
                .map(|thread| thread.join().expect("no panic"))
                .concat()
        });
        alone.sort_unstable();
        together.sort_unstable();
        assert_eq!(alone, together);
    }

    #[test]
    fn another_seed_draws_other_numbers() {
        assert_ne!(
            Seeds::seeded(7).rng().u64(..),
            Seeds::seeded(8).rng().u64(..)
        );
    }

    #[test]
    fn between_accepts_equal_crossed_and_endless_bounds() {
        let mut rng = Rng::with_seed(1);
        let second = Duration::from_secs(1);
        assert_eq!(between(&mut rng, second, second), second);
        assert_eq!(between(&mut rng, second, Duration::ZERO), second);
        assert!(between(&mut rng, second, Duration::MAX) >= second);
    }
}
