//! The fast path of a stream: most events equal the one before them but for their text and some
//! numbers.
//!
//! The last event that was read in full is the [template](EventTemplate). While it is read, the
//! JSON scanner records its [outline](OutlineRecorder): where the texts, the numbers and the usage
//! object lie. Of a later event the bytes between those placeholders are compared with the
//! template's, and if all are equal, only the texts and the usage are looked at: some 60 instead of
//! 1,260 ns an event (`docs/performance.md`). One that does not match is read in full, and where it differs in a member that means
//! nothing, that member may [differ](free_members) from then on. Streams of the
//! same layer [share](KnownEvents) what was learned, since nearly all begin and end alike. The law, a
//! property test: what is found is the same as if every event were read in full.

mod content_sink;
mod effect;
mod event_template;
mod free_members;
mod known_events;
mod learned;
mod outline;
mod pattern;
mod placeholder;
#[cfg(test)]
mod tests;

pub(super) use content_sink::ContentSink;
pub(super) use effect::Effect;
pub(super) use event_template::EventTemplate;
pub(crate) use known_events::KnownEvents;
pub(super) use outline::{Outline, OutlineRecorder};
#[cfg(test)]
pub(super) use pattern::MAX_PATTERN;
pub(super) use pattern::Match;
pub(super) use placeholder::PlaceholderKind;
