use std::error::Error;

use serde::de::DeserializeOwned;

use super::{Inherit, Origin};

/// Any error.
pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// What a section of a data file says of a model.
pub trait Section: Sized {
    /// The section's name.
    const NAME: &'static str;
    /// The rows that come with the crate, as JSON.
    const BUILTIN: &'static str;
    /// What ids inherit that are not listed.
    const INHERIT: Inherit;

    /// A row as it is written.
    type Row: DeserializeOwned;

    /// What a row says.
    ///
    /// # Errors
    ///
    /// When it is unsound.
    fn read(row: Self::Row, origin: &Origin) -> Result<Self, BoxError>;
}
