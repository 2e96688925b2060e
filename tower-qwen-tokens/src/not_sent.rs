use std::{fmt, time::Duration};

/// The call was rejected before anything was sent.
///
/// The layer that rejects, such as Admission, makes it the source of its own error. Retry finds it
/// there: it counts no attempt, and the call may go to another target at once.
///
/// # Examples
///
/// ```
/// use std::{error::Error, time::Duration};
///
/// use tower_qwen_tokens::NotSent;
///
/// /// How long the call would have waited, where it was rejected before it was sent.
/// fn would_have_waited(mut error: &(dyn Error + 'static)) -> Option<Duration> {
///     loop {
///         match error.downcast_ref::<NotSent>() {
///             Some(not_sent) => return not_sent.predicted_wait(),
///             None => error = error.source()?,
///         }
///     }
/// }
/// # assert_eq!(would_have_waited(&NotSent::new(None)), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NotSent {
    predicted_wait: Option<Duration>,
}

impl NotSent {
    /// It would have waited for this long; `None` if waiting does not help, or nobody knows for how
    /// long.
    #[must_use]
    pub fn new(predicted_wait: Option<Duration>) -> Self {
        Self { predicted_wait }
    }

    /// How long the call would have waited. `None` if waiting does not help, or nobody knows for how
    /// long.
    #[must_use]
    pub fn predicted_wait(&self) -> Option<Duration> {
        self.predicted_wait
    }
}

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the call was not sent")
    }
}

impl std::error::Error for NotSent {}
