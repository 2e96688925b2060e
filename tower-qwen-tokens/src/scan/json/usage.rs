//! The usage objects of a document, and the answers that it ends.

use crate::{
    protocol::usage_body::UsageBody,
    scan::{key::Key, usage_sum::UsagePlace},
};

use super::document::Json;

impl Json {
    pub(super) fn state_document_usage(&mut self) {
        self.usage.discard_open();
        if let Some(body) = self.take_document_usage() {
            self.state(self.usage_place(), &body);
        }
    }

    pub(super) fn end_answers(&mut self) {
        // Of an event that is cut behind the reason to stop, the usage may be missing.
        if !self.is_closed() {
            return;
        }
        // Before the reason to stop, behind which usage is no longer that of the answer so far.
        self.state_copied();
        if self.choices.ended.is_empty() {
            self.found.finished = true;
        } else {
            self.found.usage().end(self.choices.ended);
        }
        // Otherwise the usage up to the end is still to come.
        self.found.usage_is_current = self.states_usage;
    }

    /// Of what usage of this document is stated.
    pub(in crate::scan) fn usage_place(&self) -> UsagePlace {
        match self.outline.has_choices() {
            Some(true) => UsagePlace::Beside(self.choices.first()),
            Some(false) => UsagePlace::Alone,
            None => UsagePlace::Whole,
        }
    }

    pub(super) fn close_choice(&mut self) {
        let number = self.choices.close();
        // Usage within an answer is that one's; elsewhere in the document it is the first one's.
        if self.usage.is_in_choice
            && let Some(body) = self.take_document_usage()
        {
            self.state(UsagePlace::Beside(number), &body);
        }
    }

    pub(super) fn end_usage(&mut self, at: usize) {
        self.usage.outer_depth = None;
        self.usage.is_in_choice = self.position.is_in_choice();
        self.outline.end_usage(self.offset.saturating_add(at));
        // In the responses dialect only the event that ends the answer states usage, within
        // `response`.
        if self.position.section == Some(Key::Response) {
            self.ends_usage = true;
            self.outline.reject();
        }
    }

    /// What the usage objects of the document state together, once.
    pub(super) fn take_document_usage(&mut self) -> Option<Box<UsageBody>> {
        self.usage.is_in_choice = false;
        let copied = self.usage.take().and_then(UsageBody::read).map(Box::new);
        match (self.document_usage.take(), copied) {
            (Some(mut first), Some(second)) => {
                first.update(&second);
                Some(first)
            }
            (first, second) => first.or(second),
        }
    }

    pub(super) fn state(&mut self, place: UsagePlace, body: &UsageBody) {
        if !self.found.usage().state(place, body) {
            return;
        }
        self.states_usage = true;
        self.found.usage_is_current = true;
        let is_body = self.is_bare && !matches!(place, UsagePlace::Beside(_));
        self.found.usage_is_whole |= self.ends_usage || is_body;
        if place == UsagePlace::Alone {
            self.found.usage_alone_at = Some(self.text.so_far());
        }
    }

    /// Takes over the usage of the last event that was compared.
    #[cold]
    pub(super) fn state_copied(&mut self) {
        if let Some(place) = self.usage.place.take()
            && let Some(body) = self.usage.take().and_then(UsageBody::read)
        {
            self.found.usage_is_current |= self.found.usage().state(place, &body);
        }
    }
}
