use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

/// How many models are told apart. Two that share a number share what their throttles say, which at worst
/// lets a call wait for its patience.
const NUMBERS: usize = 64;

/// How many calls of each model were throttled, over all calls of a policy. Only failures write to it.
pub(crate) struct ThrottleCounts {
    counts: [AtomicU64; NUMBERS],
    hasher: RandomState,
}

impl ThrottleCounts {
    /// Counts one more; returns how many there are now.
    pub(crate) fn add(&self, model: &str) -> u64 {
        let number = self.hasher.hash_one(model) % NUMBERS as u64;
        let count = usize::try_from(number)
            .ok()
            .and_then(|number| self.counts.get(number));
        // Only differences count, and nothing else depends on them.
        count.map_or(0, |count| {
            count.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
        })
    }
}

impl Default for ThrottleCounts {
    fn default() -> Self {
        Self {
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
            hasher: RandomState::new(),
        }
    }
}

impl fmt::Debug for ThrottleCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThrottleCounts").finish_non_exhaustive()
    }
}
