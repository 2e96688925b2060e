//! What the provider allows.

use std::{error::Error, fmt, time::Duration};

const DAY: Duration = Duration::from_secs(86_400);

/// How the quota may be spent within its window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pacing {
    /// Evenly, with a small burst, and never more than the quota in any window. For providers that may also count
    /// seconds or punish sudden growth, as Model Studio does.
    #[default]
    Smooth,
    /// The whole quota may go at once, but never more than it in any window. For hosts that only count minutes.
    Window,
}

/// What is set aside for an answer while it runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reserve {
    /// What answers really cost of late, at most the call's own ceiling.
    #[default]
    Expected,
    /// The call's own ceiling, for providers that hold it themselves while the call runs.
    Ceiling,
}

/// How much the provider allows: requests and tokens within a window.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_qwen_ratelimit::{Pacing, Quota};
///
/// let quota = Quota::per_minute(600, 1_000_000).headroom(5).pacing(Pacing::Window);
/// assert_eq!(quota.requests(), 600);
/// assert_eq!(quota.window_length(), Duration::from_secs(60));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Quota {
    requests: u64,
    tokens: u64,
    window: Duration,
    burst: Option<Duration>,
    headroom: u8,
    pacing: Pacing,
    reserve: Reserve,
    slow_start: bool,
    concurrency: u64,
    tokens_per_day: u64,
    day_begins: Duration,
}

/// Settings under which nothing could ever go, or more than the quota could.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InvalidQuota {
    /// No requests, no tokens, or no concurrency: every call would wait for ever.
    Nothing,
    /// The window is shorter than 1 ms or longer than a day.
    Window,
    /// The burst is longer than the window.
    Burst,
    /// The headroom leaves nothing: it is 100 percent or more.
    Headroom,
}

impl Quota {
    /// So many requests and tokens (prompt and answer together) per minute.
    pub const fn per_minute(requests: u64, tokens: u64) -> Self {
        Self {
            requests,
            tokens,
            window: Duration::from_secs(60),
            burst: None,
            headroom: 2,
            pacing: Pacing::Smooth,
            reserve: Reserve::Expected,
            slow_start: false,
            concurrency: u64::MAX,
            tokens_per_day: u64::MAX,
            day_begins: Duration::ZERO,
        }
    }

    /// The same settings with other amounts.
    pub(crate) const fn amounts(mut self, requests: u64, tokens: u64) -> Self {
        self.requests = requests;
        self.tokens = tokens;
        self
    }

    /// The figures of the page "Qwen2 Rate Limit and Token Usage Explained": 800 requests and 800,000 tokens a minute.
    ///
    /// The page prints them under each other's label (800 under tokens, 800,000 under requests); a minute with 800
    /// tokens and 800,000 requests makes no sense, so they stand here the other way round.
    pub const fn qwen2() -> Self {
        Self::per_minute(800, 800_000)
    }

    /// The length of the window. Default: 60 s. From 1 ms to a day; what is out of it is brought into it where it is not
    /// refused by [`Quota::check`].
    pub const fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// How much may go at once under [`Pacing::Smooth`], as a stretch of time at the full rate. Default: a sixtieth of
    /// the window.
    pub const fn burst(mut self, burst: Duration) -> Self {
        self.burst = Some(burst);
        self
    }

    /// How much of the quota is left unused to cover what the network does to instants, in percent. Default: 2.
    /// At most 99.
    pub const fn headroom(mut self, percent: u8) -> Self {
        self.headroom = percent;
        self
    }

    /// Whether the rate begins at a sixteenth, at the start and after idling, and grows by half with every period that
    /// uses it. For providers that punish sudden growth. Default: no, until the provider does so once. Takes
    /// [`Pacing::Smooth`].
    pub const fn slow_start(mut self, on: bool) -> Self {
        self.slow_start = on;
        self
    }

    /// The most calls that may run at one time, from the send to the end of the answer's body. Default: no limit.
    pub const fn concurrency(mut self, calls: u64) -> Self {
        self.concurrency = calls;
        self
    }

    /// The most tokens of a day. Default: no limit. See [`Quota::day_begins`].
    pub const fn tokens_per_day(mut self, tokens: u64) -> Self {
        self.tokens_per_day = tokens;
        self
    }

    /// How long after midnight UTC the provider's day begins. Default: at midnight UTC. In Beijing it is 16 hours.
    pub const fn day_begins(mut self, after_midnight: Duration) -> Self {
        self.day_begins = after_midnight;
        self
    }

    /// Looks whether the settings make sense.
    ///
    /// # Errors
    ///
    /// [`InvalidQuota`]: nothing could ever go, or the window, the burst or the headroom are out of range.
    pub const fn check(&self) -> Result<(), InvalidQuota> {
        if self.requests == 0
            || self.tokens == 0
            || self.concurrency == 0
            || self.tokens_per_day == 0
        {
            return Err(InvalidQuota::Nothing);
        }
        if self.window.as_millis() == 0 || self.window.as_nanos() > DAY.as_nanos() {
            return Err(InvalidQuota::Window);
        }
        if let Some(burst) = self.burst
            && burst.as_nanos() > self.window.as_nanos()
        {
            return Err(InvalidQuota::Burst);
        }
        if self.headroom > 99 {
            return Err(InvalidQuota::Headroom);
        }
        Ok(())
    }

    /// How the quota may be spent within its window. Default: [`Pacing::Smooth`].
    pub const fn pacing(mut self, pacing: Pacing) -> Self {
        self.pacing = pacing;
        self
    }

    /// What is set aside for an answer while it runs. Default: [`Reserve::Expected`].
    pub const fn reserve(mut self, reserve: Reserve) -> Self {
        self.reserve = reserve;
        self
    }

    /// Requests per window.
    #[must_use]
    pub const fn requests(&self) -> u64 {
        self.requests
    }

    /// Tokens per window.
    #[must_use]
    pub const fn tokens(&self) -> u64 {
        self.tokens
    }

    /// The length of the window.
    #[must_use]
    pub const fn window_length(&self) -> Duration {
        if self.window.as_millis() == 0 {
            Duration::from_millis(1)
        } else if self.window.as_nanos() > DAY.as_nanos() {
            DAY
        } else {
            self.window
        }
    }

    pub(crate) const fn starts_slowly(&self) -> bool {
        self.slow_start && self.is_smooth()
    }

    pub(crate) const fn most_running(&self) -> u64 {
        self.concurrency
    }

    pub(crate) const fn most_of_a_day(&self) -> u64 {
        self.tokens_per_day
    }

    pub(crate) const fn day_begins_after(&self) -> Duration {
        self.day_begins
    }

    pub(crate) const fn is_smooth(&self) -> bool {
        matches!(self.pacing, Pacing::Smooth)
    }

    pub(crate) const fn holds_ceiling(&self) -> bool {
        matches!(self.reserve, Reserve::Ceiling)
    }

    pub(crate) fn window_nanos(&self) -> u64 {
        nanos(self.window_length())
    }

    pub(crate) fn burst_nanos(&self) -> u64 {
        self.burst
            .map_or(self.window_nanos() / 60, nanos)
            .min(self.window_nanos())
    }

    /// How much of `usable` may go at once.
    pub(crate) fn burst_of(&self, usable: u64) -> u64 {
        let burst =
            u128::from(usable) * u128::from(self.burst_nanos()) / u128::from(self.window_nanos());
        u64::try_from(burst).unwrap_or(usable)
    }

    /// `amount` less the headroom; something is left of something.
    pub(crate) fn usable(&self, amount: u64) -> u64 {
        let kept = u128::from(amount) * u128::from(100 - self.headroom.min(99)) / 100;
        u64::try_from(kept).unwrap_or(amount).max(amount.min(1))
    }
}

impl fmt::Display for InvalidQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "the quota allows nothing at all",
            Self::Window => "the quota's window is shorter than 1 ms or longer than a day",
            Self::Burst => "the quota's burst is longer than its window",
            Self::Headroom => "the headroom leaves nothing of the quota",
        })
    }
}

impl Error for InvalidQuota {}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_as_documented() {
        let quota = Quota::qwen2();
        assert_eq!((quota.requests(), quota.tokens()), (800, 800_000));
        assert_eq!(quota.window_length(), Duration::from_secs(60));
        assert_eq!(quota.burst_nanos(), 1_000_000_000);
        assert_eq!(quota.usable(800_000), 784_000);
        assert!(quota.is_smooth());
        assert!(!quota.holds_ceiling());
    }

    #[test]
    fn settings_out_of_range_are_brought_into_it() {
        let quota = Quota::per_minute(1, 0).headroom(200).window(Duration::ZERO);
        assert_eq!(quota.usable(1), 1);
        assert_eq!(quota.usable(0), 0);
        assert_eq!(quota.usable(1_000), 10);
        assert_eq!(quota.window_length(), Duration::from_millis(1));
    }

    #[test]
    fn settings_out_of_range_are_refused_where_that_is_asked_for() {
        assert_eq!(Quota::qwen2().check(), Ok(()));
        for (quota, error) in [
            (Quota::per_minute(0, 1), InvalidQuota::Nothing),
            (Quota::per_minute(1, 0), InvalidQuota::Nothing),
            (Quota::qwen2().concurrency(0), InvalidQuota::Nothing),
            (Quota::qwen2().tokens_per_day(0), InvalidQuota::Nothing),
            (Quota::qwen2().window(Duration::ZERO), InvalidQuota::Window),
            (Quota::qwen2().window(DAY * 2), InvalidQuota::Window),
            (Quota::qwen2().burst(DAY), InvalidQuota::Burst),
            (Quota::qwen2().headroom(100), InvalidQuota::Headroom),
        ] {
            assert_eq!(quota.check(), Err(error), "{quota:?}");
            assert!(!error.to_string().is_empty());
        }
    }
}
