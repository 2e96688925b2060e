use crate::scan::delivered::Delivered;

use super::{document::Json, key::Key};

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

impl Json {
    /// Begins a thought under this name; returns whether it counts.
    #[inline(never)]
    pub(super) fn begin_thought(&mut self, name: Key) -> bool {
        let begun = *self.thoughts.begun.get_or_insert(name);
        if begun != name {
            // Which of them counts is for the next event to say.
            self.outline.reject();
        }
        self.thoughts.before = self.text.so_far();
        self.thoughts.counted.is_none_or(|counted| counted == name)
    }

    #[inline(never)]
    pub(super) fn end_thought(&mut self, name: Key) {
        if self.text.so_far() != self.thoughts.before {
            self.thoughts.counted = Some(name);
        }
    }
}
