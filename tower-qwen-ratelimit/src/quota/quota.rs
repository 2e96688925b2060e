use std::time::Duration;

use super::{InvalidQuota, Pacing, Reserve};
use crate::limit::Limit;

/// The longest window. The provider has none longer than a minute, and limits per day have their
/// own setting.
const DAY: Duration = Duration::from_secs(86_400);

/// The default headroom, in percent.
// Covers the jitter between send and arrival: the runs of docs/performance.md were hardly ever
// throttled with it.
const HEADROOM: u8 = 2;
/// The default burst is this part of a window.
// With a peak of one and a half times the rate, a sixtieth of the window sees a 120th at once and
// another one and a half sixtieths: twice its share, which hosts that count seconds let pass.
const BURST: u64 = 120;
/// What is not used is saved for this part of a window.
// Of the study of both dimensions binding in turns: a sixtieth loses 6 % of what flows in, a fifth
// hardly any. After a limit has fallen, the account is closed for up to 24 s of each minute until the
// provider's window has drained: a fifth cannot make up for that, a third does (docs/design.md,
// "Gates").
const CREDIT: u64 = 3;
/// And for the time of so many requests, where that is longer: at 30 a minute a third is ten mean
/// calls, and one large call would empty it.
const CREDIT_REQUESTS: u64 = 20;

/// The most further limits of a quota: a second, an hour, a day, a week, a month, and input and output
/// tokens of one of them. More would make a quota, which is copied freely, too large.
const MOST_LIMITS: usize = 8;

/// Whether the figures of a quota are its limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
enum Figures {
    /// They are: more is never sent.
    #[default]
    Limit,
    /// They are where it starts: more is looked for.
    Start,
}

/// The limits of a provider: requests and tokens per window, and more. The [crate
/// docs](crate#defaults) list all defaults.
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
    figures: Figures,
    window: Duration,
    burst: Option<Duration>,
    /// `None`: the default, which takes no whole request from a small quota.
    headroom: Option<u8>,
    pacing: Pacing,
    reserve: Reserve,
    slow_start: bool,
    concurrency: u64,
    tokens_per_day: u64,
    day_begins: Duration,
    limits: [Option<Limit>; MOST_LIMITS],
    /// Whether there was no room for one of them.
    has_too_many_limits: bool,
}

impl Quota {
    /// This many requests, and tokens of prompts and answers together, per minute.
    pub const fn per_minute(requests: u64, tokens: u64) -> Self {
        Self {
            requests,
            tokens,
            figures: Figures::Limit,
            window: Duration::from_secs(60),
            burst: None,
            headroom: None,
            pacing: Pacing::Smooth,
            reserve: Reserve::Expected,
            slow_start: false,
            concurrency: u64::MAX,
            tokens_per_day: u64::MAX,
            day_begins: Duration::ZERO,
            limits: [None; MOST_LIMITS],
            has_too_many_limits: false,
        }
    }

    /// No limit of requests and tokens. A server writes no rate-limit headers for it.
    pub const fn unlimited() -> Self {
        Self::per_minute(u64::MAX, u64::MAX)
    }

    /// At least this many requests and tokens per minute, and as many more as the provider grants.
    ///
    /// It starts with these, and while all of it is used the rate doubles in each minute, each
    /// dimension for itself. Where the provider refuses, what was accepted within the latest minute is
    /// its limit: that is held for two minutes and then looked for anew, first gently and then faster, so
    /// that a limit which doubles is followed within five minutes. One that falls is followed at once.
    /// A call larger than the quota is not rejected, since the limit is not known.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_qwen_ratelimit::Quota;
    ///
    /// // The page of the model says 600; the account may have more by now.
    /// let quota = Quota::at_least(600, 1_000_000);
    /// assert_eq!(quota.check(), Ok(()));
    /// ```
    pub const fn at_least(requests: u64, tokens: u64) -> Self {
        let mut quota = Self::per_minute(requests, tokens);
        quota.figures = Figures::Start;
        quota
    }

    /// The quota is not known: starts with 60 requests and 60,000 tokens a minute, and finds out. As
    /// [`Quota::at_least`].
    pub const fn discover() -> Self {
        Self::at_least(60, 60_000)
    }

    /// The same settings with other requests and tokens.
    pub(crate) const fn amounts(mut self, requests: u64, tokens: u64) -> Self {
        self.requests = requests;
        self.tokens = tokens;
        self
    }

    /// The figures of the page "Qwen2 Rate Limit and Token Usage Explained": 800 requests and
    /// 800,000 tokens a minute.
    ///
    /// The page prints each number under the other's label (800 under tokens, 800,000 under
    /// requests). A minute with 800 tokens and 800,000 requests makes no sense, so the two are
    /// swapped here.
    pub const fn qwen2() -> Self {
        Self::per_minute(800, 800_000)
    }

    /// The length of the window: 1 ms to 1 day. Default: 60 s. [`Quota::check`] rejects other
    /// values; without that check they are clamped.
    pub const fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// The burst of [`Pacing::Smooth`]: the quota of this length of time can be used at once, and at
    /// least one request. At most the window. Default: a 120th of the window (0.5 s of 60 s).
    ///
    /// What flows in and is not used is saved: as much as flows in during a third of the window, or
    /// in the time of 20 requests if that is longer, or in the burst if that is longer still. It is
    /// spent at one and a half times the rate at most, so that a sixtieth of the window sees no more
    /// than twice its share of the quota.
    pub const fn burst(mut self, burst: Duration) -> Self {
        self.burst = Some(burst);
        self
    }

    /// The part of the quota that is left unused, in percent, because calls do not reach the
    /// provider at equal distances from their send. At most 99. Default: 2.
    ///
    /// Under [`Pacing::Smooth`] the rate leaves this part of the quota, and a single window a little
    /// less, so that what was missed in one moment is made up for in the next: half of it, or a
    /// hundredth of the quota less (1 and 9 of 100 at a headroom of 2 and 10). Under
    /// [`Pacing::Window`] a window leaves all of it. Set here, it is rounded up to whole requests and tokens, but at least
    /// 1 of each remains to be used; the default is rounded down, so that 3 requests a minute stay 3.
    pub const fn headroom(mut self, percent: u8) -> Self {
        self.headroom = Some(percent);
        self
    }

    /// Whether the rate of requests starts at a sixteenth, at first and after idle time, and grows by
    /// half in every period (a sixtieth of the window, or the time of 8 requests if that is longer) in
    /// which it is used. For providers that throttle sudden growth. Needs [`Pacing::Smooth`].
    /// Default: off; the first throttle for growth turns it on.
    pub const fn slow_start(mut self, on: bool) -> Self {
        self.slow_start = on;
        self
    }

    /// The most calls that may run at one time, from the send to the end of the response body.
    /// Default: no limit.
    pub const fn concurrency(mut self, calls: u64) -> Self {
        self.concurrency = calls;
        self
    }

    /// The most tokens per day. Default: no limit. When a day begins, [`Quota::day_begins`] says.
    pub const fn tokens_per_day(mut self, tokens: u64) -> Self {
        self.tokens_per_day = tokens;
        self
    }

    /// The time after midnight UTC at which the provider's day begins. Default: 0 (midnight UTC).
    /// Midnight in Beijing is 16 h.
    pub const fn day_begins(mut self, after_midnight: Duration) -> Self {
        self.day_begins = after_midnight;
        self
    }

    /// A further limit, which holds beside all others: of another period, or of input or output tokens
    /// alone. Default: none; at most 8. At a client calls wait for it, at a server they are rejected.
    ///
    /// It is kept as it is given, without headroom and burst, and no throttle lowers it. It is not
    /// shared through a store.
    pub const fn and(mut self, limit: Limit) -> Self {
        let mut at = 0;
        while at < MOST_LIMITS && self.limits[at].is_some() {
            at += 1;
        }
        match at {
            MOST_LIMITS => self.has_too_many_limits = true,
            _ => self.limits[at] = Some(limit),
        }
        self
    }

    /// The further limits, in the order in which they were given.
    pub fn limits(&self) -> impl Iterator<Item = Limit> + use<> {
        self.limits.into_iter().flatten()
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidQuota`]: no call could ever be admitted, the window, the burst, the headroom or a period
    /// is out of range, or there are too many further limits.
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
        if let Some(percent) = self.headroom
            && percent > 99
        {
            return Err(InvalidQuota::Headroom);
        }
        if self.has_too_many_limits {
            return Err(InvalidQuota::TooManyLimits);
        }
        let mut at = 0;
        while at < MOST_LIMITS {
            if let Some(limit) = &self.limits[at] {
                if limit.amount() == 0 {
                    return Err(InvalidQuota::Nothing);
                }
                if limit.period().check().is_err() {
                    return Err(InvalidQuota::Period);
                }
            }
            at += 1;
        }
        Ok(())
    }

    /// How the quota may be spent within its window. Default: [`Pacing::Smooth`].
    pub const fn pacing(mut self, pacing: Pacing) -> Self {
        self.pacing = pacing;
        self
    }

    /// How many tokens are reserved for an answer while its call runs. Default:
    /// [`Reserve::Expected`].
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
        // `Duration::clamp` is not const.
        if self.window.as_millis() == 0 {
            Duration::from_millis(1)
        } else if self.window.as_nanos() > DAY.as_nanos() {
            DAY
        } else {
            self.window
        }
    }

    /// Whether the figures are where it starts, and not its limit.
    pub(crate) const fn is_start(&self) -> bool {
        matches!(self.figures, Figures::Start)
    }

    // Slow start scales a bucket's rate, and only an even pace has a bucket.
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

    /// What can be used at once, as the time in which it flows in.
    pub(crate) fn burst_nanos(&self) -> u64 {
        self.burst
            .map_or(self.window_nanos() / BURST, nanos)
            .min(self.window_nanos())
    }

    /// What is saved at most, as the time in which it flows in.
    pub(crate) fn credit_nanos(&self) -> u64 {
        let window = self.window_nanos();
        let of_calls =
            u128::from(window) * u128::from(CREDIT_REQUESTS) / u128::from(self.requests.max(1));
        u64::try_from(of_calls)
            .unwrap_or(window)
            .max(window / CREDIT)
            .max(self.burst_nanos())
            .min(window)
    }

    /// What of `amount`, the quota's requests or tokens, a single window may hold. At least 1 of any
    /// amount: a quota of one request is not nothing.
    pub(crate) fn usable(&self, amount: u64) -> u64 {
        let halves = 2 * self.headroom_percent();
        // Half of the headroom, or a hundredth of the quota if that is less.
        let window = (halves / 2).max(halves.saturating_sub(2));
        self.less(amount, if self.is_smooth() { window } else { halves })
    }

    /// What of `amount` flows in during a window.
    pub(crate) fn rate_of(&self, amount: u64) -> u64 {
        self.less(amount, 2 * self.headroom_percent())
    }

    fn headroom_percent(&self) -> u64 {
        u64::from(self.headroom.unwrap_or(HEADROOM).min(99))
    }

    /// `amount` less so many halves of a percent.
    fn less(&self, amount: u64, halves: u64) -> u64 {
        let left = u128::from(amount) * u128::from(200 - halves);
        // In u128: amounts go up to u64::MAX ("unlimited").
        let usable = match self.headroom {
            None => left.div_ceil(200),
            Some(_) => left / 200,
        };
        u64::try_from(usable).unwrap_or(amount).max(amount.min(1))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::period::Period;

    #[test]
    fn defaults_are_as_documented() {
        let quota = Quota::qwen2();
        assert_eq!((quota.requests(), quota.tokens()), (800, 800_000));
        assert_eq!(quota.window_length(), Duration::from_secs(60));
        assert_eq!(quota.burst_nanos(), 500_000_000);
        assert_eq!(quota.credit_nanos(), 20_000_000_000);
        assert_eq!(
            (quota.usable(800_000), quota.rate_of(800_000)),
            (792_000, 784_000)
        );
        assert_eq!(quota.pacing(Pacing::Window).usable(800_000), 784_000);
        assert!(quota.is_smooth());
        assert!(!quota.holds_ceiling());
    }

    #[test]
    fn the_default_headroom_takes_no_call_from_a_small_quota() {
        for pacing in [Pacing::Smooth, Pacing::Window] {
            for requests in [1, 3, 10, 49] {
                let quota = Quota::per_minute(requests, 1_000).pacing(pacing);
                assert_eq!(
                    (quota.usable(requests), quota.rate_of(requests)),
                    (requests, requests)
                );
                let asked = quota.headroom(2);
                assert!(asked.rate_of(requests) < requests || requests == 1);
            }
        }
        let few = Quota::per_minute(3, 3_000);
        assert_eq!(
            few.credit_nanos(),
            few.window_nanos(),
            "20 requests are more than a window"
        );
        assert_eq!(Quota::per_minute(300, 1).credit_nanos(), 20_000_000_000);
        assert_eq!(Quota::per_minute(40, 1).credit_nanos(), 30_000_000_000);
        let burst = Quota::qwen2().burst(Duration::from_secs(30));
        assert_eq!(burst.credit_nanos(), burst.burst_nanos());
    }

    #[test]
    fn settings_out_of_range_are_clamped() {
        let quota = Quota::per_minute(1, 0).headroom(200).window(Duration::ZERO);
        assert_eq!(quota.usable(1), 1);
        assert_eq!(quota.usable(0), 0);
        assert_eq!((quota.usable(1_000), quota.rate_of(1_000)), (20, 10));
        assert_eq!(quota.window_length(), Duration::from_millis(1));
    }

    #[test]
    fn settings_out_of_range_fail_the_check() {
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
            (
                Quota::qwen2().and(Limit::tokens(0, Period::HOUR)),
                InvalidQuota::Nothing,
            ),
            (
                Quota::qwen2().and(Limit::tokens(1, Period::rolling(Duration::ZERO))),
                InvalidQuota::Period,
            ),
            (
                (0..=MOST_LIMITS).fold(Quota::qwen2(), |quota, _| {
                    quota.and(Limit::tokens(1, Period::HOUR))
                }),
                InvalidQuota::TooManyLimits,
            ),
        ] {
            assert_eq!(quota.check(), Err(error), "{quota:?}");
            assert!(!error.to_string().is_empty());
        }
    }
}
