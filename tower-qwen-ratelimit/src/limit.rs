//! Limits beside the requests and tokens of a quota's window.

use std::fmt;

use crate::period::Period;

/// A limit beside the requests and tokens of a quota's window: of another period, or of input or
/// output tokens alone. See [`Quota::and`](crate::Quota::and).
///
/// # Examples
///
/// ```
/// use tower_qwen_ratelimit::{Limit, Quota, period::{Period, TimeZone}};
///
/// let quota = Quota::per_minute(600, 1_000_000)
///     .and(Limit::requests(20, Period::SECOND))
///     .and(Limit::output_tokens(200_000, Period::MINUTE))
///     .and(Limit::tokens(50_000_000, Period::month(TimeZone::east(8, 0)?)));
/// assert_eq!(quota.check(), Ok(()));
/// # Ok::<(), tower_qwen_ratelimit::period::InvalidTimeZone>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    kind: LimitKind,
    amount: u64,
    period: Period,
}

/// What a [`Limit`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LimitKind {
    /// Requests.
    Requests,
    /// Tokens of prompts and answers together.
    Tokens,
    /// Tokens of prompts.
    InputTokens,
    /// Tokens of answers.
    OutputTokens,
}

impl Limit {
    /// At most so many requests in a period.
    #[must_use]
    pub const fn requests(amount: u64, period: Period) -> Self {
        Self::new(LimitKind::Requests, amount, period)
    }

    /// At most so many tokens, of prompts and answers together, in a period.
    #[must_use]
    pub const fn tokens(amount: u64, period: Period) -> Self {
        Self::new(LimitKind::Tokens, amount, period)
    }

    /// At most so many tokens of prompts in a period.
    #[must_use]
    pub const fn input_tokens(amount: u64, period: Period) -> Self {
        Self::new(LimitKind::InputTokens, amount, period)
    }

    /// At most so many tokens of answers in a period. A call reserves what its answer is expected to
    /// bring, and no more than the limit.
    #[must_use]
    pub const fn output_tokens(amount: u64, period: Period) -> Self {
        Self::new(LimitKind::OutputTokens, amount, period)
    }

    const fn new(kind: LimitKind, amount: u64, period: Period) -> Self {
        Self {
            kind,
            amount,
            period,
        }
    }

    /// What it counts.
    #[must_use]
    pub const fn kind(&self) -> LimitKind {
        self.kind
    }

    /// The most in a period. Unit: requests or tokens.
    #[must_use]
    pub const fn amount(&self) -> u64 {
        self.amount
    }

    /// How long the amount lasts.
    #[must_use]
    pub const fn period(&self) -> Period {
        self.period
    }

    /// Whether both count the same thing over the same time.
    pub(crate) fn counts_as(&self, other: &Self) -> bool {
        (self.kind, self.period) == (other.kind, other.period)
    }
}

impl LimitKind {
    /// A stable name, for metrics: `requests`, `tokens`, `input_tokens` or `output_tokens`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::InputTokens => "input_tokens",
            Self::OutputTokens => "output_tokens",
        }
    }

    /// As a sentence has it.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::InputTokens => "input tokens",
            Self::OutputTokens => "output tokens",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} per {}",
            self.amount,
            self.kind.words(),
            self.period
        )
    }
}
