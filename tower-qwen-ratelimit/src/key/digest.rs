use std::{
    fmt,
    hash::{BuildHasher, RandomState},
};

/// A salted hash of a value that may be a secret: 128 bits, of two keyed hashes.
///
/// 128 bits, so that two callers never share an account by chance (64 would do so among some
/// billion keys).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digest([u64; 2]);

/// The random salt of one limiter's digests. Never shown, and gone with the process, so no digest
/// can be looked up later.
#[derive(Clone, Default)]
pub(crate) struct Salt([RandomState; 2]);

impl Salt {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn digest(&self, secret: &[u8]) -> Digest {
        Digest([self.0[0].hash_one(secret), self.0[1].hash_one(secret)])
    }

    /// What hashes the pseudonyms of keys for response headers.
    pub(crate) fn hasher(&self) -> &RandomState {
        &self.0[0]
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A quarter is enough to follow a caller through a log.
        write!(f, "#{:08x}", self.0[0] >> 32)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

opaque_debug!(Salt, impl std::fmt::Debug for Salt);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_with_one_salt_and_different_with_another() {
        let (salt, other) = (Salt::new(), Salt::new());
        assert_eq!(salt.digest(b"sk-1"), salt.clone().digest(b"sk-1"));
        assert_ne!(salt.digest(b"sk-1"), salt.digest(b"sk-2"));
        assert_ne!(salt.digest(b"sk-1"), other.digest(b"sk-1"));
        let Digest([first, second]) = salt.digest(b"sk-1");
        assert_ne!(first, second);
    }

    #[test]
    fn shows_eight_digits() {
        let shown = Salt::new().digest(b"sk-1").to_string();
        assert_eq!((shown.len(), &shown[..1]), (9, "#"));
    }
}
