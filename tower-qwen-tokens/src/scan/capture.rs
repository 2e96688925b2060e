use std::mem;

/// The longest usage object that is read. Unit: bytes.
pub(super) const MAX_USAGE: usize = 16 * 1024;

/// The usage object that is being copied, or was.
#[derive(Default)]
pub(super) struct Capture {
    bytes: Vec<u8>,
    /// The depth around the object, while it is open.
    pub(super) outside: Option<u32>,
    state: State,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing to read.
    #[default]
    Void,
    Copied,
    TooLong,
}

impl Capture {
    /// Begins with an object; what is copied must have been taken.
    pub(super) fn open(&mut self, outside: u32) {
        self.bytes.clear();
        self.outside = Some(outside);
        self.state = State::Copied;
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.bytes.len() + bytes.len() > MAX_USAGE {
            self.state = State::TooLong;
        }
        if self.state == State::Copied {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// Forgets an object that does not close.
    pub(super) fn give_up(&mut self) {
        if self.outside.take().is_some() {
            self.state = State::Void;
        }
    }

    /// Puts a whole object in the place of the one that was copied.
    pub(super) fn replace(&mut self, bytes: &[u8]) {
        self.bytes.clear();
        self.state = State::Copied;
        self.push(bytes);
    }

    /// The object that was copied last, once.
    pub(super) fn take(&mut self) -> Option<&[u8]> {
        (mem::take(&mut self.state) == State::Copied).then_some(&*self.bytes)
    }

    /// The memory that its buffer holds.
    #[cfg(test)]
    pub(super) fn retained(&self) -> usize {
        self.bytes.capacity()
    }
}
