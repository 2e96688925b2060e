use crate::{
    protocol::code::is_broken_off,
    scan::{
        key::{Key, MAX_NAME},
        short_bytes::ShortBytes,
        text::TextRule,
    },
};

/// Where in a document the next byte lies.
#[derive(Default)]
pub(super) struct JsonPosition {
    pub(super) depth: u32,
    pub(super) token: Token,
    /// The last string that may be a member's name.
    pub(super) name: Name,
    /// The member whose value begins here or next.
    pub(super) member: Option<Key>,
    /// The top-level member whose object is open, or whose list if that is the list of answers.
    pub(super) section: Option<Key>,
    /// The depth around the list of details of thoughts, while it is open.
    details: Option<u32>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Token {
    #[default]
    Between,
    String(StringRole),
    Escape(StringRole),
    Unicode {
        role: StringRole,
        digits: u8,
        unit: u16,
    },
}

/// What is done with a string's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StringRole {
    /// Compared with the names that matter.
    Name,
    /// Counted as text of the model.
    Text,
    /// Stored as the model's name.
    Model,
    Ignored,
}

#[derive(Default)]
pub(super) struct Name {
    /// What earlier pieces brought of it.
    bytes: ShortBytes<MAX_NAME>,
    /// The member that it names, once it is whole.
    pub(super) key: Option<Key>,
    /// Whether it is no value for a reason to stop: empty, or the text `null`.
    pub(super) is_nothing: bool,
    /// Whether it is a reason to stop which says that the answer is broken off.
    pub(super) is_broken_off: bool,
}

impl JsonPosition {
    pub(super) fn is_usage(&self) -> bool {
        self.member == Some(Key::Usage)
            && (self.is_of_answer()
                || self.is_in_choice()
                || (self.depth == 2 && self.section == Some(Key::XGroq)))
    }

    /// Whether the members at this depth are those of one answer in the list of them.
    pub(super) fn is_in_choice(&self) -> bool {
        self.depth == 3 && self.section == Some(Key::Choices)
    }

    /// Whether the list of answers is open, and none of them.
    pub(super) fn is_among_choices(&self) -> bool {
        self.depth == 2 && self.section == Some(Key::Choices)
    }

    pub(super) fn is_choice_index(&self) -> bool {
        self.member == Some(Key::Index) && self.is_in_choice()
    }

    /// The name under which a text that begins here is a thought.
    pub(super) fn thought(&self) -> Option<Key> {
        match self.member {
            name @ Some(Key::ReasoningContent | Key::Reasoning) => name,
            Some(Key::Text) if self.details.is_some() => Some(Key::ReasoningDetails),
            _ => None,
        }
    }

    pub(super) fn is_model(&self) -> bool {
        self.member == Some(Key::Model) && self.is_of_answer()
    }

    /// Whether a string here is the name of the answer, which means nothing to us.
    pub(super) fn is_id(&self) -> bool {
        self.member == Some(Key::Id) && self.depth == 1
    }

    pub(super) fn is_choices(&self) -> bool {
        self.member == Some(Key::Choices) && self.depth == 1
    }

    /// Whether the members at this depth describe the answer as a whole.
    fn is_of_answer(&self) -> bool {
        match self.depth {
            1 => true,
            // The responses dialect and Anthropic's first event wrap the answer in one more object.
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

    pub(super) fn begin_string(&mut self, rule: TextRule) -> StringRole {
        match self.member {
            // Without a member before it the string may be a name. A reason to stop is compared as
            // names are.
            None | Some(Key::Finish) => {
                self.name.bytes.clear();
                StringRole::Name
            }
            Some(Key::Text | Key::ReasoningContent | Key::Reasoning)
                if rule != TextRule::DeltasOnly =>
            {
                StringRole::Text
            }
            Some(Key::Delta) if rule == TextRule::DeltasOnly => StringRole::Text,
            Some(_) => StringRole::Ignored,
        }
    }

    pub(super) fn open(&mut self, byte: u8) {
        if self.depth == 1 {
            let is_list = byte == b'[';
            self.section = self
                .member
                .filter(|&member| is_list == (member == Key::Choices));
        }
        if self.member == Some(Key::ReasoningDetails) {
            self.details = Some(self.depth);
        }
        // A body of nothing but brackets must not overflow; at such depths nothing is looked for.
        self.depth = self.depth.saturating_add(1);
        self.end_member();
    }

    pub(super) fn close(&mut self) {
        // There may be more closing brackets than opening ones: bodies are not validated.
        self.depth = self.depth.saturating_sub(1);
        if self.depth <= 1 {
            self.section = None;
        }
        if self.details.is_some_and(|depth| self.depth <= depth) {
            self.details = None;
        }
        self.end_member();
    }

    pub(super) fn end_member(&mut self) {
        self.member = None;
    }
}

impl Name {
    /// Takes a part of the name that more will follow.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.push(bytes);
    }

    /// Makes it equal to no name. None that matters is written with an escape.
    pub(super) fn invalidate(&mut self) {
        self.bytes.overflow();
    }

    /// Takes the last part of the name, or of a reason to stop.
    // Every name of an answer passes here; a call of its own is a good part of what a name costs.
    #[inline]
    pub(super) fn end(&mut self, bytes: &[u8], is_reason: bool) {
        // Not by the name below, which is empty where it is too long as well.
        let is_empty = bytes.is_empty() && self.bytes.is_empty();
        // Nearly all names come in one piece and need no copy.
        let name = if self.bytes.is_empty() {
            bytes
        } else {
            self.bytes.push(bytes);
            self.bytes.get().unwrap_or_default()
        };
        if is_reason {
            self.key = None;
            self.is_nothing = is_empty || name == b"null";
            self.is_broken_off = is_broken_off(name);
        } else {
            self.key = Key::of(name);
        }
    }
}
