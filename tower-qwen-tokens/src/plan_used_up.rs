use std::{fmt, time::SystemTime};

/// A window of the account's plan is used up, so the provider accepts no call before it ends: five
/// hours, a day, a week or a month.
///
/// The layer that closed the account, such as Admission, makes it the source of its own error. Retry
/// finds it there, retries nothing, and lets a fallback take over.
///
/// # Examples
///
/// ```
/// use std::{error::Error, time::SystemTime};
///
/// use tower_qwen_tokens::PlanUsedUp;
///
/// /// When another call may succeed, as far as the provider has said.
/// fn comes_back_at(mut error: &(dyn Error + 'static)) -> Option<SystemTime> {
///     loop {
///         match error.downcast_ref::<PlanUsedUp>() {
///             Some(plan) => return plan.until(),
///             None => error = error.source()?,
///         }
///     }
/// }
/// # assert_eq!(comes_back_at(&PlanUsedUp::new(None)), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub struct PlanUsedUp {
    until: Option<SystemTime>,
}

impl PlanUsedUp {
    /// Used up until this instant; `None` where the provider does not say until when.
    #[must_use]
    pub fn new(until: Option<SystemTime>) -> Self {
        Self { until }
    }

    /// When the window ends, as the provider stated it.
    #[must_use]
    pub fn until(&self) -> Option<SystemTime> {
        self.until
    }
}

impl fmt::Display for PlanUsedUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a window of the account's plan is used up")?;
        match self.until.filter(|until| has_date(*until)) {
            Some(until) => write!(f, " until {}", httpdate::HttpDate::from(until)),
            None => Ok(()),
        }
    }
}

/// Whether `httpdate` has words for an instant. It panics at one before 1970 or after the year 9999.
fn has_date(at: SystemTime) -> bool {
    const YEAR_10000: u64 = 253_402_300_800;
    at.duration_since(SystemTime::UNIX_EPOCH)
        .is_ok_and(|since| since.as_secs() < YEAR_10000)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn it_says_until_when_in_words() {
        let says = |until| PlanUsedUp::new(until).to_string();
        let without = "a window of the account's plan is used up";
        assert_eq!(says(None), without);
        let date = UNIX_EPOCH + Duration::from_secs(1_475_419_451);
        let until = format!("{without} until Sun, 02 Oct 2016 14:44:11 GMT");
        assert_eq!(says(Some(date)), until);
        for far in [
            UNIX_EPOCH.checked_sub(Duration::from_secs(1)),
            UNIX_EPOCH.checked_add(Duration::from_secs(253_402_300_800)),
            UNIX_EPOCH.checked_add(Duration::from_secs(1 << 60)),
        ] {
            assert_eq!(says(far), without, "{far:?}");
        }
    }
}
