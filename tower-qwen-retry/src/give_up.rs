use std::fmt;

/// Why a transient failure is not retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GiveUp {
    /// All [attempts](crate::RetryPolicy::max_attempts) of the call are used.
    Attempts,
    /// The server asks for a wait above [`max_retry_after`](crate::RetryPolicy::max_retry_after).
    RetryAfter,
    /// The wait would end after the call's deadline.
    Deadline,
    /// The [retry budget](crate::RetryBudget) is used up.
    RetryBudget,
    /// The outage lasts longer than the [`patience`](crate::RetryPolicy::patience).
    Patience,
}

impl GiveUp {
    /// The name in `snake_case`, for metrics. Stable.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Attempts => "attempts",
            Self::RetryAfter => "retry_after",
            Self::Deadline => "deadline",
            Self::RetryBudget => "budget",
            Self::Patience => "patience",
        }
    }
}

impl fmt::Display for GiveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
