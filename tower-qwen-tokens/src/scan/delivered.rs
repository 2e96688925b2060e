/// The amount of the model's text in an answer: of answers, reasoning and arguments of tools.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delivered {
    ascii: u64,
    other: u64,
    /// The tokens of all of it, if they were counted.
    counted: Option<u64>,
}

impl Delivered {
    /// Whether there was no text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Its tokens: counted if [`Scanner::finish_counting`](super::Scanner::finish_counting) was
    /// called, else roughly a quarter for each ASCII character and 0.65 for each other one, rounded
    /// up.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.counted.unwrap_or_else(|| self.rough())
    }

    /// The same with the count of a part of it. The rest is assumed to have as many tokens for its
    /// length.
    pub(super) fn counted(self, part: Self, tokens: u64) -> Self {
        let all = u128::from(tokens) * u128::from(self.rough()) / u128::from(part.rough().max(1));
        Self {
            counted: Some(u64::try_from(all).unwrap_or(u64::MAX).max(tokens)),
            ..self
        }
    }

    fn rough(&self) -> u64 {
        // In twentieths, so that 0.25 and 0.65 are whole numbers: 5 and 13.
        let twentieths = self
            .ascii
            .saturating_mul(5)
            .saturating_add(self.other.saturating_mul(13));
        twentieths.div_ceil(20)
    }

    /// Counts raw UTF-8, cut anywhere: a character counts where it begins.
    pub(super) fn add_utf8(&mut self, bytes: &[u8]) {
        if bytes.is_ascii() {
            self.ascii = self.ascii.saturating_add(bytes.len() as u64);
            return;
        }
        // Blocks so short that a byte holds their count: the compiler then counts many bytes at a
        // time.
        for block in bytes.chunks(usize::from(u8::MAX)) {
            let count = |wanted: fn(u8) -> bool| {
                let add = |sum: u8, &byte: &u8| sum + u8::from(wanted(byte));
                u64::from(block.iter().fold(0, add))
            };
            self.ascii = self.ascii.saturating_add(count(|byte| byte < 0x80));
            self.other = self.other.saturating_add(count(|byte| byte >= 0xc0));
        }
    }

    /// Counts a UTF-16 unit, as JSON escapes write it. Of a pair only the second counts.
    pub(super) fn add_unit(&mut self, unit: u16) {
        match unit {
            0..0x80 => self.ascii = self.ascii.saturating_add(1),
            // The first half of a pair.
            0xd800..0xdc00 => {}
            _ => self.other = self.other.saturating_add(1),
        }
    }

    pub(super) fn plus(self, more: Self) -> Self {
        Self {
            ascii: self.ascii.saturating_add(more.ascii),
            other: self.other.saturating_add(more.other),
            counted: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_count_once() {
        let mut delivered = Delivered::default();
        assert!(delivered.is_empty());
        assert_eq!(delivered.tokens(), 0);
        for byte in "ab你好🙂".bytes() {
            delivered.add_utf8(&[byte]);
        }
        for unit in "x好🙂".encode_utf16() {
            delivered.add_unit(unit);
        }
        assert_eq!((delivered.ascii, delivered.other), (3, 5));
        assert_eq!(delivered.tokens(), 4);
    }

    #[test]
    fn a_count_of_a_part_stands_for_the_whole() {
        let of = |bytes: u64| Delivered {
            ascii: bytes,
            ..Delivered::default()
        };
        assert_eq!(of(400).counted(of(400), 77).tokens(), 77);
        assert_eq!(of(800).counted(of(400), 77).tokens(), 154);
        assert_eq!(of(0).counted(of(0), 0).tokens(), 0);
        assert_eq!(of(u64::MAX).counted(of(1), u64::MAX).tokens(), u64::MAX);
    }

    #[test]
    fn counts_saturate() {
        let most = Delivered {
            ascii: u64::MAX,
            other: u64::MAX,
            counted: None,
        };
        assert_eq!(most.plus(most), most);
        assert_eq!(most.tokens(), u64::MAX.div_ceil(20));
    }
}
