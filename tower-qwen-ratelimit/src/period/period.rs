use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tower_qwen_tokens::internal::calendar::{date_of, day_of};

use super::TimeZone;

/// 1970-01-01 was a Thursday, three days after a Monday.
const SINCE_MONDAY: u64 = 3;
/// The longest rolling period: a leap year. What lasts longer is a calendar period or a total.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// How long an amount lasts: of a limit, or of a budget.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_qwen_ratelimit::period::{Period, TimeZone};
///
/// // The latest hour, whichever it is.
/// let hour = Period::rolling(Duration::from_secs(3_600));
/// // From midnight to midnight in Beijing.
/// let day = Period::day(TimeZone::east(8, 0)?);
/// assert_eq!((hour.to_string(), day.to_string()), ("3600s".to_owned(), "day +08:00".to_owned()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period(PeriodKind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PeriodKind {
    Rolling(Duration),
    Day(TimeZone),
    Week(TimeZone),
    Month(TimeZone),
    Total,
}

/// A calendar period as it is counted: from an instant to another one, which belongs to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: SystemTime,
    /// `None`: it never ends.
    pub(crate) end: Option<SystemTime>,
}

/// A rolling period that is shorter than 1 ms or longer than 366 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a rolling period has 1 ms to 366 days, not {0:?}")]
pub struct InvalidPeriod(Duration);

impl Period {
    /// The latest second.
    pub const SECOND: Self = Self::rolling(Duration::from_secs(1));
    /// The latest minute.
    pub const MINUTE: Self = Self::rolling(Duration::from_secs(60));
    /// The latest hour.
    pub const HOUR: Self = Self::rolling(Duration::from_secs(3_600));

    /// The latest time of this length: 1 ms to 366 days, else [`Period::check`] fails.
    #[must_use]
    pub const fn rolling(length: Duration) -> Self {
        Self(PeriodKind::Rolling(length))
    }

    /// From midnight to midnight. A day has 23 or 25 hours where the zone's clocks change.
    #[must_use]
    pub const fn day(zone: TimeZone) -> Self {
        Self(PeriodKind::Day(zone))
    }

    /// From Monday to Sunday.
    #[must_use]
    pub const fn week(zone: TimeZone) -> Self {
        Self(PeriodKind::Week(zone))
    }

    /// From the first to the last day of a month.
    #[must_use]
    pub const fn month(zone: TimeZone) -> Self {
        Self(PeriodKind::Month(zone))
    }

    /// For ever: the amount comes once.
    #[must_use]
    pub const fn total() -> Self {
        Self(PeriodKind::Total)
    }

    /// Checks the length.
    ///
    /// # Errors
    ///
    /// [`InvalidPeriod`]: a rolling period is shorter than 1 ms or longer than 366 days.
    pub const fn check(&self) -> Result<(), InvalidPeriod> {
        match self.0 {
            PeriodKind::Rolling(length)
                if length.as_millis() == 0 || length.as_nanos() > LONGEST.as_nanos() =>
            {
                Err(InvalidPeriod(length))
            }
            _ => Ok(()),
        }
    }

    pub(crate) const fn kind(self) -> PeriodKind {
        self.0
    }

    /// The calendar period in which an instant lies; `None` of a rolling one.
    pub(crate) fn span_at(self, now: SystemTime) -> Option<Span> {
        let (zone, length) = match self.0 {
            PeriodKind::Rolling(_) => return None,
            PeriodKind::Total => {
                let (start, end) = (UNIX_EPOCH, None);
                return Some(Span { start, end });
            }
            PeriodKind::Day(zone) => (zone, Length::Day),
            PeriodKind::Week(zone) => (zone, Length::Week),
            PeriodKind::Month(zone) => (zone, Length::Month),
        };
        let (first, next) = length.days_around(zone.day_at(now));
        Some(Span {
            start: zone.start_of(first),
            end: Some(zone.start_of(next)),
        })
    }
}

#[derive(Debug, Clone, Copy)]
enum Length {
    Day,
    Week,
    Month,
}

impl Length {
    /// The first day of the period in which a day lies, and the first of the next one.
    fn days_around(self, day: u64) -> (u64, u64) {
        match self {
            Self::Day => (day, day.saturating_add(1)),
            Self::Week => {
                let next = day.saturating_add(7 - (day % 7 + SINCE_MONDAY) % 7);
                (next.saturating_sub(7), next)
            }
            Self::Month => {
                let (year, month, of_month) = date_of(day);
                let next = match month {
                    12 => day_of(year + 1, 1, 1),
                    _ => day_of(year, month + 1, 1),
                };
                let first = day - (of_month - 1);
                (first, next.unwrap_or(day.saturating_add(1)))
            }
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            PeriodKind::Rolling(length) => write!(f, "{length:?}"),
            PeriodKind::Day(zone) => write!(f, "day {zone}"),
            PeriodKind::Week(zone) => write!(f, "week {zone}"),
            PeriodKind::Month(zone) => write!(f, "month {zone}"),
            PeriodKind::Total => f.write_str("total"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600;

    fn at(year: u64, month: u64, day: u64) -> SystemTime {
        let days = day_of(year, month, day).expect("a date");
        UNIX_EPOCH + Duration::from_secs(days * 24 * HOUR)
    }

    fn hours(count: u64) -> Duration {
        Duration::from_secs(count * HOUR)
    }

    #[test]
    fn days_begin_at_midnight_of_the_zone() {
        let beijing = TimeZone::east(8, 0).expect("a zone");
        let span = Period::day(beijing).span_at(at(2026, 11, 29) + hours(15));
        let start = at(2026, 11, 28) + hours(16);
        assert_eq!(
            span,
            Some(Span {
                start,
                end: Some(start + hours(24))
            })
        );
        let span = Period::day(beijing).span_at(at(2026, 11, 29) + hours(16));
        assert_eq!(
            span.map(|span| span.start),
            Some(at(2026, 11, 29) + hours(16))
        );
        let west = TimeZone::east(-3, 30).expect("a zone");
        let span = Period::day(west).span_at(at(2026, 11, 29) + hours(3));
        let start = at(2026, 11, 28) + Duration::from_secs(3 * HOUR + 1_800);
        assert_eq!(span.map(|span| span.start), Some(start));
    }

    #[test]
    fn weeks_begin_on_monday_and_months_on_the_first() {
        let week = Period::week(TimeZone::UTC).span_at(at(2026, 11, 29) + hours(23));
        let (start, end) = (at(2026, 11, 23), Some(at(2026, 11, 30)));
        assert_eq!(week, Some(Span { start, end }));
        assert_eq!(Period::week(TimeZone::UTC).span_at(start), week);
        for (day, start, end) in [
            (at(2026, 12, 31), at(2026, 12, 1), at(2027, 1, 1)),
            (at(2028, 2, 29), at(2028, 2, 1), at(2028, 3, 1)),
            (at(2027, 2, 1), at(2027, 2, 1), at(2027, 3, 1)),
        ] {
            let span = Period::month(TimeZone::UTC).span_at(day);
            assert_eq!(
                span,
                Some(Span {
                    start,
                    end: Some(end)
                })
            );
        }
    }

    #[test]
    fn a_total_never_ends_and_a_rolling_period_has_no_span() {
        let total = Period::total().span_at(at(2026, 11, 29));
        assert_eq!(total.map(|span| span.end), Some(None));
        assert_eq!(Period::MINUTE.span_at(at(2026, 11, 29)), None);
    }

    #[test]
    fn lengths_out_of_range_fail_the_check() {
        assert_eq!(Period::HOUR.check(), Ok(()));
        assert_eq!(Period::month(TimeZone::UTC).check(), Ok(()));
        for length in [
            Duration::ZERO,
            Duration::from_micros(999),
            Duration::from_secs(367 * 86_400),
        ] {
            assert_eq!(Period::rolling(length).check(), Err(InvalidPeriod(length)));
        }
    }

    #[cfg(feature = "time-zones")]
    #[test]
    fn days_of_23_and_25_hours() {
        let zone = TimeZone::named("Europe/Berlin").expect("a zone");
        let day = Period::day(zone);
        // In 2026 the clocks go forward on March 29 and back on October 25.
        for (noon, hours_of_day) in [
            (at(2026, 3, 29) + hours(12), 23),
            (at(2026, 10, 25) + hours(12), 25),
            (at(2026, 6, 1) + hours(12), 24),
        ] {
            let span = day.span_at(noon).expect("a calendar period");
            let end = span.end.expect("it ends");
            assert_eq!(end, span.start + hours(hours_of_day));
            assert_eq!(day.span_at(span.start), Some(span));
            let last = end - Duration::from_secs(1);
            assert_eq!(day.span_at(last), Some(span));
        }
        // Cairo's clocks skip midnight of 2026-04-24: that day begins at one o'clock, which is 22 UTC.
        let cairo = TimeZone::named("Africa/Cairo").expect("a zone");
        let span = Period::day(cairo)
            .span_at(at(2026, 4, 24) + hours(5))
            .expect("a span");
        assert_eq!(span.start, at(2026, 4, 23) + hours(22));
        assert_eq!(span.end, Some(at(2026, 4, 24) + hours(21)));
    }

    proptest::proptest! {
        /// An instant lies in its period, whose ends are those of its neighbours.
        #[test]
        fn periods_follow_each_other(
            seconds in 604_800_u64..4_000_000_000,
            east in -86_399_i32..86_400,
            length in 0_usize..3,
        ) {
            let minutes = east / 60;
            let zone = TimeZone::east(minutes / 60, (minutes % 60).abs()).expect("a zone");
            let period = [Period::day(zone), Period::week(zone), Period::month(zone)][length];
            let now = UNIX_EPOCH + Duration::from_secs(seconds);
            let span = period.span_at(now).expect("a calendar period");
            let end = span.end.expect("it ends");
            proptest::prop_assert!(span.start <= now && now < end);
            let before = span.start - Duration::from_secs(1);
            proptest::prop_assert_eq!(period.span_at(before).and_then(|span| span.end), Some(span.start));
            proptest::prop_assert_eq!(period.span_at(end).map(|span| span.start), Some(end));
        }
    }
}
