//! How fast a run goes, and how long it will still take.

use std::{collections::VecDeque, fmt, time::Duration};

use tokio::time::Instant;

/// Over what time the rate is taken: the window of nearly all quotas. In a shorter time a smooth rate and one that comes
/// in bursts differ by chance.
const WINDOW: Duration = Duration::from_secs(60);
/// How often an estimate is set down to compare later ones with.
const GLANCE: Duration = Duration::from_secs(5);
/// Enough for a smooth rate over the window, whatever the ticks are.
const SAMPLE: Duration = Duration::from_millis(250);

/// How fast calls are made.
#[derive(Debug)]
pub struct Pace {
    /// Calls that were made by then. The first is the latest from before the window, if there is one.
    samples: VecDeque<(Instant, u64)>,
    /// Estimates within the window.
    glances: VecDeque<(Instant, Duration)>,
}

/// How long a run will still take at the rate of the last minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeLeft {
    /// The estimate.
    pub left: Duration,
    /// The lowest one of the last minute, where this one is clearly higher.
    pub was: Option<Duration>,
}

/// A time for people to read, in its two largest units.
#[derive(Debug, Clone, Copy)]
pub struct Span(pub Duration);

impl Pace {
    /// Begins now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            samples: VecDeque::from([(Instant::now(), 0)]),
            glances: VecDeque::new(),
        }
    }

    /// So many calls are made by now.
    pub fn note(&mut self, made: u64) {
        let now = Instant::now();
        // The second one from before the window makes the first useless.
        while self.samples.len() > 1 && now - self.samples[1].0 >= WINDOW {
            self.samples.pop_front();
        }
        let end = self.samples.len() - 1;
        if end > 0 && self.samples[end].0 - self.samples[end - 1].0 < SAMPLE {
            self.samples[end] = (now, made);
        } else {
            self.samples.push_back((now, made));
        }
    }

    /// Calls that are made in a minute, by the last one.
    #[must_use]
    pub fn per_minute(&self) -> f64 {
        let (Some(&(begin, before)), Some(&(end, made))) =
            (self.samples.front(), self.samples.back())
        else {
            return 0.0;
        };
        let seconds = (end - begin).as_secs_f64();
        if seconds > 0.0 {
            made.saturating_sub(before) as f64 * 60.0 / seconds
        } else {
            0.0
        }
    }

    /// How long so many more calls will take; `None` while none is made.
    pub fn left(&mut self, calls: u64) -> Option<TimeLeft> {
        let rate = self.per_minute();
        let minutes = calls as f64 / rate;
        let left = Duration::try_from_secs_f64(minutes * 60.0).ok()?;
        let now = Instant::now();
        while self
            .glances
            .front()
            .is_some_and(|(at, _)| now - *at > WINDOW)
        {
            self.glances.pop_front();
        }
        let lowest = self.glances.iter().map(|(_, left)| *left).min();
        // The first calls come all at once, or none does: what they promise is no measure.
        let begin = self.samples.front().map(|(at, _)| *at);
        let last = self.glances.back().map(|(at, _)| *at).or(begin);
        if last.is_none_or(|at| now - at >= GLANCE) {
            self.glances.push_back((now, left));
        }
        // A tenth and a second: what an even rate varies by is no news.
        let is_higher = |was: &Duration| left > *was + *was / 10 + Duration::from_secs(1);
        Some(TimeLeft {
            left,
            was: lowest.filter(is_higher),
        })
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64().ceil() as u64;
        match seconds {
            0..120 => write!(f, "{seconds} s"),
            120..7_200 => write!(f, "{} min {} s", seconds / 60, seconds % 60),
            7_200..172_800 => write!(f, "{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
            _ => write!(
                f,
                "{} days {} h",
                seconds / 86_400,
                seconds % 86_400 / 3_600
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ticks for so many seconds at so many calls a second, and says what is left of `total` each 5 seconds.
    async fn run(
        pace: &mut Pace,
        made: &mut u64,
        seconds: u64,
        rate: u64,
        total: u64,
    ) -> Vec<Option<TimeLeft>> {
        let mut estimates = Vec::new();
        for second in 1..=seconds {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_millis(200)).await;
                *made += rate / 5;
                pace.note(*made);
            }
            if second % 5 == 0 {
                estimates.push(pace.left(total - *made));
            }
        }
        estimates
    }

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_that_of_the_last_minute() {
        let (mut pace, mut made) = (Pace::new(), 0);
        assert_eq!(
            pace.left(10),
            None,
            "nothing is promised before the first answer"
        );
        // A rate of 100 that the first seconds had does not count for ever.
        run(&mut pace, &mut made, 10, 100, 10_000).await;
        assert!((pace.per_minute() - 6_000.0).abs() < 60.0);
        run(&mut pace, &mut made, 61, 10, 10_000).await;
        assert!(
            (pace.per_minute() - 600.0).abs() < 6.0,
            "{}",
            pace.per_minute()
        );
        assert!(pace.samples.len() <= 245, "{}", pace.samples.len());
    }

    #[tokio::test(start_paused = true)]
    async fn an_estimate_that_grows_says_what_it_was() {
        let (mut pace, mut made) = (Pace::new(), 0);
        let steady = run(&mut pace, &mut made, 20, 100, 4_000).await;
        let left = |left, was: Option<u64>| {
            Some(TimeLeft {
                left: Duration::from_secs(left),
                was: was.map(Duration::from_secs),
            })
        };
        let expected = [
            left(35, None),
            left(30, None),
            left(25, None),
            left(20, None),
        ];
        assert_eq!(steady, expected);
        let stopped = run(&mut pace, &mut made, 10, 0, 4_000).await;
        assert_eq!(stopped, [left(25, Some(20)), left(30, Some(20))]);
        let silent = run(&mut pace, &mut made, 80, 0, 4_000).await;
        assert_eq!(
            silent.last(),
            Some(&None),
            "no call was made in the last minute"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_seconds_are_no_measure() {
        let (mut pace, mut made) = (Pace::new(), 0);
        // 100 at once, and then one in five seconds.
        pace.note(100);
        tokio::time::sleep(Duration::from_millis(500)).await;
        pace.note(100);
        assert!(pace.left(1_000).is_some_and(|left| left.was.is_none()));
        made += 100;
        let estimates = run(&mut pace, &mut made, 10, 10, 1_200).await;
        let was: Vec<_> = estimates
            .into_iter()
            .flatten()
            .map(|left| left.was)
            .collect();
        assert_eq!(was[0], None);
        assert!(was[1].is_some(), "{was:?}");
    }

    #[test]
    fn times_have_two_units_at_most() {
        for (seconds, expected) in [
            (0.0, "0 s"),
            (0.2, "1 s"),
            (119.0, "119 s"),
            (125.0, "2 min 5 s"),
            (13_333.3, "3 h 42 min"),
            (200_000.0, "2 days 7 h"),
        ] {
            assert_eq!(Span(Duration::from_secs_f64(seconds)).to_string(), expected);
        }
    }
}
