use serde::Deserialize;

use super::model_id::{is_day, number};

/// Where a row is from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Origin {
    /// The page or the file it was read from.
    pub source: Option<String>,
    /// The day or month of which it is, as `2026-09-24` or `2026-06`.
    pub date: Option<String>,
    /// A remark.
    pub note: Option<String>,
}

/// Whether a text is a day or a month, as [`Origin::date`] has it.
pub(super) fn check_date(text: &str) -> Result<(), &'static str> {
    is_date(text)
        .then_some(())
        .ok_or("a date is written as `2026-09-24` or `2026-06`")
}

fn is_date(text: &str) -> bool {
    let mut parts = text.split('-');
    let year = parts.next().unwrap_or_default();
    let month = parts.next().unwrap_or_default();
    let day = parts.next().unwrap_or("01");
    parts.next().is_none()
        && year.len() == 4
        && number(year).is_some()
        && month.len() == 2
        && day.len() == 2
        && is_day(&format!("{month}{day}"))
}

#[cfg(test)]
mod tests {
    use super::is_date;

    #[test]
    fn dates_are_days_or_months() {
        for date in ["2026-09-24", "2026-06", "1999-12-31"] {
            assert!(is_date(date), "{date}");
        }
        for wrong in [
            "",
            "2026",
            "2026-13",
            "2026-1-01",
            "2026-01-32",
            "26-01-01",
            "2026-01-01-01",
            "2026-01-01T00:00:00Z",
            "yyyy-01-01",
            "2026-é",
        ] {
            assert!(!is_date(wrong), "{wrong}");
        }
    }
}
