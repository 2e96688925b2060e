use std::{collections::BTreeMap, mem::replace, sync::Arc};

/// The latest answers that count: few enough to follow a change of prompts within minutes.
const SAMPLES: usize = 64;
/// Fewer settled calls than this say nothing yet.
const ENOUGH: usize = 8;
/// Expected output of a call without a ceiling of its own, while nothing is known. Unit: tokens.
// Rather too much: an over-estimate comes back when the call settles, an under-estimate becomes
// debt.
const UNKNOWN: u64 = 4_096;
/// Reserved is what 65 of 100 answers stay within.
// Not the mean, nor the 99th percentile: what has to suffice is the sum over all answers that run
// at one time (docs/design.md, "Reservation").
const QUANTILE: usize = 65;
/// Labels that have their own figures. The rest share those of all calls, so that memory is
/// bounded.
const LABELS: usize = 64;

/// What the answers of one account are expected to bring, by label and over all.
#[derive(Debug, Default)]
pub(crate) struct OutputEstimate {
    all: Samples,
    by_label: BTreeMap<Arc<str>, Samples>,
}

/// The output of the latest answers of one kind, and what the next one is expected to bring.
#[derive(Debug)]
struct Samples {
    samples: [u32; SAMPLES],
    /// The known ones in their order, so that the quantile is known without a search: every answer learns.
    sorted: [u32; SAMPLES],
    seen: usize,
    learned: u64,
}

impl OutputEstimate {
    /// An answer cost `output` tokens.
    pub(crate) fn learn(&mut self, label: Option<&Arc<str>>, output: u64) {
        self.all.learn(output);
        let Some(label) = label else { return };
        if let Some(samples) = self.by_label.get_mut(label) {
            samples.learn(output);
        } else if self.by_label.len() < LABELS {
            let mut samples = Samples::default();
            samples.learn(output);
            self.by_label.insert(Arc::clone(label), samples);
        }
    }

    /// What an answer is expected to cost whose ceiling is `ceiling`: at most `unknown`, until
    /// answers are known.
    pub(crate) fn expected(
        &self,
        label: Option<&Arc<str>>,
        ceiling: Option<u64>,
        unknown: u64,
    ) -> u64 {
        let own = label
            .and_then(|label| self.by_label.get(label))
            .and_then(Samples::expected);
        let expected = own
            .or_else(|| self.all.expected())
            .unwrap_or_else(|| ceiling.unwrap_or(UNKNOWN).min(unknown));
        expected.min(ceiling.unwrap_or(u64::MAX))
    }
}

impl Samples {
    fn learn(&mut self, output: u64) {
        let output = u32::try_from(output).unwrap_or(u32::MAX);
        let oldest = replace(&mut self.samples[self.seen % SAMPLES], output);
        let known = self.seen.min(SAMPLES);
        self.seen = self.seen.saturating_add(1);
        // Where the window is full, the place of the oldest is free; until then the one behind the known.
        let free = match known {
            SAMPLES => self.sorted.partition_point(|&it| it < oldest),
            _ => known,
        };
        let sorted = &self.sorted[..known];
        let at = sorted.partition_point(|&it| it < output);
        // Between both, all move by one place towards the free one.
        let at = if free < at {
            self.sorted.copy_within(free + 1..at, free);
            at - 1
        } else {
            self.sorted.copy_within(at..free, at + 1);
            at
        };
        self.sorted[at] = output;
        let last = self.seen.min(SAMPLES) - 1;
        self.learned = u64::from(self.sorted[last * QUANTILE / 100]);
    }

    /// `None` until enough is known.
    fn expected(&self) -> Option<u64> {
        (self.seen >= ENOUGH).then_some(self.learned)
    }
}

impl Default for Samples {
    fn default() -> Self {
        Self {
            samples: [0; SAMPLES],
            sorted: [0; SAMPLES],
            seen: 0,
            learned: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_stands_until_enough_is_known() {
        let mut estimate = OutputEstimate::default();
        assert_eq!(estimate.expected(None, Some(9_000), u64::MAX), 9_000);
        assert_eq!(estimate.expected(None, None, u64::MAX), UNKNOWN);
        assert_eq!(estimate.expected(None, Some(9_000), 500), 500);
        for _ in 0..ENOUGH - 1 {
            estimate.learn(None, 100);
        }
        assert_eq!(estimate.expected(None, Some(9_000), u64::MAX), 9_000);
        estimate.learn(None, 100);
        assert_eq!(estimate.expected(None, Some(9_000), u64::MAX), 100);
        assert_eq!(estimate.expected(None, Some(40), u64::MAX), 40);
    }

    #[test]
    fn follows_what_answers_cost_of_late() {
        let mut estimate = OutputEstimate::default();
        for _ in 0..SAMPLES {
            estimate.learn(None, 1_000);
        }
        for output in 0..SAMPLES as u64 {
            estimate.learn(None, output);
        }
        assert_eq!(estimate.expected(None, None, u64::MAX), 40);
    }

    #[test]
    fn the_quantile_is_that_of_the_latest_answers() {
        let mut samples = Samples::default();
        let mut all = Vec::new();
        // Few distinct values, so that equal ones meet; and some that no `u32` holds.
        for number in 0..1_000_u64 {
            let output = number * 7_919 % 37 * if number % 50 == 0 { u64::MAX / 64 } else { 1 };
            samples.learn(output);
            all.push(u32::try_from(output).unwrap_or(u32::MAX));
            let mut latest = all[all.len().saturating_sub(SAMPLES)..].to_vec();
            latest.sort_unstable();
            let expected = latest[(latest.len() - 1) * QUANTILE / 100];
            assert_eq!(samples.learned, u64::from(expected), "{number}");
        }
    }

    #[test]
    fn a_label_is_learned_apart() {
        let (short, long): (Arc<str>, Arc<str>) = ("classify".into(), "write".into());
        let mut estimate = OutputEstimate::default();
        for _ in 0..ENOUGH {
            estimate.learn(Some(&short), 3);
            estimate.learn(Some(&long), 3_000);
        }
        assert_eq!(estimate.expected(Some(&short), None, u64::MAX), 3);
        assert_eq!(estimate.expected(Some(&long), Some(4_000), u64::MAX), 3_000);
        let unknown = "new".into();
        assert_eq!(
            estimate.expected(Some(&unknown), None, u64::MAX),
            estimate.expected(None, None, u64::MAX)
        );
    }

    #[test]
    fn labels_are_bounded() {
        let mut estimate = OutputEstimate::default();
        for label in 0..1_000 {
            estimate.learn(Some(&label.to_string().into()), 5);
        }
        assert_eq!(estimate.by_label.len(), LABELS);
    }
}
