use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// Distinct values that are kept.
const MOST: usize = 1_024;
/// The longest one. Unit: bytes.
const LONGEST: usize = 256;

/// The values of a metric's label that comes from outside, such as the model, whose name callers choose at a server: each
/// makes series of its own, so there must be an end to them.
///
/// The first 1,024 values stand for themselves, all others, and those of more than 256 bytes, are `(other)`. Clones share
/// the values. One that is known is handed out without an allocation.
#[derive(Clone)]
pub struct LabelValues {
    known: Arc<Mutex<HashSet<Arc<str>>>>,
    other: Arc<str>,
}

impl LabelValues {
    /// None so far.
    #[must_use]
    pub fn new() -> Self {
        Self {
            known: Arc::default(),
            other: Arc::from("(other)"),
        }
    }

    /// What the label says for this value.
    #[must_use]
    pub fn get(&self, value: &str) -> Arc<str> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = known.get(value) {
            return Arc::clone(value);
        }
        if known.len() == MOST || value.len() > LONGEST {
            return Arc::clone(&self.other);
        }
        let value = Arc::from(value);
        known.insert(Arc::clone(&value));
        value
    }
}

impl Default for LabelValues {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for LabelValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LabelValues").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_values_stand_for_themselves_and_are_shared() {
        let values = LabelValues::new();
        for number in 0..MOST {
            let value = number.to_string();
            assert_eq!(*values.get(&value), value);
        }
        assert_eq!(&*values.get("1024"), "(other)");
        assert!(Arc::ptr_eq(
            &values.get("1023"),
            &values.clone().get("1023")
        ));
        assert!(Arc::ptr_eq(&values.get("1024"), &values.get("1025")));
    }

    #[test]
    fn a_long_value_is_another() {
        let values = LabelValues::new();
        let long = "m".repeat(LONGEST + 1);
        assert_eq!(&*values.get(&long), "(other)");
        assert_eq!(*values.get(&long[1..]), long[1..]);
    }
}
