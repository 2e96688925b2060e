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

impl Default for Samples {
    fn default() -> Self {
        Self {
            window: Vec::new(),
            next: 0,
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
            Some(oldest) => *oldest = sample,
            None => self.window.push(sample),
        }
        self.next = (self.next + 1) % WINDOW;
        self.taken = self.taken.saturating_add(1);
        self.ratio = self.trimmed();
    }

    /// The sum of the actual by the sum of the estimated: what a quota feels. Samples far from the middle one are left out.
    fn trimmed(&self) -> Ratio {
        let mut ratios = [Ratio::ONE; WINDOW];
        let ratios = &mut ratios[..self.window.len()];
        for (ratio, sample) in ratios.iter_mut().zip(&self.window) {
            *ratio = sample.ratio;
        }
        // The middle, not the mean: one call in ten with a wrong count does not move it.
        let half = ratios.len() / 2;
        let (_, &mut middle, _) = ratios.select_nth_unstable(half);
        let near = self
            .window
            .iter()
            .filter(|sample| sample.ratio.is_near(middle));
        let (actual, estimated) = near.fold((0_u64, 0_u64), |(actual, estimated), sample| {
            (
                actual.saturating_add(sample.actual),
                estimated.saturating_add(sample.estimated),
            )
        });
        Ratio::of(actual, estimated)
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

#[cfg(test)]
mod tests {
    use super::{CALIBRATED, Ratio, Samples, WINDOW};

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
