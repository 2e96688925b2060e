//! What events bring that were compared with a template and not read.

use crate::{
    protocol::usage_body::UsageBody,
    scan::{
        template::ContentSink,
        usage_sum::{Answers, UsagePlace},
    },
};

use super::{
    document::Json,
    position::{StringRole, Token},
};

impl ContentSink for Json {
    fn has_text(&self) -> bool {
        !self.text.so_far().is_empty()
    }

    fn add_text(&mut self, text: &[u8], is_plain: bool) {
        if is_plain {
            self.text.push(text);
            return;
        }
        self.string(StringRole::Text, text, 0);
        self.position.token = Token::Between;
    }

    fn discard_text(&mut self) {
        self.text.discard_document();
    }

    fn take_usage(&mut self, usage: &[u8], place: UsagePlace) {
        // Of usage objects of the same shape the last one counts, so the others need not be read.
        if self.usage.place != Some(place) {
            self.state_copied();
        }
        self.usage.replace(usage, place);
    }

    fn name_model(&mut self, name: &[u8]) {
        // The first name counts.
        if self.found.model.is_none() {
            Self::name_model(self, name);
        }
    }

    fn end_event(&mut self) {
        self.text.end_document();
    }

    fn end_answers(&mut self, answers: Answers) {
        self.state_copied();
        self.found.usage().end(answers);
        self.found.usage_is_current = false;
    }

    fn state_alone(&mut self, usage: &[u8]) {
        self.state_copied();
        if let Some(body) = UsageBody::read(usage) {
            self.state(UsagePlace::Alone, &body);
            self.states_usage = false;
        }
    }
}
