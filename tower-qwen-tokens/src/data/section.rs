use std::error::Error;

use serde_json::Value;

use super::Origin;

/// Any error.
pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// What a section of a data file says of a model.
// Public in a private module: it bounds a public type, and no other crate can name or implement it.
pub trait Section: Sized {
    /// The section's name.
    const NAME: &'static str;
    /// The rows that come with the crate, as JSON.
    const BUILTIN: &'static str;

    /// The listed id whose row an id inherits that is not listed itself.
    fn stable_id(model: &str) -> Option<&str>;

    /// What a row says, without the members that all sections share.
    ///
    /// # Errors
    ///
    /// When it is unsound or has an unknown member.
    fn read(row: Value, origin: &Origin) -> Result<Self, BoxError>;
}
