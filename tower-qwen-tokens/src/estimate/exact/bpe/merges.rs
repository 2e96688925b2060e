/// The vocabulary of Qwen2, Qwen2.5 and Qwen3: 256 bytes, one per id, then the two ids that each further token is made of, as
/// varints (LEB128). Made from the published ranks by `tests/merges.rs`.
const DATA: &[u8] = include_bytes!("merges.bin");

/// Ids that are a single byte.
pub(super) const SINGLE_BYTES: usize = 256;

/// How tokens are made of each other.
#[derive(Debug)]
pub(super) struct Merges {
    /// The bytes of the first 256 ids.
    pub(super) bytes: &'static [u8],
    /// The two parts of every further id, in the order of ids. Both are lower than it.
    pub(super) parts: Vec<(u32, u32)>,
}

impl Merges {
    pub(super) fn read() -> Self {
        let (bytes, mut rest) = DATA.split_at(SINGLE_BYTES);
        // A part takes 2.2 bytes on the mean.
        let mut parts = Vec::with_capacity(DATA.len() / 4);
        while !rest.is_empty() {
            let left = varint(&mut rest);
            parts.push((left, varint(&mut rest)));
        }
        Self { bytes, parts }
    }

    /// The id of every merge, and its two parts.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, u32, u32)> {
        (SINGLE_BYTES as u32..)
            .zip(&self.parts)
            .map(|(id, &(left, right))| (id, left, right))
    }
}

fn varint(data: &mut &[u8]) -> u32 {
    let mut value = 0;
    let mut shift = 0;
    while let Some((&byte, rest)) = data.split_first() {
        *data = rest;
        value |= u32::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::{Merges, SINGLE_BYTES};

    #[test]
    fn parts_are_lower_than_what_they_make() {
        let merges = Merges::read();
        assert_eq!(SINGLE_BYTES + merges.parts.len(), 151_643);
        for (id, left, right) in merges.iter() {
            assert!(left < id && right < id, "{id}");
        }
        let mut bytes = merges.bytes.to_vec();
        bytes.sort_unstable();
        assert!(bytes.into_iter().eq(0..=255));
    }
}
