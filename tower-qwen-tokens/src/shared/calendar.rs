//! The Gregorian calendar, in whole days since 1970-01-01.

/// The year, the month (1 to 12) and the day (1 to 31) of a day.
#[must_use]
pub fn date_of(days: u64) -> (u64, u64, u64) {
    // Days of 400 years: then the calendar repeats. 719,468 is 1970-01-01 counted from 0000-03-01:
    // years are counted from March, so that the leap day is the last.
    const ERA: u64 = 146_097;
    let days = days.saturating_add(719_468);
    let (era, day) = (days / ERA, days % ERA);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // From March on, every five months have 153 days.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let year = year + era * 400;
    if month < 10 {
        (year, month + 3, day)
    } else {
        (year + 1, month - 9, day)
    }
}

/// The day of a date; `None` for a day that there is not, and before 1970.
#[must_use]
pub fn day_of(year: u64, month: u64, day: u64) -> Option<u64> {
    if year < 1970 {
        return None;
    }
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let lengths = [
        31,
        if leap { 29 } else { 28 },
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let month = usize::try_from(month.checked_sub(1)?).ok()?;
    let length = *lengths.get(month)?;
    if day == 0 || day > length {
        return None;
    }
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    let before = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969);
    Some(before + lengths[..month].iter().sum::<u64>() + day - 1)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn there_is_no_such_day() {
        for (year, month, day) in [
            (2026, 2, 29),
            (2026, 13, 1),
            (2026, 0, 1),
            (2026, 4, 31),
            (1969, 12, 31),
        ] {
            assert_eq!(day_of(year, month, day), None, "{year}-{month}-{day}");
        }
        assert_eq!(day_of(2024, 2, 29), Some(19_782));
    }

    proptest::proptest! {
        /// Against the dates of HTTP, which another crate writes.
        #[test]
        fn dates_are_those_of_another_crate(days in 0_u64..2_932_896) {
            let (year, month, day) = date_of(days);
            proptest::prop_assert_eq!(day_of(year, month, day), Some(days));
            let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
            let month = months[usize::try_from(month - 1).expect("small")];
            let http = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(days * 86_400));
            let date = format!(" {day:02} {month} {year:04} ");
            proptest::prop_assert!(http.contains(&date), "{}, {}", http, date);
        }
    }
}
