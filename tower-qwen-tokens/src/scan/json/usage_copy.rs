use std::mem;

use crate::scan::usage_sum::UsagePlace;

/// The longest usage object that is read, in bytes: a bound for memory. Real ones hold a dozen or
/// two of numbers.
pub(in crate::scan) const MAX_USAGE: usize = 16 * 1024;

/// A copy of the last usage object. It is parsed only when it is needed: of many, the last one
/// counts.
#[derive(Default)]
pub(super) struct UsageCopy {
    bytes: Vec<u8>,
    /// The depth around the object, while it is open.
    pub(super) outer_depth: Option<u32>,
    status: CopyStatus,
    /// Whether it stands within an answer of a list.
    pub(super) is_in_choice: bool,
    /// Of what the event stated it; `None` if that event is still being read.
    pub(super) place: Option<UsagePlace>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum CopyStatus {
    /// Nothing to read.
    #[default]
    Empty,
    Copied,
    TooLong,
}

impl UsageCopy {
    /// Begins with an object. The one before must have been taken.
    pub(super) fn open(&mut self, outer_depth: u32) {
        self.bytes.clear();
        self.outer_depth = Some(outer_depth);
        self.place = None;
        self.status = CopyStatus::Copied;
    }

    /// Whether the present event has one.
    pub(super) fn is_of_document(&self) -> bool {
        self.status != CopyStatus::Empty && self.place.is_none()
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.bytes.len() + bytes.len() > MAX_USAGE {
            self.status = CopyStatus::TooLong;
        }
        if self.status == CopyStatus::Copied {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// Drops an object that is still open.
    pub(super) fn discard_open(&mut self) {
        if self.outer_depth.take().is_some() {
            self.status = CopyStatus::Empty;
        }
    }

    /// Drops what the present event stated.
    pub(super) fn discard(&mut self) {
        if self.place.is_none() {
            self.outer_depth = None;
            self.status = CopyStatus::Empty;
        }
    }

    /// Replaces the copy by another whole object.
    pub(super) fn replace(&mut self, bytes: &[u8], place: UsagePlace) {
        self.bytes.clear();
        self.place = Some(place);
        self.status = CopyStatus::Copied;
        self.push(bytes);
    }

    /// Returns the copy, once.
    pub(super) fn take(&mut self) -> Option<&[u8]> {
        (mem::take(&mut self.status) == CopyStatus::Copied).then_some(&*self.bytes)
    }

    /// The memory that its buffer holds.
    #[cfg(test)]
    pub(super) fn retained(&self) -> usize {
        self.bytes.capacity()
    }
}
