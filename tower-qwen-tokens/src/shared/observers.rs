use std::{
    fmt,
    sync::{Arc, Weak},
};

/// The observers of one layer, in the order in which they were added.
///
/// `O` is the crate's own observer trait, as a trait object. The list is written while a layer is
/// built and only read afterwards, so that emitting an event takes no lock.
pub struct Observers<O: ?Sized>(Vec<Arc<O>>);

impl<O: ?Sized> Observers<O> {
    /// Adds one behind all others.
    pub fn push(&mut self, observer: Arc<O>) {
        self.0.push(observer);
    }

    /// Whether nobody observes, so that an event need not be built.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Calls `emit` with each observer in turn.
    pub fn for_each(&self, emit: impl FnMut(&O)) {
        self.0.iter().map(AsRef::as_ref).for_each(emit);
    }

    /// Handles that keep no observer alive.
    pub fn downgrade(&self) -> impl Iterator<Item = Weak<O>> {
        self.0.iter().map(Arc::downgrade)
    }
}

// Not derived: that would ask for `O: Clone` and `O: Default`.
impl<O: ?Sized> Clone for Observers<O> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<O: ?Sized> Default for Observers<O> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<O: ?Sized> fmt::Debug for Observers<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} observers", self.0.len())
    }
}
