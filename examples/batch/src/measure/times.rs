//! Durations of one kind, as a distribution.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// So many digits of a duration are kept, so a figure is wrong by 1 % at most: nobody decides by less.
const DIGITS: u8 = 2;
/// The longest deadline that a call can have (`--deadline`).
const LONGEST: Duration = Duration::from_secs(30 * 86_400);
/// Bars for each factor of ten: enough to see two humps that differ by a half.
const BARS_OF_TEN: f64 = 8.0;
/// Shorter times are in one bar: a queue that is empty takes less, and its exact time says nothing.
const SHORTEST_BAR: Duration = Duration::from_millis(1);

/// Durations of one kind. Takes the same memory for any number of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Times {
    /// In microseconds.
    histogram: Histogram<u32>,
}

/// What so many percent of some durations do not exceed. Unit: seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Percentiles {
    /// How many durations there are.
    pub count: u64,
    /// Half of them take no longer.
    pub p50: f64,
    /// 95 of 100 take no longer.
    pub p95: f64,
    /// 99 of 100 take no longer.
    pub p99: f64,
    /// The longest one.
    pub max: f64,
}

/// Durations that are nearly the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    /// They take this at least.
    pub from: Duration,
    /// They take less than this.
    pub to: Duration,
    /// How many there are.
    pub count: u64,
}

impl Times {
    /// Adds a duration.
    pub fn record(&mut self, duration: Duration) {
        self.histogram.saturating_record(micros(duration));
    }

    /// Adds all of another distribution.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.histogram
            .add(&other.histogram)
            .expect("all distributions have the same bounds");
    }

    /// How many durations there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// What so much of all, 1 being the whole, does not exceed; `None` where there is nothing.
    #[must_use]
    pub fn at(&self, share: f64) -> Option<Duration> {
        let micros = self.histogram.value_at_quantile(share);
        (self.count() > 0).then(|| Duration::from_micros(micros))
    }

    /// The usual percentiles; `None` where there is nothing.
    #[must_use]
    pub fn percentiles(&self) -> Option<Percentiles> {
        let at = |share| self.at(share).map(|duration| duration.as_secs_f64());
        Some(Percentiles {
            count: self.count(),
            p50: at(0.5)?,
            p95: at(0.95)?,
            p99: at(0.99)?,
            max: at(1.0)?,
        })
    }

    /// The distribution as bars that touch each other, from the first one that holds something to the last one. Each is
    /// wider than the one before by the same factor; the first of all begins at 0.
    #[must_use]
    pub fn bars(&self) -> Vec<Bar> {
        let mut bars: Vec<Bar> = Vec::new();
        for value in self.histogram.iter_recorded() {
            let number = bar_number(value.value_iterated_to());
            let first = bars
                .first()
                .map_or(number, |bar| bar_number(micros(bar.from)));
            for missing in first + bars.len()..=number {
                bars.push(Bar {
                    from: edge(missing),
                    to: edge(missing + 1),
                    count: 0,
                });
            }
            bars[number - first].count += value.count_since_last_iteration();
        }
        bars
    }
}

impl Default for Times {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, micros(LONGEST), DIGITS);
        Self {
            histogram: histogram.expect("the bounds are right"),
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The bar of a duration: its edge is the largest that is not beyond it.
fn bar_number(micros: u64) -> usize {
    let tens = (micros as f64 / SHORTEST_BAR.as_micros() as f64).log10();
    // Less than nothing for all that is shorter than the first edge, which the cast makes 0.
    let near = (tens * BARS_OF_TEN).floor() as usize + 1;
    // Logarithms and powers are rounded, so an edge itself may come to the bar before it.
    let mut number = near.saturating_sub(1);
    while micros >= self::micros(edge(number + 1)) {
        number += 1;
    }
    number
}

/// Where a bar begins.
fn edge(number: usize) -> Duration {
    match number {
        0 => Duration::ZERO,
        number => SHORTEST_BAR.mul_f64(10_f64.powf((number - 1) as f64 / BARS_OF_TEN)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn times(micros: &[u64]) -> Times {
        let mut times = Times::default();
        for &micros in micros {
            times.record(Duration::from_micros(micros));
        }
        times
    }

    /// Durations of all sizes.
    fn durations() -> impl Strategy<Value = Vec<u64>> {
        let one = (0_u32..41, any::<u64>()).prop_map(|(bits, value)| value % (1 << bits));
        prop::collection::vec(one, 1..300)
    }

    proptest! {
        #[test]
        fn percentiles_are_those_of_the_sorted_list(mut micros in durations(), share in 0.001..=1.0_f64) {
            let times = times(&micros);
            micros.sort_unstable();
            let rank = (share * micros.len() as f64).ceil() as usize;
            let exact = micros[rank - 1] as f64 / 1e6;
            let found = times.at(share).expect("there is something").as_secs_f64();
            prop_assert!(found >= exact && found <= exact * 1.01 + 1e-6, "{found} for {exact}");
        }

        #[test]
        fn each_duration_is_in_one_bar_and_bars_touch(micros in durations()) {
            let bars = times(&micros).bars();
            prop_assert_eq!(bars.iter().map(|bar| bar.count).sum::<u64>(), micros.len() as u64);
            prop_assert!(bars.windows(2).all(|two| two[0].to == two[1].from));
            prop_assert!(bars.first().is_some_and(|bar| bar.count > 0));
            prop_assert!(bars.last().is_some_and(|bar| bar.count > 0));
            for bar in &bars {
                let inside = |&&micros: &&u64| {
                    // The distribution knows a duration to 1 %, so near an edge it may be on its other side.
                    let seconds = micros as f64 / 1e6;
                    seconds * 1.011 + 2e-6 >= bar.from.as_secs_f64() && seconds < bar.to.as_secs_f64()
                };
                prop_assert!(bar.count <= micros.iter().filter(inside).count() as u64);
            }
        }

        #[test]
        fn together_they_are_as_if_recorded_in_one(one in durations(), other in durations()) {
            let mut sum = times(&one);
            sum.merge(&times(&other));
            prop_assert_eq!(sum, times(&[one, other].concat()));
        }
    }

    #[test]
    fn edges_are_those_of_their_bars() {
        for number in 0..100 {
            assert_eq!(bar_number(micros(edge(number))), number);
        }
        assert_eq!(edge(1), SHORTEST_BAR);
        assert_eq!(edge(9), Duration::from_millis(10));
    }

    #[test]
    fn nothing_and_endless_times_are_no_failure() {
        assert_eq!(Times::default().percentiles(), None);
        assert!(Times::default().bars().is_empty());
        let mut times = Times::default();
        times.record(Duration::MAX);
        times.record(Duration::ZERO);
        let found = times.percentiles().expect("there is something");
        assert_eq!((found.count, found.p50), (2, 0.0));
        assert!((found.max / LONGEST.as_secs_f64() - 1.0).abs() < 0.01);
    }
}
