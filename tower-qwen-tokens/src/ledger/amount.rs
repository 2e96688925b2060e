use std::{fmt, time::SystemTime};

use crate::Money;

use super::Day;

/// Money or tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Amount {
    /// Money, in its currency.
    Money(Money),
    /// Tokens of prompts and answers together.
    Tokens(u64),
}

/// A threshold that a day's spending has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BudgetAlert {
    /// The day.
    pub day: Day,
    /// The threshold.
    pub threshold: Amount,
    /// What was spent until then, in the threshold's unit.
    pub spent: Amount,
    /// Whether the threshold is a limit: [`Budget::check`](super::Budget::check) fails from now on.
    pub is_limit: bool,
}

/// A limit of the day is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("today's budget of {limit} is used up: {spent}")]
pub struct BudgetExceeded {
    /// The limit.
    pub limit: Amount,
    /// What was spent, in the limit's unit.
    pub spent: Amount,
    /// When the day ends.
    pub until: SystemTime,
}

impl From<Money> for Amount {
    fn from(money: Money) -> Self {
        Self::Money(money)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Money(money) => money.fmt(f),
            Self::Tokens(tokens) => write!(f, "{tokens} tokens"),
        }
    }
}
