//! What one caller, or one connection, may take of the gateway.

use std::time::Duration;

use clap::Args;

/// Bounds of time, memory and number. What a stranger can use up is bounded before any quota is asked.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Limits {
    /// The longest time for the head of a request, and for the first request of a connection.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub head_timeout: Duration,

    /// The longest time for the body of a request.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub body_timeout: Duration,

    /// How long a connection stays open without a request.
    #[arg(long, value_name = "SECONDS", default_value = "75", value_parser = seconds)]
    pub idle_timeout: Duration,

    /// How long an answer waits for a reader that takes nothing of it, until it is cut.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub write_timeout: Duration,

    /// How many connections are open at one time; further ones get 503. Default: 10,000, or what the limit of open files
    /// leaves.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_connections: Option<u32>,

    /// How many calls of one caller are under way at one time, streams above all; further ones get 429. Default: a quarter of
    /// the connections.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_caller_calls: Option<u32>,

    /// How many bytes the bodies of one caller's calls hold that are under way, decoded.
    #[arg(long, value_name = "BYTES", default_value_t = 128 << 20)]
    pub max_caller_bytes: u64,

    /// How many bytes the bodies of all calls hold that are under way, decoded.
    #[arg(long, value_name = "BYTES", default_value_t = 512 << 20)]
    pub max_bytes: u64,
}

impl Limits {
    /// How many connections are open at one time.
    #[must_use]
    pub fn connections(&self) -> usize {
        let number = self.wanted().min(possible()).max(1);
        usize::try_from(number).unwrap_or(usize::MAX)
    }

    /// Whether the limit of open files leaves fewer connections than were asked for.
    #[must_use]
    pub fn is_short_of_files(&self) -> bool {
        possible() < self.wanted()
    }

    fn wanted(&self) -> u64 {
        u64::from(self.max_connections.unwrap_or(10_000))
    }

    /// How many calls of one caller are under way at one time.
    #[must_use]
    pub fn caller_calls(&self) -> usize {
        match self.max_caller_calls {
            Some(calls) => usize::try_from(calls).unwrap_or(usize::MAX),
            None => self.connections().div_ceil(4),
        }
    }
}

/// How many connections the limit of open files leaves. Each call needs a file for its caller and one for the upstream, and
/// some are needed besides.
fn possible() -> u64 {
    const OTHERS: u64 = 64;
    open_files().map_or(u64::MAX, |files| files.saturating_sub(OTHERS) / 2)
}

/// How many files this process may have open; `None` where the system does not say.
fn open_files() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Reads a number of seconds, fractions allowed.
///
/// # Errors
///
/// What is wrong with it, in words.
pub fn seconds(text: &str) -> Result<Duration, String> {
    match seconds_or_none(text)? {
        short if short < Duration::from_millis(1) => Err("must be at least 0.001".to_owned()),
        duration => Ok(duration),
    }
}

/// The same, with 0 for none.
///
/// # Errors
///
/// What is wrong with it, in words.
pub fn seconds_or_none(text: &str) -> Result<Duration, String> {
    let number: f64 = text
        .parse()
        .map_err(|_| "not a number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(number) {
        Ok(long) if long > Duration::from_secs(86_400) => Err("must be at most a day".to_owned()),
        Ok(duration) => Ok(duration),
        Err(_) => Err("must be at least 0".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::Args;

    #[test]
    fn one_caller_gets_a_quarter_of_the_connections() {
        let limits = |line: &[&str]| {
            let line = std::iter::once(&"axum-server").chain(line);
            Args::try_parse_from(line).expect("good usage").limits
        };
        let few = limits(&["--max-connections=9"]);
        assert_eq!((few.connections(), few.caller_calls()), (9, 3));
        let said = limits(&["--max-connections=9", "--max-caller-calls=7"]);
        assert_eq!((said.connections(), said.caller_calls()), (9, 7));
        let none = limits(&[]);
        assert!((1..=10_000).contains(&none.connections()));
        assert_eq!(none.head_timeout, Duration::from_secs(10));
        assert_eq!(none.body_timeout, Duration::from_secs(60));
        assert_eq!(none.idle_timeout, Duration::from_secs(75));
    }

    #[test]
    fn seconds_have_bounds() {
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        assert_eq!(seconds_or_none("0"), Ok(Duration::ZERO));
        for bad in ["0", "-1", "nan", "1e9", "x"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
