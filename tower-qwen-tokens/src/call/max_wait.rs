use std::time::Duration;

/// The longest wait for quota of one request. In the request's extensions.
///
/// Admission rejects the request at once if it would wait for longer, and otherwise when it has
/// waited this long. The shortest limit of several counts: this, the layer's own and the
/// [`Deadline`](super::Deadline). Default: none.
///
/// Retry sets it on a call that another target may serve sooner. A caller's own value counts for
/// each attempt.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use tower_qwen_tokens::call::MaxWait;
///
/// # fn main() -> Result<(), http::Error> {
/// let request = http::Request::post("https://dashscope.aliyuncs.com/compatible-mode/v1/chat/completions")
///     .extension(MaxWait(Duration::from_secs(10)))
///     .body(())?;
/// # let _ = request;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MaxWait(
    /// The wait, from the request's arrival at Admission on.
    pub Duration,
);
