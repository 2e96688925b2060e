use std::sync::Arc;

/// The kind of answer that a call expects; the length of answers is learned for each kind.
///
/// Put it into the request's extensions if calls to one model differ in the length of their
/// answers: a classifier's and a writer's, for example. Up to 64 kinds per account have their own
/// figures; calls of further kinds use those of all calls.
///
/// # Examples
///
/// ```
/// use tower_qwen_ratelimit::admission::AnswerKind;
///
/// # fn main() -> Result<(), http::Error> {
/// let request = http::Request::post("https://dashscope.aliyuncs.com/compatible-mode/v1/chat/completions")
///     .extension(AnswerKind::new("classify"))
///     .body(())?;
/// # let _ = request;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AnswerKind(pub(super) Arc<str>);

impl AnswerKind {
    /// A kind of this name.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }
}
