//! What came of it.

use std::fmt;

use mock_qwen::Stats;
use serde::Serialize;

use crate::worker::Got;

/// What the workers got, and what the provider says.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Those that were there all the time.
    whole: Vec<Got>,
    /// The one that joined late.
    late: Option<Got>,
    /// Between those that were there all the time, by tokens: 1 is even.
    jain: f64,
    /// The larger of the shares used of requests and tokens, on the mean of the full windows but the first.
    used: f64,
    /// The larger of the shares in any stretch of one window.
    highest: f64,
    throttled: u64,
    throttled_per_1000: f64,
    round_trips_per_call: f64,
}

impl Report {
    pub(crate) fn new(whole: Vec<Got>, late: Option<Got>, stats: Stats) -> Self {
        let shares = whole.iter().map(|got| got.tokens as f64);
        let sum = |of: fn(&Got) -> u64| {
            let all = whole.iter().chain(&late).map(of);
            all.sum::<u64>() as f64
        };
        let throttled = stats.throttled.total();
        let steady = stats.utilisation.steady;
        let highest = stats.utilisation.highest_window;
        Self {
            jain: jain(shares.collect()),
            used: steady.requests.max(steady.tokens),
            highest: highest.requests.max(highest.tokens),
            throttled,
            throttled_per_1000: throttled as f64 * 1_000.0 / stats.seen.max(1) as f64,
            round_trips_per_call: sum(|got| got.round_trips) / sum(|got| got.admitted).max(1.0),
            whole,
            late,
        }
    }
}

/// Jain's index of fairness: 1 where all have the same, one n-th where one has all.
fn jain(shares: Vec<f64>) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    if squares > 0.0 {
        sum * sum / (shares.len() as f64 * squares)
    } else {
        1.0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads = ["worker", "calls", "tokens", "throttled", "trips", "outages"];
        for head in heads {
            write!(f, "{head:>11}")?;
        }
        writeln!(f, "  cost")?;
        for got in self.whole.iter().chain(&self.late) {
            writeln!(
                f,
                "{:>11}{:>11}{:>11}{:>11}{:>11}{:>11}  {}",
                got.worker,
                got.outcomes.calls,
                got.tokens,
                got.throttled,
                got.round_trips,
                got.outages,
                got.cost
            )?;
        }
        writeln!(f, "used of the quota      {:.3}", self.used)?;
        writeln!(f, "highest window         {:.3}", self.highest)?;
        writeln!(
            f,
            "throttled              {} ({:.2} of 1,000)",
            self.throttled, self.throttled_per_1000
        )?;
        writeln!(f, "fairness (Jain)        {:.3}", self.jain)?;
        write!(f, "round trips per call   {:.3}", self.round_trips_per_call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_shares_are_fair() {
        assert_eq!(jain(vec![3.0, 3.0, 3.0]), 1.0);
        assert_eq!(jain(vec![3.0, 0.0, 0.0]), 1.0 / 3.0);
        assert_eq!(jain(vec![0.0]), 1.0);
    }
}
