use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Share;

const DAY: i128 = 86_400;

/// A time of every day at which a model costs a share of its price, such as the provider's Night Plan.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use tower_qwen_tokens::price::{ClockWindow, Share};
///
/// let night = ClockWindow::new("22:00", "08:00", "+08:00", Share::percent(20))?;
/// let midnight_in_beijing = UNIX_EPOCH + Duration::from_secs(16 * 3_600);
/// assert!(night.contains(midnight_in_beijing));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockWindow {
    /// Seconds from midnight by the window's own clock.
    from: i128,
    to: i128,
    /// How far that clock is before UTC, in seconds.
    offset: i128,
    share: Share,
}

/// Texts that make no window of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a window of the clock is from `22:00` to another time such as `08:00`, at an offset such as `+08:00`"
)]
pub struct InvalidClockWindow;

impl ClockWindow {
    /// From one time of the day up to another, without it; across midnight where the second is the earlier.
    ///
    /// # Errors
    /// When a time is not written as `22:00`, the two are the same, or the offset from UTC not as `+08:00`.
    pub fn new(
        from: &str,
        to: &str,
        utc_offset: &str,
        share: Share,
    ) -> Result<Self, InvalidClockWindow> {
        let (sign, offset) = match utc_offset.split_at_checked(1) {
            Some(("+", offset)) => (1, offset),
            Some(("-", offset)) => (-1, offset),
            _ => return Err(InvalidClockWindow),
        };
        let (from, to) = (time(from)?, time(to)?);
        if from == to {
            return Err(InvalidClockWindow);
        }
        Ok(Self {
            from,
            to,
            offset: sign * time(offset)?,
            share,
        })
    }

    /// Whether this instant is in it.
    #[must_use]
    pub fn contains(&self, at: SystemTime) -> bool {
        let seconds = |time: Duration| i128::from(time.as_secs());
        let since_epoch = match at.duration_since(UNIX_EPOCH) {
            Ok(after) => seconds(after),
            Err(before) => -seconds(before.duration()),
        };
        let now = (since_epoch + self.offset).rem_euclid(DAY);
        if self.from < self.to {
            (self.from..self.to).contains(&now)
        } else {
            now >= self.from || now < self.to
        }
    }

    /// The share of the price that calls cost in it.
    #[must_use]
    pub fn share(&self) -> Share {
        self.share
    }
}

/// Seconds from midnight.
fn time(text: &str) -> Result<i128, InvalidClockWindow> {
    let (hours, minutes) = text.split_once(':').ok_or(InvalidClockWindow)?;
    let number = |digits: &str, below: i128| {
        let is_plain = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number: i128 = digits.parse().map_err(|_| InvalidClockWindow)?;
        (is_plain && number < below)
            .then_some(number)
            .ok_or(InvalidClockWindow)
    };
    Ok(number(hours, 24)? * 3_600 + number(minutes, 60)? * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> SystemTime {
        let by = Duration::from_secs(seconds.unsigned_abs());
        if seconds < 0 {
            UNIX_EPOCH - by
        } else {
            UNIX_EPOCH + by
        }
    }

    fn window(from: &str, to: &str, offset: &str) -> Result<ClockWindow, InvalidClockWindow> {
        ClockWindow::new(from, to, offset, Share::percent(20))
    }

    #[test]
    fn the_beginning_is_in_and_the_end_is_not() {
        let night = window("22:00", "08:00", "+08:00").expect("a window");
        // 22:00 in Beijing is 14:00 UTC, 08:00 is 00:00 UTC.
        for (seconds, expected) in [
            (14 * 3_600 - 1, false),
            (14 * 3_600, true),
            (24 * 3_600 - 1, true),
            (24 * 3_600, false),
            (-1, true),
            (-10 * 3_600, true),
            (-10 * 3_600 - 1, false),
        ] {
            assert_eq!(night.contains(at(seconds)), expected, "{seconds}");
        }
        let day = window("09:30", "18:00", "-03:30").expect("a window");
        // 13:00 to 21:30 UTC.
        assert!(!day.contains(at(13 * 3_600 - 1)));
        assert!(day.contains(at(13 * 3_600)));
        assert!(!day.contains(at(21 * 3_600 + 1_800)));
        assert_eq!(day.share(), Share::percent(20));
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for (from, to, offset) in [
            ("22:00", "22:00", "+08:00"),
            ("24:00", "08:00", "+08:00"),
            ("22:60", "08:00", "+08:00"),
            ("2:00", "08:00", "+08:00"),
            ("22:00", "8", "+08:00"),
            ("22:00", "08:00", "08:00"),
            ("22:00", "08:00", ""),
            ("22:00", "08:00", "é08:00"),
            ("+2:00", "08:00", "+08:00"),
        ] {
            assert!(window(from, to, offset).is_err(), "{from} {to} {offset}");
        }
    }

    proptest::proptest! {
        /// Whatever the clock, a window and the one that begins where it ends share the day.
        #[test]
        fn two_windows_make_a_day(seconds in -10_000_000_i64..10_000_000, from in 0_u32..1_440, minutes in 1_u32..1_440, hours in 0_u32..24) {
            let text = |minute: u32| format!("{:02}:{:02}", minute / 60 % 24, minute % 60);
            let (from, to) = (text(from), text(from + minutes));
            let offset = format!("-{}", text(hours * 60));
            let one = window(&from, &to, &offset).expect("a window");
            let other = window(&to, &from, &offset).expect("a window");
            proptest::prop_assert!(one.contains(at(seconds)) != other.contains(at(seconds)));
        }
    }
}
