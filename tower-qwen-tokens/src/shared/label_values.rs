use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use crate::{
    macros::opaque_debug,
    shared::{OTHER, lock},
};

/// The most distinct values. No provider has as many models, and each value makes several series in
/// the metrics' store.
const MAX_VALUES: usize = 1_024;
/// The longest value, in bytes: as long as the longest model name that the scan takes from an
/// answer.
const MAX_LENGTH: usize = 256;

/// The values of a metric's label that come from outside, such as the model's name, which the
/// callers of a server choose. Each value makes new series in the metrics' store, so their number
/// is bounded.
///
/// The first 1,024 values are used as they are. All others, and those of more than 256 bytes,
/// become `(other)`. Clones share the values. A known value is returned without an allocation.
#[derive(Clone)]
pub struct LabelValues {
    known: Arc<Mutex<HashSet<Arc<str>>>>,
    other: Arc<str>,
    /// Which values may be known; `None`: all.
    allowed: Option<Arc<Allowed>>,
}

type Allowed = dyn Fn(&str) -> bool + Send + Sync;

impl LabelValues {
    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self {
            known: Arc::default(),
            other: Arc::from(OTHER),
            allowed: None,
        }
    }

    /// Of these values alone; all others become `(other)`, and take no places. Default: of all.
    #[must_use]
    pub fn only(mut self, allowed: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.allowed = Some(Arc::new(allowed));
        self
    }

    /// The label for this value.
    #[must_use]
    pub fn get(&self, value: &str) -> Arc<str> {
        if let Some(value) = lock(&self.known).get(value) {
            return Arc::clone(value);
        }
        // The caller's own function may lock what it likes: it runs without this lock.
        let is_allowed = |allowed: &Arc<Allowed>| allowed(value);
        if value.len() > MAX_LENGTH || !self.allowed.as_ref().is_none_or(is_allowed) {
            return Arc::clone(&self.other);
        }
        let mut known = lock(&self.known);
        if let Some(value) = known.get(value) {
            return Arc::clone(value);
        }
        if known.len() == MAX_VALUES {
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

opaque_debug!(LabelValues, impl std::fmt::Debug for LabelValues);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_values_are_used_as_they_are_and_shared() {
        let values = LabelValues::new();
        for number in 0..MAX_VALUES {
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
    fn values_that_are_not_allowed_take_no_places() {
        let values = LabelValues::new().only(|value| value.starts_with("qwen"));
        for number in 0..2 * MAX_VALUES {
            assert_eq!(*values.get(&format!("invented-{number}")), *OTHER);
        }
        assert_eq!(&*values.clone().get("qwen-plus"), "qwen-plus");
    }

    #[test]
    fn a_long_value_is_another() {
        let values = LabelValues::new();
        let long = "m".repeat(MAX_LENGTH + 1);
        assert_eq!(&*values.get(&long), "(other)");
        assert_eq!(*values.get(&long[1..]), long[1..]);
    }
}
