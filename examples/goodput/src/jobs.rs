//! The jobs of all runs: prompts and answers with a heavy tail.

use fastrand::Rng;
use mock_qwen::CallTokens;

/// Median and 99th percentile of a prompt, in tokens.
const PROMPT: LogNormal = LogNormal {
    median: 300.0,
    p99: 6_000.0,
};
/// The same of an answer.
const ANSWER: LogNormal = LogNormal {
    median: 150.0,
    p99: 2_000.0,
};
/// Mean of prompt and answer together after scaling. The quotas allow 1,000 tokens a request, so requests bind in some windows and
/// tokens in others: the load that is hardest to serve without a loss.
const MEAN: f64 = 1_003.0;
/// The 99th percentile of the normal distribution, in standard deviations.
const Z99: f64 = 2.326_347_9;
/// The largest prompt and answer, as a part of the tokens of a window. Without it a small quota has jobs that never fit.
const LARGEST: u64 = 8;

/// A log-normal distribution.
#[derive(Debug, Clone, Copy)]
struct LogNormal {
    median: f64,
    p99: f64,
}

/// How large jobs are, against a quota of 1,000 tokens a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Size {
    /// Half as large: requests bind.
    RequestsBind,
    /// 1,003 tokens on the mean: requests and tokens bind in turns.
    BothBind,
    /// Twice as large: tokens bind.
    TokensBind,
}

/// An endless row of jobs; the same seed gives the same row.
#[derive(Debug, Clone)]
pub struct Jobs {
    rng: Rng,
    scale: f64,
    largest: u64,
}

impl LogNormal {
    fn sigma(self) -> f64 {
        (self.p99 / self.median).ln() / Z99
    }

    fn mean(self) -> f64 {
        self.median * (self.sigma().powi(2) / 2.0).exp()
    }

    fn draw(self, rng: &mut Rng) -> f64 {
        self.median * (self.sigma() * normal(rng)).exp()
    }
}

impl Size {
    fn factor(self) -> f64 {
        match self {
            Self::RequestsBind => 0.5,
            Self::BothBind => 1.0,
            Self::TokensBind => 2.0,
        }
    }
}

impl Jobs {
    /// Jobs for a quota of `tokens` in a window.
    #[must_use]
    pub fn new(seed: u64, size: Size, tokens: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            scale: size.factor() * MEAN / (PROMPT.mean() + ANSWER.mean()),
            largest: (tokens / LARGEST).max(1),
        }
    }

    /// The next job. Its ceiling (`max_tokens`) is 2 to 4 times its answer, as callers choose it who do not know.
    pub fn next_job(&mut self) -> CallTokens {
        let prompt = self.tokens(PROMPT);
        let output = self.tokens(ANSWER);
        let times = 2.0 + 2.0 * self.rng.f64();
        CallTokens {
            prompt,
            output,
            ceiling: (output as f64 * times) as u64,
        }
    }

    fn tokens(&mut self, of: LogNormal) -> u64 {
        let tokens = of.draw(&mut self.rng) * self.scale;
        (tokens.round() as u64).clamp(1, self.largest)
    }
}

/// A draw of the normal distribution, by Box and Muller.
fn normal(rng: &mut Rng) -> f64 {
    // Of (0, 1]: the logarithm of 0 is no number.
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.f64()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: usize = 200_000;

    fn quantile(sorted: &[u64], share: f64) -> f64 {
        sorted[(sorted.len() as f64 * share) as usize] as f64
    }

    #[test]
    fn jobs_are_as_large_as_stated() {
        let mut jobs = Jobs::new(1, Size::BothBind, u64::MAX);
        let scale = jobs.scale;
        let drawn: Vec<CallTokens> = (0..MANY).map(|_| jobs.next_job()).collect();
        let sum: u64 = drawn.iter().map(|job| job.prompt + job.output).sum();
        let mean = sum as f64 / MANY as f64;
        assert!((mean - MEAN).abs() < 0.02 * MEAN, "{mean}");
        for (of, tokens) in [
            (
                PROMPT,
                drawn.iter().map(|job| job.prompt).collect::<Vec<_>>(),
            ),
            (ANSWER, drawn.iter().map(|job| job.output).collect()),
        ] {
            let mut tokens = tokens;
            tokens.sort_unstable();
            let near = |is: f64, should: f64| (is / scale - should).abs() < 0.05 * should;
            assert!(near(quantile(&tokens, 0.5), of.median));
            assert!(near(quantile(&tokens, 0.99), of.p99));
        }
    }

    #[test]
    fn the_ceiling_is_never_below_the_answer_and_no_job_is_too_large() {
        let mut jobs = Jobs::new(2, Size::TokensBind, 3_000);
        for _ in 0..1_000 {
            let job = jobs.next_job();
            assert!(job.ceiling >= job.output);
            assert!(job.prompt + job.output <= 750);
        }
    }
}
