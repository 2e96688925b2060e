//! Ids that were met, by fingerprint.

use std::{
    collections::{HashMap, hash_map::RandomState},
    fmt,
    hash::BuildHasher,
};

/// Ids and the number of the line on which each stood first.
///
/// Only a fingerprint of 128 bits is kept, by two hashes with random keys: some 40 bytes an id however long it is, and
/// for a thousand million ids a chance of two alike below one in 10²⁰.
#[derive(Default)]
pub struct Ids {
    first: RandomState,
    second: RandomState,
    /// As two numbers of 64 bits: one of 128 would be padded, a third more for each id.
    lines: HashMap<[u64; 2], u64>,
}

impl Ids {
    /// Notes an id. Returns the line on which it stood before, if it did.
    pub fn insert(&mut self, id: &str, line: u64) -> Option<u64> {
        let fingerprint = self.fingerprint(id);
        match self.lines.get(&fingerprint) {
            Some(before) => Some(*before),
            None => {
                self.lines.insert(fingerprint, line);
                None
            }
        }
    }

    /// Whether an id was met.
    #[must_use]
    pub fn contains(&self, id: &str) -> bool {
        self.lines.contains_key(&self.fingerprint(id))
    }

    /// How many ids were met.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether none was met.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    fn fingerprint(&self, id: &str) -> [u64; 2] {
        [self.first.hash_one(id), self.second.hash_one(id)]
    }
}

impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ids")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_met_once_and_its_first_line_told() {
        let mut ids = Ids::default();
        assert!(ids.is_empty());
        assert_eq!(ids.insert("a", 1), None);
        assert_eq!(ids.insert("b", 2), None);
        assert_eq!(ids.insert("a", 3), Some(1));
        assert_eq!(ids.insert("a", 4), Some(1));
        assert!(ids.contains("b") && !ids.contains("c"));
        assert_eq!(ids.len(), 2);
        assert_eq!(format!("{ids:?}"), "Ids { len: 2, .. }");
    }
}
