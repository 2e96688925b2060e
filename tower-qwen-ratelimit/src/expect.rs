//! Learns what answers really cost.

const SAMPLES: usize = 64;
/// Fewer settled calls than this say nothing yet.
const ENOUGH: usize = 8;
/// Expected output of a call that bounds itself nowhere, while nothing is known. Tokens.
const UNKNOWN: u64 = 4_096;
/// Reserved is what 65 of 100 answers stay within: the sum over the answers that run at one time is then seldom short.
const QUANTILE: usize = 65;

/// The output of the latest answers of one account, and what the next one is expected to bring.
#[derive(Debug)]
pub(crate) struct Expect {
    samples: [u32; SAMPLES],
    seen: usize,
    learned: u64,
}

impl Expect {
    pub(crate) fn new() -> Self {
        Self {
            samples: [0; SAMPLES],
            seen: 0,
            learned: 0,
        }
    }

    /// An answer cost `output` tokens.
    pub(crate) fn learn(&mut self, output: u64) {
        self.samples[self.seen % SAMPLES] = u32::try_from(output).unwrap_or(u32::MAX);
        self.seen = self.seen.saturating_add(1);
        let known = self.seen.min(SAMPLES);
        let mut sorted = self.samples;
        let (_, value, _) = sorted[..known].select_nth_unstable((known - 1) * QUANTILE / 100);
        self.learned = u64::from(*value);
    }

    /// What an answer is expected to cost whose ceiling is `ceiling`.
    pub(crate) fn output(&self, ceiling: Option<u64>) -> u64 {
        let expected = if self.seen < ENOUGH {
            ceiling.unwrap_or(UNKNOWN)
        } else {
            self.learned
        };
        expected.min(ceiling.unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_stands_until_enough_is_known() {
        let mut expect = Expect::new();
        assert_eq!(expect.output(Some(9_000)), 9_000);
        assert_eq!(expect.output(None), UNKNOWN);
        for _ in 0..ENOUGH - 1 {
            expect.learn(100);
        }
        assert_eq!(expect.output(Some(9_000)), 9_000);
        expect.learn(100);
        assert_eq!(expect.output(Some(9_000)), 100);
        assert_eq!(expect.output(Some(40)), 40);
    }

    #[test]
    fn follows_what_answers_cost_of_late() {
        let mut expect = Expect::new();
        for _ in 0..SAMPLES {
            expect.learn(1_000);
        }
        for output in 0..SAMPLES as u64 {
            expect.learn(output);
        }
        assert_eq!(expect.output(None), 40);
    }
}
