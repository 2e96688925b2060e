use crate::scan::usage_sum::{Answers, UsagePlace};

/// Receives what a matching event brings, in place of a scan of its data.
pub(in crate::scan) trait ContentSink {
    /// Whether any event brought text so far.
    fn has_text(&self) -> bool;

    /// Takes the inside of a string that is text of the model; `is_plain` if it has no escapes.
    fn add_text(&mut self, text: &[u8], is_plain: bool);

    /// Drops the text of an event that does not match in the end.
    fn discard_text(&mut self);

    /// Takes the usage object of an event that matched, and of what it is stated.
    fn take_usage(&mut self, usage: &[u8], place: UsagePlace);

    /// Takes the model's name of an event that matched.
    fn name_model(&mut self, name: &[u8]);

    /// The event is over: it matched.
    fn end_event(&mut self);

    /// The event has ended these answers.
    fn end_answers(&mut self, answers: Answers);

    /// The event states this usage, and has no answers.
    fn state_alone(&mut self, usage: &[u8]);
}
