#[cfg(any(feature = "metrics", feature = "redis"))]
use std::borrow::Cow;
use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use tower_qwen_tokens::{Money, price::Currency};

use crate::limit::LimitKind;

/// Money, tokens or requests. Written and read as `20 USD`, `1000 tokens`, `1000 input tokens`,
/// `1000 output tokens` or `60 requests`.
///
/// ```
/// use tower_qwen_ratelimit::budget::Amount;
///
/// let day: Amount = "20 USD".parse()?;
/// assert_eq!(day.to_string(), "20 USD");
/// assert_eq!("1000 tokens".parse(), Ok(Amount::Tokens(1_000)));
/// assert_eq!("60 requests".parse(), Ok(Amount::Requests(60)));
/// # Ok::<(), tower_qwen_ratelimit::budget::InvalidAmount>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
#[non_exhaustive]
pub enum Amount {
    /// Money, in its currency.
    Money(Money),
    /// Tokens of prompts and answers together.
    Tokens(u64),
    /// Tokens of prompts.
    InputTokens(u64),
    /// Tokens of answers.
    OutputTokens(u64),
    /// Requests that were sent.
    Requests(u64),
}

/// A text that is no amount: neither money (`20 USD`) nor tokens (`1000 tokens`) nor requests
/// (`60 requests`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an amount is written as `20 USD`, `1000 tokens` or `60 requests`")]
pub struct InvalidAmount;

/// What an amount counts. Amounts of different units are never added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Money(Currency),
    Counted(LimitKind),
}

impl Amount {
    pub(crate) fn unit(self) -> Unit {
        match self {
            Self::Money(money) => Unit::Money(money.currency()),
            Self::Tokens(_) => Unit::Counted(LimitKind::Tokens),
            Self::InputTokens(_) => Unit::Counted(LimitKind::InputTokens),
            Self::OutputTokens(_) => Unit::Counted(LimitKind::OutputTokens),
            Self::Requests(_) => Unit::Counted(LimitKind::Requests),
        }
    }

    /// In the unit's smallest part: pico-units of money, tokens or requests. `None` below zero.
    pub(super) fn count(self) -> Option<u128> {
        match self {
            Self::Money(money) => u128::try_from(money.pico()).ok(),
            Self::Tokens(count)
            | Self::InputTokens(count)
            | Self::OutputTokens(count)
            | Self::Requests(count) => Some(count.into()),
        }
    }

    pub(crate) fn is_zero(self) -> bool {
        self.count() == Some(0)
    }

    /// So many of what a limit counts.
    pub(crate) fn counted(kind: LimitKind, count: u64) -> Self {
        match kind {
            LimitKind::Requests => Self::Requests(count),
            LimitKind::Tokens => Self::Tokens(count),
            LimitKind::InputTokens => Self::InputTokens(count),
            LimitKind::OutputTokens => Self::OutputTokens(count),
        }
    }
}

impl Unit {
    /// So many of the smallest part.
    pub(super) fn amount(self, count: u128) -> Amount {
        match self {
            Self::Money(currency) => {
                let pico = i128::try_from(count).unwrap_or(i128::MAX);
                Amount::Money(Money::from_pico(pico, currency))
            }
            Self::Counted(kind) => Amount::counted(kind, u64::try_from(count).unwrap_or(u64::MAX)),
        }
    }

    /// Its name at a store and in metrics: `USD`, `tokens`.
    #[cfg(any(feature = "metrics", feature = "redis"))]
    pub(crate) fn name(self) -> Cow<'static, str> {
        match self {
            Self::Money(currency) => currency.to_string().into(),
            Self::Counted(kind) => kind.as_str().into(),
        }
    }
}

impl From<Money> for Amount {
    fn from(money: Money) -> Self {
        Self::Money(money)
    }
}

impl From<Amount> for String {
    fn from(amount: Amount) -> Self {
        amount.to_string()
    }
}

impl TryFrom<String> for Amount {
    type Error = InvalidAmount;

    fn try_from(text: String) -> Result<Self, InvalidAmount> {
        text.parse()
    }
}

impl FromStr for Amount {
    type Err = InvalidAmount;

    fn from_str(text: &str) -> Result<Self, InvalidAmount> {
        // The longer names first: "1 input tokens" ends with " tokens" too.
        const COUNTED: [LimitKind; 4] = [
            LimitKind::InputTokens,
            LimitKind::OutputTokens,
            LimitKind::Tokens,
            LimitKind::Requests,
        ];
        for kind in COUNTED {
            let count = text.strip_suffix(kind.words());
            if let Some(count) = count.and_then(|count| count.strip_suffix(' ')) {
                let count = count.parse().map_err(|_| InvalidAmount)?;
                return Ok(Self::counted(kind, count));
            }
        }
        text.parse().map(Self::Money).map_err(|_| InvalidAmount)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, count) = match self {
            Self::Money(money) => return money.fmt(f),
            Self::Tokens(count) => (LimitKind::Tokens, count),
            Self::InputTokens(count) => (LimitKind::InputTokens, count),
            Self::OutputTokens(count) => (LimitKind::OutputTokens, count),
            Self::Requests(count) => (LimitKind::Requests, count),
        };
        write!(f, "{count} {}", kind.words())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_they_are_written() {
        let amounts = [
            Amount::Tokens(1_000),
            Amount::InputTokens(1),
            Amount::OutputTokens(2),
            Amount::Requests(60),
        ];
        for amount in amounts {
            assert_eq!(amount.to_string().parse(), Ok(amount));
            let count = amount.count().unwrap();
            assert_eq!(amount.unit().amount(count), amount);
        }
        for text in [
            "",
            "1",
            "tokens",
            " tokens",
            "1tokens",
            "-1 requests",
            "1 request",
        ] {
            assert_eq!(text.parse::<Amount>(), Err(InvalidAmount), "{text}");
        }
    }
}
