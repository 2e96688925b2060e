use std::mem;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The bytes so far: the first chunk as it came, all in one buffer from the second on.
pub(super) enum Collected {
    // Nearly every body comes as one chunk, which is passed on without a copy.
    One(Bytes),
    Many(BytesMut),
}

impl Collected {
    /// Adds a chunk, with so many bytes known to follow; false where the limit is passed.
    pub(super) fn push(&mut self, mut data: impl Buf, following: u64, limit: usize) -> bool {
        let length = self.len().saturating_add(data.remaining());
        if length > limit {
            return false;
        }
        match self {
            Self::One(first) if first.is_empty() => *first = data.copy_to_bytes(data.remaining()),
            Self::One(first) => {
                // What the body announces is one allocation instead of several, but never past the
                // limit: an announcement costs its sender nothing.
                let following = usize::try_from(following)
                    .unwrap_or(limit)
                    .min(limit - length);
                let mut all = BytesMut::with_capacity(length + following);
                all.put_slice(first);
                all.put(data);
                *self = Self::Many(all);
            }
            Self::Many(all) => all.put(data),
        }
        true
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::One(first) => first.len(),
            Self::Many(all) => all.len(),
        }
    }

    pub(super) fn take(&mut self) -> Bytes {
        match mem::replace(self, Self::One(Bytes::new())) {
            Self::One(first) => first,
            Self::Many(all) => all.freeze(),
        }
    }
}
