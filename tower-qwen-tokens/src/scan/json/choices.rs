use crate::scan::usage_sum::Answers;

/// The answers in the list of one document.
#[derive(Default)]
pub(super) struct Choices {
    /// How many have begun.
    count: u32,
    /// The number of the open one, as far as it came.
    index: Option<u32>,
    /// Whether the open one says why the model stopped.
    pub(super) is_ended: bool,
    /// The number of the first one.
    first: Option<u32>,
    /// Those that say why the model stopped.
    pub(super) ended: Answers,
}

impl Choices {
    pub(super) fn open(&mut self) {
        self.count = self.count.saturating_add(1);
        self.index = None;
        self.is_ended = false;
    }

    /// Takes a digit of the open one's number.
    pub(super) fn push_digit(&mut self, digit: u8) {
        let index = self.index.unwrap_or(0).saturating_mul(10);
        self.index = Some(index.saturating_add(u32::from(digit - b'0')));
    }

    /// Closes the open one; returns its number.
    pub(super) fn close(&mut self) -> u32 {
        // Without a number its place in the list counts.
        let number = self.index.unwrap_or(self.count.saturating_sub(1));
        self.first.get_or_insert(number);
        if self.is_ended {
            self.ended.insert(number);
        }
        number
    }

    /// The number of the first answer, which may still be open.
    pub(super) fn first(&self) -> u32 {
        self.first.or(self.index).unwrap_or(0)
    }

    /// Whether the open one is the first.
    pub(super) fn is_first(&self) -> bool {
        self.count == 1
    }
}
