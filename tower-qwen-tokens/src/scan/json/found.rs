use std::sync::Arc;

use crate::{
    Usage,
    scan::{delivered::Delivered, usage_sum::UsageSum},
};

/// What all documents together brought.
#[derive(Default)]
pub(in crate::scan) struct Found {
    /// In a box, as it is large and many scanners see the beginning of a stream alone.
    pub(super) usage: Option<Box<UsageSum>>,
    /// How many answers one prompt gets; `None`: there is one prompt.
    pub(super) answers_per_prompt: Option<u32>,
    /// Whether no answer has ended since usage was stated.
    pub(in crate::scan) usage_is_current: bool,
    /// Whether usage came with an event that ends the answer.
    pub(in crate::scan) usage_is_whole: bool,
    /// The amount of text when usage came alone, which is the end of a stream of one answer.
    pub(super) usage_alone_at: Option<Delivered>,
    /// Whether the model said why it stopped, outside of a list of answers.
    pub(in crate::scan) finished: bool,
    pub(in crate::scan) model: Option<Arc<str>>,
    pub(in crate::scan) delivered: Delivered,
    /// The stored text and its amount; `None` if it was not requested.
    pub(in crate::scan) text: Option<(String, Delivered)>,
}

impl Found {
    pub(super) fn usage(&mut self) -> &mut UsageSum {
        let answers_per_prompt = self.answers_per_prompt;
        self.usage
            .get_or_insert_with(|| Box::new(UsageSum::new(answers_per_prompt)))
    }

    /// The usage of all answers together.
    pub(in crate::scan) fn total_usage(&self) -> Option<Usage> {
        self.usage.as_ref()?.total()
    }

    /// Whether a stream of so many answers says that it is whole.
    pub(in crate::scan) fn is_whole(&self, answers: u32) -> bool {
        let ends_with_usage = self.usage_alone_at == Some(self.delivered);
        self.finished
            || self.usage_is_whole
            || self
                .usage
                .as_ref()
                .is_some_and(|usage| usage.ended().are(answers))
            || (ends_with_usage && answers <= 1)
    }
}
