//! What a reply is made of, and the choice between the dialects.

use serde_json::Value;

use super::{Dialect, compatible, native};
use crate::request::{Delivery, Format};

/// What is the same in all parts of one reply.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) dialect: Dialect,
    pub(crate) delivery: Delivery,
    pub(crate) format: Format,
    pub(crate) id: String,
    pub(crate) model: String,
    /// Seconds since 1970.
    pub(crate) created: u64,
    /// Whether the answer says what it used.
    pub(crate) tells_usage: bool,
}

/// What a call used so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) prompt: u64,
    pub(crate) cached: u64,
    pub(crate) output: u64,
}

/// How far a stream has come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    /// Number of the event, from 1.
    pub(crate) number: u64,
    /// The text that is new.
    pub(crate) new: &'a str,
    /// All text so far.
    pub(crate) all: &'a str,
    pub(crate) usage: Usage,
}

impl Reply {
    pub(crate) fn content_type(&self) -> &'static str {
        match self.delivery {
            Delivery::Whole => "application/json",
            Delivery::Chunks { .. } => "text/event-stream",
            Delivery::Events { .. } => "text/event-stream;charset=UTF-8",
        }
    }

    /// An answer in one piece.
    pub(crate) fn whole(&self, text: &str, finish: &str, usage: Usage) -> Value {
        match self.dialect {
            Dialect::Compatible => compatible::whole(self, text, finish, usage),
            Dialect::Native => native::whole(self, text, finish, usage),
        }
    }

    /// What a stream begins with, before any text.
    pub(crate) fn opening(&self) -> Option<String> {
        match self.dialect {
            Dialect::Compatible => Some(compatible::opening(self)),
            Dialect::Native => None,
        }
    }

    /// An event with text.
    pub(crate) fn part(&self, part: Part<'_>) -> String {
        match self.dialect {
            Dialect::Compatible => compatible::part(self, part.new),
            Dialect::Native => native::part(self, part, "null"),
        }
    }

    /// The events that end a stream.
    pub(crate) fn ending(&self, part: Part<'_>, finish: &str) -> Vec<String> {
        match self.dialect {
            Dialect::Compatible => compatible::ending(self, finish, part.usage),
            Dialect::Native => vec![native::part(self, part, finish)],
        }
    }
}
