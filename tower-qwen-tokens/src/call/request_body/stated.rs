/// A number that a body states under one name, once or more often.
///
/// Of two members of one name some hosts take the first and some the last: so the number is at most the largest, and without
/// bound where one of them is no number.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stated {
    largest: Option<u64>,
    has_other: bool,
}

impl Stated {
    /// One more member; `None` where its value is no number.
    pub(super) fn add(&mut self, number: Option<u64>) {
        match number {
            Some(number) => self.largest = self.largest.max(Some(number)),
            None => self.has_other = true,
        }
    }

    /// The number; `None` where there is none, or no bound to it.
    pub(super) fn number(self) -> Option<u64> {
        self.largest.filter(|_| !self.has_other)
    }

    /// Whether there is any number.
    pub(super) fn has_number(self) -> bool {
        self.largest.is_some()
    }

    /// Whether a host may read a number that is not bounded here, or none at all.
    pub(super) fn is_doubtful(self) -> bool {
        self.has_other && self.largest.is_some()
    }
}
