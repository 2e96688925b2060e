use std::{error::Error, fmt};

use tower_qwen_tokens::{
    Cause, NotSent,
    internal::clock::{Instant, now},
};

/// The call was not sent: all of its targets are in [cool-down](crate::retry#cool-down), for longer
/// than it may wait.
///
/// Its source is a [`NotSent`] with the wait.
///
/// ```
/// use http::StatusCode;
/// use tower_qwen_retry::{BoxError, CoolingDown};
///
/// /// What a gateway answers: the status, and the seconds of `Retry-After`.
/// fn answer_of(error: &BoxError) -> Option<(StatusCode, u64)> {
///     let cooling_down = error.downcast_ref::<CoolingDown>()?;
///     let wait = cooling_down.not_sent().predicted_wait()?;
///     Some((StatusCode::SERVICE_UNAVAILABLE, wait.as_secs() + 1))
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoolingDown {
    until: Instant,
    cause: Cause,
    not_sent: NotSent,
}

impl CoolingDown {
    pub(crate) fn new(until: Instant, cause: Cause) -> Self {
        let wait = until.saturating_duration_since(now());
        Self {
            until,
            cause,
            not_sent: NotSent::new(Some(wait)),
        }
    }

    /// When the first of the targets is tried again.
    #[must_use]
    pub fn until(&self) -> Instant {
        self.until
    }

    /// Why that target rests.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// The wait until then, from the error on.
    #[must_use]
    pub fn not_sent(&self) -> NotSent {
        self.not_sent
    }
}

impl fmt::Display for CoolingDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "all targets are in cool-down ({})", self.cause)?;
        match self.not_sent.predicted_wait() {
            Some(wait) => write!(f, "; the first is tried again in {wait:.1?}"),
            None => Ok(()),
        }
    }
}

impl Error for CoolingDown {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.not_sent)
    }
}
