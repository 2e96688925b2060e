use super::merges::Merges;

/// The bytes of every token. Only needed while tables are built.
#[derive(Debug)]
pub(super) struct TokenBytes {
    bytes: Vec<u8>,
    /// Where each token ends; the next begins there.
    ends: Vec<u32>,
}

impl TokenBytes {
    pub(super) fn new(merges: &Merges) -> Self {
        let mut bytes = merges.bytes.to_vec();
        // All tokens together are 0.98 MB.
        bytes.reserve(1 << 20);
        let mut ends: Vec<u32> = (1..=bytes.len() as u32).collect();
        ends.reserve(merges.parts.len());
        for &(left, right) in &merges.parts {
            for part in [left, right] {
                let range = range(&ends, part);
                bytes.extend_from_within(range);
            }
            ends.push(bytes.len() as u32);
        }
        Self { bytes, ends }
    }

    pub(super) fn of(&self, id: u32) -> &[u8] {
        &self.bytes[range(&self.ends, id)]
    }

    /// Every token, in the order of ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &[u8])> {
        (0..self.ends.len() as u32).map(|id| (id, self.of(id)))
    }
}

fn range(ends: &[u32], id: u32) -> std::ops::Range<usize> {
    let id = id as usize;
    let start = id.checked_sub(1).map_or(0, |before| ends[before]);
    start as usize..ends[id] as usize
}
