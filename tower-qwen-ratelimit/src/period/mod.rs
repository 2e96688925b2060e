//! How long a limit or a budget lasts: a rolling window, or a day, week or month of a time zone's calendar.

#[expect(clippy::module_inception, reason = "it holds the type of that name")]
mod period;
mod time_zone;

pub use period::{InvalidPeriod, Period};
pub use time_zone::{InvalidTimeZone, TimeZone};

pub(crate) use period::PeriodKind;
