use crate::scan::delivered::Delivered;

use crate::scan::key::Key;

/// The thoughts of one document, which may state the same ones under several names: the first that
/// has some counts.
#[derive(Default)]
pub(super) struct Thoughts {
    /// The first name.
    pub(super) begun: Option<Key>,
    /// The first name with a text.
    pub(super) counted: Option<Key>,
    /// The amount of text before the last one began.
    pub(super) before: Delivered,
}
