use std::mem;

use super::ratio::Ratio;

/// How many of the newest calls a ratio is made of.
// After 50 calls the error of a sum is within 0.8 % of chance (docs/performance.md, "After
// calibration"); more would only make it slower to follow a change.
const WINDOW: usize = 64;
/// A count that is further off than this factor, either way, is ignored.
// Random text, the worst case, is 65 % off. A count eight times off is another call's, or none.
const ABSURD: u64 = 8;
/// The calls of a kind after which its ratio is trusted.
// Chance alone is then about 1.3 % (0.8 % at 50 calls, by the square root), which a factor of 15 %
// for caution no longer improves.
pub(super) const CALIBRATED: u64 = 20;

/// The settled calls of one kind, the newest [`WINDOW`] of them.
#[derive(Debug, Clone)]
pub(super) struct Samples {
    window: Vec<Sample>,
    next: usize,
    /// The ratios of the window in their order, so that the middle one is known without a search: every call learns.
    sorted: Vec<Ratio>,
    /// The sums over the whole window, which are those of the near samples where all are near.
    sums: Sums,
    pub(super) taken: u64,
    pub(super) ignored: u64,
    pub(super) ratio: Ratio,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    estimated: u64,
    actual: u64,
    ratio: Ratio,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    estimated: u128,
    actual: u128,
}

impl Default for Samples {
    fn default() -> Self {
        Self {
            window: Vec::new(),
            next: 0,
            sorted: Vec::new(),
            sums: Sums::default(),
            taken: 0,
            ignored: 0,
            ratio: Ratio::ONE,
        }
    }
}

impl Samples {
    pub(super) fn learn(&mut self, estimated: u64, actual: u64) {
        let absurd = actual == 0
            || estimated == 0
            || actual > estimated.saturating_mul(ABSURD)
            || estimated > actual.saturating_mul(ABSURD);
        if absurd {
            self.ignored = self.ignored.saturating_add(1);
            return;
        }
        let sample = Sample {
            estimated,
            actual,
            ratio: Ratio::of(actual, estimated),
        };
        match self.window.get_mut(self.next) {
            Some(oldest) => {
                let oldest = mem::replace(oldest, sample);
                self.sums.take(oldest);
                if let Ok(at) = self.sorted.binary_search(&oldest.ratio) {
                    self.sorted.remove(at);
                }
            }
            None => self.window.push(sample),
        }
        self.sums.add(sample);
        let at = self.sorted.partition_point(|&ratio| ratio < sample.ratio);
        self.sorted.insert(at, sample.ratio);
        self.next = (self.next + 1) % WINDOW;
        self.taken = self.taken.saturating_add(1);
        self.ratio = self.trimmed();
    }

    /// The sum of the actual by the sum of the estimated: what a quota feels. Samples far from the middle one are left out.
    fn trimmed(&self) -> Ratio {
        // The middle, not the mean: one call in ten with a wrong count does not move it.
        let middle = self.sorted.get(self.sorted.len() / 2);
        let middle = middle.copied().unwrap_or(Ratio::ONE);
        let mut ends = self.sorted.first().into_iter().chain(self.sorted.last());
        if ends.all(|end| end.is_near(middle)) {
            return self.sums.ratio();
        }
        let near = |sample: &&Sample| sample.ratio.is_near(middle);
        let mut sums = Sums::default();
        self.window.iter().filter(near).for_each(|&it| sums.add(it));
        sums.ratio()
    }

    /// What is known, times `caution` until that is enough.
    pub(super) fn factor(&self, caution: Ratio) -> Ratio {
        if self.is_calibrated() {
            self.ratio
        } else {
            self.ratio.toward(self.taken, CALIBRATED).times(caution)
        }
    }

    pub(super) fn is_calibrated(&self) -> bool {
        self.taken >= CALIBRATED
    }
}

impl Sums {
    fn add(&mut self, sample: Sample) {
        // 64 numbers of 64 bits do not overflow.
        self.estimated += u128::from(sample.estimated);
        self.actual += u128::from(sample.actual);
    }

    /// Takes a sample out again.
    fn take(&mut self, sample: Sample) {
        self.estimated -= u128::from(sample.estimated);
        self.actual -= u128::from(sample.actual);
    }

    fn ratio(self) -> Ratio {
        let [actual, estimated] =
            [self.actual, self.estimated].map(|sum| u64::try_from(sum).unwrap_or(u64::MAX));
        Ratio::of(actual, estimated)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{CALIBRATED, Ratio, Samples, WINDOW};

    /// The ratio by its definition, over all samples so far.
    fn plain(samples: &[(u64, u64)]) -> Ratio {
        let window = &samples[samples.len().saturating_sub(WINDOW)..];
        let mut ratios: Vec<_> = window.iter().map(|&(e, a)| Ratio::of(a, e)).collect();
        ratios.sort_unstable();
        let middle = ratios[ratios.len() / 2];
        let near = window
            .iter()
            .filter(|(e, a)| Ratio::of(*a, *e).is_near(middle));
        let (actual, estimated) = near.fold((0_u64, 0_u64), |(actual, estimated), (e, a)| {
            (actual.saturating_add(*a), estimated.saturating_add(*e))
        });
        Ratio::of(actual, estimated)
    }

    proptest! {
        #[test]
        fn the_ratio_is_that_of_the_near_samples(
            calls in prop::collection::vec((1_u64..2_000, 30_u64..240, 0_u32..4), 1..200)
        ) {
            let (mut samples, mut all) = (Samples::default(), Vec::new());
            for (estimated, percent, shift) in calls {
                // Some so large that their sums saturate.
                let estimated = if shift == 3 { estimated << 50 } else { estimated };
                let actual = (estimated / 100 * percent).max(1);
                let taken = samples.taken;
                samples.learn(estimated, actual);
                if samples.taken > taken {
                    all.push((estimated, actual));
                    prop_assert_eq!(samples.ratio, plain(&all));
                }
            }
        }
    }

    #[test]
    fn the_window_forgets() {
        let mut samples = Samples::default();
        for _ in 0..WINDOW {
            samples.learn(100, 120);
        }
        assert_eq!(samples.ratio, Ratio::of(120, 100));
        for _ in 0..WINDOW {
            samples.learn(100, 90);
        }
        assert_eq!(samples.ratio, Ratio::of(90, 100));
        assert_eq!(samples.window.len(), WINDOW);
    }

    #[test]
    fn huge_samples_saturate() {
        let mut samples = Samples::default();
        for _ in 0..CALIBRATED {
            samples.learn(u64::MAX, u64::MAX);
        }
        assert_eq!(samples.ratio, Ratio::ONE);
    }

    #[test]
    fn absurd_samples_are_counted_and_left_out() {
        let mut samples = Samples::default();
        for (estimated, actual) in [
            (0, 5),
            (5, 0),
            (100, 801),
            (801, 100),
            (1, u64::MAX),
            (u64::MAX, 1),
        ] {
            samples.learn(estimated, actual);
        }
        assert_eq!((samples.taken, samples.ignored), (0, 6));
        samples.learn(100, 800);
        assert_eq!((samples.taken, samples.ignored), (1, 6));
    }
}
