/// Takes the ids of a text's tokens, from the first to the last.
pub(super) trait Accept {
    fn accept(&mut self, ids: &[u32]);
}

/// Counts.
impl Accept for u64 {
    #[inline]
    fn accept(&mut self, ids: &[u32]) {
        *self += ids.len() as u64;
    }
}

impl Accept for Vec<u32> {
    #[inline]
    fn accept(&mut self, ids: &[u32]) {
        self.extend_from_slice(ids);
    }
}
