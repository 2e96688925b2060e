use std::{fmt, sync::Arc};

/// What kind of answer a call wants: what answers cost is learned for each kind apart.
///
/// Put into the request's extensions by the caller, where calls to one model differ in the length of their answers: a
/// classifier's and a writer's. 64 kinds per account have figures of their own; the rest share those of all calls.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct AnswerKind(pub(super) Arc<str>);

impl AnswerKind {
    /// A kind of this name.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }
}

impl fmt::Debug for AnswerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AnswerKind").field(&self.0).finish()
    }
}
