/// At most `N` bytes, collected from pieces; of more only the number is known.
pub(super) struct ShortBytes<const N: usize> {
    bytes: [u8; N],
    /// Larger than `N` if there were too many bytes.
    len: usize,
}

impl<const N: usize> ShortBytes<N> {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let from = self.len.min(N);
        let count = bytes.len().min(N - from);
        self.bytes[from..from + count].copy_from_slice(&bytes[..count]);
        self.len = self.len.saturating_add(bytes.len());
    }

    /// The bytes, unless there were too many.
    pub(super) fn get(&self) -> Option<&[u8]> {
        self.bytes.get(..self.len)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    /// Makes it count as too long, whatever follows.
    pub(super) fn overflow(&mut self) {
        self.len = usize::MAX;
    }
}

impl<const N: usize> Default for ShortBytes<N> {
    fn default() -> Self {
        Self {
            bytes: [0; N],
            len: 0,
        }
    }
}
