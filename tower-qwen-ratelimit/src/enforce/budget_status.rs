use http::StatusCode;

/// The status of a call that a budget rejects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BudgetStatus {
    /// 429, as the providers themselves answer where an account's money is used up.
    #[default]
    TooManyRequests,
    /// 402, which no client retries.
    PaymentRequired,
    /// 403, which no client retries either.
    Forbidden,
}

impl BudgetStatus {
    pub(super) fn code(self) -> StatusCode {
        match self {
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::PaymentRequired => StatusCode::PAYMENT_REQUIRED,
            Self::Forbidden => StatusCode::FORBIDDEN,
        }
    }
}
