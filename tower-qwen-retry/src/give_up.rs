use std::fmt;

/// Why a failure that may go away is not retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GiveUp {
    /// The call was sent as often as it may be.
    Attempts,
    /// The server asks for a longer wait than it may.
    RetryAfter,
    /// The wait would pass the call's deadline.
    Deadline,
    /// The budget of all calls is used up.
    RetryBudget,
    /// The provider has been away for all calls for too long.
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
