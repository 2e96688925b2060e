/// The longest piece that has a short key. Unit: bytes.
pub(super) const LONGEST_SHORT: usize = 15;
/// The longest piece that has a key. Unit: bytes.
const LONGEST: usize = 30;
/// The golden ratio: the upper bits of a product with it depend on all bits of the other number.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// A piece of up to 15 bytes as two numbers: its bytes, and in the last byte its length, so that no two pieces have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ShortKey {
    pub(super) low: u64,
    pub(super) high: u64,
}

/// A piece of up to 30 bytes: its bytes, a free byte, and its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key(pub(super) [u64; 4]);

impl ShortKey {
    /// The key of these bytes of a text, at least one; `None` if they are too many.
    #[inline]
    pub(super) fn of(text: &[u8], start: usize, end: usize) -> Option<Self> {
        let length = end - start;
        if length > LONGEST_SHORT {
            return None;
        }
        let (low, high) = if start + 16 <= text.len() {
            // Sixteen bytes at once, then without those of the next piece.
            (eight(text, start), eight(text, start + 8))
        } else {
            let mut bytes = [0; 16];
            bytes[..length].copy_from_slice(&text[start..end]);
            (eight(&bytes, 0), eight(&bytes, 8))
        };
        let bits = 8 * length as u32;
        let (low, high) = if length <= 8 {
            (low & (u64::MAX >> (64 - bits)), 0)
        } else {
            (low, high & (u64::MAX >> (128 - bits)))
        };
        let high = high | (length as u64) << 56;
        Some(Self { low, high })
    }

    /// Of up to eight bytes, those alone; 0 if the last of them is zero, which would make two pieces the same number.
    #[inline]
    pub(super) fn eight(self) -> Option<u64> {
        let length = self.high >> 56;
        if length > 8 {
            return None;
        }
        let last = self.low >> (8 * (length - 1));
        Some(if last == 0 { 0 } else { self.low })
    }

    /// The place of this key in a table of 2 to this power.
    #[inline]
    pub(super) fn place(self, bits: u32) -> usize {
        let mixed = self.low ^ self.high.rotate_left(29);
        (mixed.wrapping_mul(SPREAD) >> (64 - bits)) as usize
    }
}

impl Key {
    /// The key of these bytes of a text, at least one; `None` if they are too many.
    #[inline]
    pub(super) fn of(text: &[u8], start: usize, end: usize) -> Option<Self> {
        if let Some(ShortKey { low, high }) = ShortKey::of(text, start, end) {
            return Some(Self([low, high, 0, 0]));
        }
        let length = end - start;
        (length <= LONGEST).then(|| {
            let mut bytes = [0; 32];
            bytes[..length].copy_from_slice(&text[start..end]);
            bytes[31] = length as u8;
            Self([0, 8, 16, 24].map(|at| eight(&bytes, at)))
        })
    }

    /// The place of this key in a table of 2 to this power.
    #[inline]
    pub(super) fn place(self, bits: u32) -> usize {
        let [a, b, c, d] = self.0;
        let mixed = a ^ b.rotate_left(29) ^ c.rotate_left(47) ^ d.rotate_left(13);
        (mixed.wrapping_mul(SPREAD) >> (64 - bits)) as usize
    }
}

#[inline]
fn eight(bytes: &[u8], at: usize) -> u64 {
    let eight = bytes.get(at..at + 8).unwrap_or_default();
    u64::from_le_bytes(eight.try_into().unwrap_or_default())
}
