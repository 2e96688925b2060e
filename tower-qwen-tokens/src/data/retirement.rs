use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use super::{
    Book, Origin,
    origin::check_date,
    section::{BoxError, Section},
    without_latest_or_date,
};

/// That the provider takes a model out of service: from that day on its calls fail.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Retirement {
    /// The day, as `2026-10-10`. It may be in the future.
    pub date: String,
    /// The model to call in its place: the one that the provider names, or the nearest of the series that it names. `None`
    /// where neither is known.
    pub successor: Option<String>,
}

/// The models that the provider has retired, or will. A snapshot goes with its mainline model.
///
/// ```
/// use tower_qwen_tokens::data::RetirementBook;
///
/// let retired = RetirementBook::builtin();
/// let model = retired.retirement("qwen3-max-2025-09-23").ok_or("in service")?;
/// assert_eq!(model.to_string(), "retired on 2026-10-10, its successor is qwen3.7-max");
/// assert_eq!(retired.retirement("qwen-plus"), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type RetirementBook = Book<Retirement>;

/// A row of a retirement, as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RetirementRow {
    retired: String,
    successor: Option<String>,
}

impl Book<Retirement> {
    /// When a model is retired; `None` where nothing is known of that.
    #[must_use]
    pub fn retirement(&self, model: &str) -> Option<&Retirement> {
        self.get(model)
    }
}

impl Section for Retirement {
    const NAME: &'static str = "retirement";
    const BUILTIN: &'static str = include_str!("../../data/retirements.json");

    fn stable_id(model: &str) -> Option<&str> {
        without_latest_or_date(model)
    }

    fn read(row: Value, _: &Origin) -> Result<Self, BoxError> {
        let row: RetirementRow = serde_json::from_value(row)?;
        check_date(&row.retired)?;
        Ok(Self {
            date: row.retired,
            successor: row.successor,
        })
    }
}

impl fmt::Display for Retirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "retired on {}", self.date)?;
        match &self.successor {
            Some(successor) => write!(f, ", its successor is {successor}"),
            None => Ok(()),
        }
    }
}
