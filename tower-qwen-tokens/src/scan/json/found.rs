use std::sync::Arc;

use crate::{protocol::usage_body::UsageBody, scan::delivered::Delivered};

/// What an event's other lines say of its data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::scan) struct EventContext {
    /// Whether the event is called `error`.
    pub(in crate::scan) is_error: bool,
    /// The status that a comment states.
    pub(in crate::scan) status: Option<u16>,
}

/// What all documents together brought.
#[derive(Default)]
pub(in crate::scan) struct Found {
    pub(in crate::scan) usage: Option<UsageBody>,
    /// Whether usage came with an event that ends the answer.
    pub(in crate::scan) usage_is_whole: bool,
    /// Whether the model said why it stopped.
    pub(in crate::scan) finished: bool,
    pub(in crate::scan) model: Option<Arc<str>>,
    pub(in crate::scan) delivered: Delivered,
    /// The stored text and its amount; `None` if it was not requested.
    pub(in crate::scan) text: Option<(String, Delivered)>,
}
