use std::error::Error;

use serde_json::Value;

use super::Origin;

/// Any error.
pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// The rows of retired models, and what each has in place of its own row.
// Handed in by the section that is changed: books need not know of retirements.
#[derive(Debug)]
pub struct Retired<V> {
    pub(super) section: &'static str,
    pub(super) rows: &'static str,
    pub(super) value: fn() -> V,
}

/// What a section of a data file says of a model.
// Public in a private module: it bounds a public type, and no other crate can name or implement it.
pub trait Section: Sized {
    /// The section's name.
    const NAME: &'static str;
    /// The rows that come with the crate, as JSON.
    const BUILTIN: &'static str;

    /// What a retired model has in place of its row; `None` where a retirement changes nothing.
    // A price stays: calls of the past are still summed up.
    const RETIRED: Option<Retired<Self>> = None;

    /// The listed id whose row an id inherits that is not listed itself.
    fn stable_id(model: &str) -> Option<&str>;

    /// What a row says, without the members that all sections share.
    ///
    /// # Errors
    ///
    /// When it is unsound or has an unknown member.
    fn read(row: Value, origin: &Origin) -> Result<Self, BoxError>;
}
