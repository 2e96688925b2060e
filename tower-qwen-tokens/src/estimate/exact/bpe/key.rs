/// The longest piece that has a key. Unit: bytes.
const LONGEST: usize = 15;

/// A short piece as two numbers: its bytes, and in the last byte its length, so that no two pieces have the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) low: u64,
    /// The upper four bits are free.
    pub(super) high: u64,
}

impl Key {
    /// The key of these bytes of a text, at least one; `None` if they are too many.
    #[inline]
    pub(super) fn of(text: &[u8], start: usize, end: usize) -> Option<Self> {
        let length = end - start;
        if length > LONGEST {
            return None;
        }
        let (low, high) = match text.get(start..start + 16) {
            // Sixteen bytes at once, then without those of the next piece.
            Some(bytes) => (eight(&bytes[..8]), eight(&bytes[8..])),
            None => {
                let mut bytes = [0; 16];
                bytes[..length].copy_from_slice(&text[start..end]);
                (eight(&bytes[..8]), eight(&bytes[8..]))
            }
        };
        let bits = 8 * length as u32;
        let (low, high) = if length <= 8 {
            (low & (u64::MAX >> (64 - bits)), 0)
        } else {
            (low, high & (u64::MAX >> (128 - bits)))
        };
        Some(Self {
            low,
            high: high | (length as u64) << 56,
        })
    }

    /// Of up to eight bytes, those alone; 0 if the last of them is zero, which would make two pieces the same number.
    #[inline]
    pub(super) fn short(self) -> Option<u64> {
        let length = (self.high >> 56) as u32;
        if length > 8 {
            return None;
        }
        let last = self.low >> (8 * (length - 1));
        Some(if last == 0 { 0 } else { self.low })
    }

    /// The place of this key in a table of 2 to this power.
    #[inline]
    pub(super) fn place(self, bits: u32) -> usize {
        let mixed = (self.low ^ self.high.rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> (64 - bits)) as usize
    }
}

#[inline]
fn eight(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().unwrap_or_default())
}
