use super::{
    json::Text,
    key::{self, Key},
};
use crate::protocol::code::is_broken_off;

/// Where in a document the next byte stands.
#[derive(Default)]
pub(super) struct Place {
    pub(super) depth: u32,
    pub(super) token: Token,
    /// The last string that may be a key.
    pub(super) name: Name,
    /// The member whose value stands here or comes next.
    pub(super) member: Option<Key>,
    /// The top-level member whose object is open.
    pub(super) section: Option<Key>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Token {
    #[default]
    Between,
    String(Within),
    Escape(Within),
    Unicode {
        within: Within,
        digits: u8,
        unit: u16,
    },
}

/// What becomes of a string's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Within {
    /// Kept as far as names that matter are long.
    Name,
    /// Counted.
    Text,
    /// The model's name.
    Model,
    Passed,
}

#[derive(Default)]
pub(super) struct Name {
    /// What earlier pieces brought of it.
    bytes: [u8; key::MAX],
    /// How long that is; beyond the array only this is known.
    len: usize,
    /// The member that it names, once it is whole.
    pub(super) key: Option<Key>,
    pub(super) is_null: bool,
    /// Whether it says, as a reason to stop, that the answer is broken off.
    pub(super) is_broken_off: bool,
}

impl Place {
    pub(super) fn is_usage(&self) -> bool {
        self.member == Some(Key::Usage) && self.is_of_answer()
    }

    pub(super) fn is_model(&self) -> bool {
        self.member == Some(Key::Model) && self.is_of_answer()
    }

    pub(super) fn is_choices(&self) -> bool {
        self.member == Some(Key::Choices) && self.depth == 1
    }

    /// Whether members stand here that describe the answer as a whole.
    fn is_of_answer(&self) -> bool {
        match self.depth {
            1 => true,
            2 => matches!(self.section, Some(Key::Response | Key::Message)),
            _ => false,
        }
    }

    pub(super) fn is_failure(&self) -> bool {
        self.member == Some(Key::Failure)
            && match self.depth {
                1 => true,
                2 => self.section == Some(Key::Response),
                _ => false,
            }
    }

    pub(super) fn string_begins(&mut self, text: Text) -> Within {
        let counted = match self.member {
            None | Some(Key::Finish) => {
                self.name.len = 0;
                return Within::Name;
            }
            Some(Key::Text) => text != Text::Deltas,
            Some(Key::Delta) => text == Text::Deltas,
            Some(_) => false,
        };
        if counted {
            Within::Text
        } else {
            Within::Passed
        }
    }

    pub(super) fn open(&mut self, byte: u8) {
        if self.depth == 1 {
            self.section = self.member.filter(|_| byte == b'{');
        }
        self.depth = self.depth.saturating_add(1);
        self.forget();
    }

    pub(super) fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        if self.depth <= 1 {
            self.section = None;
        }
        self.forget();
    }

    pub(super) fn forget(&mut self) {
        self.member = None;
    }
}

impl Name {
    /// It goes on with this, and then with more.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let from = self.len.min(key::MAX);
        let kept = bytes.len().min(key::MAX - from);
        self.bytes[from..from + kept].copy_from_slice(&bytes[..kept]);
        self.len = self.len.saturating_add(bytes.len());
    }

    /// Makes it equal to no name, as it holds an escape.
    pub(super) fn spoil(&mut self) {
        self.len = usize::MAX;
    }

    /// It ends with this.
    pub(super) fn ends(&mut self, bytes: &[u8]) {
        let name = if self.len == 0 {
            bytes
        } else {
            self.push(bytes);
            self.bytes.get(..self.len).unwrap_or_default()
        };
        self.key = Key::of(name);
        self.is_null = name == b"null";
        self.is_broken_off = is_broken_off(name);
    }
}
