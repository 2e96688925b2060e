#[cfg(feature = "redis")]
use std::hash::Hasher;
use std::{
    fmt,
    hash::{BuildHasher, RandomState},
};

#[cfg(feature = "redis")]
use siphasher::sip128::Hasher128;

/// A salted hash of a value that may be a secret: 128 bits, of two keyed hashes.
///
/// 128 bits, so that two callers never share an account by chance (64 would do so among some
/// billion keys).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digest([u64; 2]);

/// The salt of one limiter's digests: random, never shown, and gone with the process, so no digest can
/// be looked up later. In a fleet that of the fleet.
#[derive(Clone, Default)]
pub(crate) struct Salt {
    of_process: [RandomState; 2],
    #[cfg(feature = "redis")]
    of_fleet: Option<FleetSalt>,
}

/// The salt by which the processes of a fleet know the same secret by the same digest.
#[cfg(feature = "redis")]
#[derive(Clone, Copy)]
pub(crate) struct FleetSalt(siphasher::sip128::SipHasher24);

#[cfg(feature = "redis")]
impl FleetSalt {
    /// Made from texts that all processes have.
    pub(crate) fn new(namespace: &str, secret: &[u8]) -> Self {
        let mut hasher = siphasher::sip128::SipHasher24::new();
        hasher.write(&(secret.len() as u64).to_le_bytes());
        hasher.write(secret);
        hasher.write(namespace.as_bytes());
        let key = hasher.finish128();
        Self(siphasher::sip128::SipHasher24::new_with_keys(
            key.h1, key.h2,
        ))
    }
}

impl Salt {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    #[cfg(feature = "redis")]
    pub(crate) fn of_fleet(salt: FleetSalt) -> Self {
        Self {
            of_fleet: Some(salt),
            ..Self::default()
        }
    }

    pub(crate) fn digest(&self, secret: &[u8]) -> Digest {
        #[cfg(feature = "redis")]
        if let Some(FleetSalt(hasher)) = &self.of_fleet {
            let digest = hasher.hash(secret);
            return Digest([digest.h1, digest.h2]);
        }
        let [first, second] = &self.of_process;
        Digest([first.hash_one(secret), second.hash_one(secret)])
    }

    /// What hashes the pseudonyms of keys for response headers.
    pub(crate) fn hasher(&self) -> &RandomState {
        &self.of_process[0]
    }
}

impl Digest {
    /// All of it, as a store names it.
    #[cfg(feature = "redis")]
    pub(crate) fn to_hex(self) -> String {
        format!("{:016x}{:016x}", self.0[0], self.0[1])
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
#[cfg(feature = "redis")]
opaque_debug!(FleetSalt, impl std::fmt::Debug for FleetSalt);

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

    #[cfg(feature = "redis")]
    #[test]
    fn the_processes_of_a_fleet_have_equal_digests() {
        let digest = |namespace, secret: &[u8]| {
            let salt = Salt::of_fleet(FleetSalt::new(namespace, secret));
            salt.digest(b"sk-1").to_hex()
        };
        assert_eq!(digest("a", b""), digest("a", b""));
        assert_eq!(digest("a", b"").len(), 32);
        let different = [
            digest("a", b""),
            digest("b", b""),
            digest("a", b"s"),
            digest("", b"a"),
        ];
        for (at, one) in different.iter().enumerate() {
            assert!(!different[..at].contains(one), "{different:?}");
        }
    }

    #[test]
    fn shows_eight_digits() {
        let shown = Salt::new().digest(b"sk-1").to_string();
        assert_eq!((shown.len(), &shown[..1]), (9, "#"));
    }
}
