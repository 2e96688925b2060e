use crate::period::{InvalidPeriod, Period};

use super::{Amount, amount::Unit};

/// What a tenant or a group may spend: one limit or several, all of which a call has to fit.
///
/// ```
/// use tower_qwen_ratelimit::{Budget, budget::Amount, period::{Period, TimeZone}};
///
/// // 20 dollars from midnight to midnight in Beijing, with a word at 15; and so many tokens an hour.
/// let beijing = TimeZone::east(8, 0)?;
/// let budget = Budget::new("20 USD".parse::<Amount>()?, Period::day(beijing))
///     .notify_at("15 USD".parse::<Amount>()?)
///     .and(Amount::Tokens(2_000_000), Period::HOUR);
/// budget.check()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct Budget {
    pub(super) limits: Vec<BudgetLimit>,
    /// A line was set before there was a limit.
    has_lone_line: bool,
}

/// So much in each period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BudgetLimit {
    pub(super) amount: Amount,
    pub(super) period: Period,
    /// What is reported when it is reached.
    pub(super) lines: Vec<Amount>,
}

/// Why a budget makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidBudget {
    /// A rolling period is too short or too long.
    #[error(transparent)]
    Period(#[from] InvalidPeriod),
    /// An amount is below zero.
    #[error("the amount {0} is below zero")]
    Negative(Amount),
    /// A line is not in the unit of its limit.
    #[error("the line {line} is in another unit than its limit {limit}")]
    LineUnit {
        /// The limit.
        limit: Amount,
        /// Its line.
        line: Amount,
    },
    /// [`Budget::notify_at`] comes before any limit.
    #[error("a line without a limit")]
    LineWithoutLimit,
    /// Two limits have one unit and one period, so that one of them has no effect.
    #[error("two limits in one unit for the period {0}")]
    Twice(Period),
}

impl Budget {
    /// At most this amount in each period. An amount of zero rejects every call.
    pub fn new(amount: impl Into<Amount>, period: Period) -> Self {
        Self::unlimited().and(amount, period)
    }

    /// No limit at all.
    pub fn unlimited() -> Self {
        Self::default()
    }

    /// Adds a limit. Default: the one that the budget was made with.
    pub fn and(mut self, amount: impl Into<Amount>, period: Period) -> Self {
        self.limits.push(BudgetLimit {
            amount: amount.into(),
            period,
            lines: Vec::new(),
        });
        self
    }

    /// Reports when this amount of the limit that was added last is spent, once a period
    /// ([`BudgetEvent::LineReached`](super::BudgetEvent::LineReached)); rejects nothing. Default: none.
    pub fn notify_at(mut self, amount: impl Into<Amount>) -> Self {
        match self.limits.last_mut() {
            Some(limit) => limit.lines.push(amount.into()),
            None => self.has_lone_line = true,
        }
        self
    }

    /// Each limit, with its period.
    #[cfg(all(test, feature = "redis"))]
    pub(crate) fn limits(&self) -> impl Iterator<Item = (Amount, Period)> {
        self.limits.iter().map(|limit| (limit.amount, limit.period))
    }

    /// Whether there is no limit.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        self.limits.is_empty()
    }

    /// Checks amounts, lines and periods. Building a [`Budgets`](super::Budgets) does it.
    ///
    /// # Errors
    ///
    /// [`InvalidBudget`].
    pub fn check(&self) -> Result<(), InvalidBudget> {
        if self.has_lone_line {
            return Err(InvalidBudget::LineWithoutLimit);
        }
        let mut known: Vec<(Unit, Period)> = Vec::new();
        for limit in &self.limits {
            limit.period.check()?;
            let unit = limit.amount.unit();
            for amount in limit.lines.iter().chain([&limit.amount]) {
                if amount.count().is_none() {
                    return Err(InvalidBudget::Negative(*amount));
                }
                if amount.unit() != unit {
                    return Err(InvalidBudget::LineUnit {
                        limit: limit.amount,
                        line: *amount,
                    });
                }
            }
            if known.contains(&(unit, limit.period)) {
                return Err(InvalidBudget::Twice(limit.period));
            }
            known.push((unit, limit.period));
        }
        Ok(())
    }
}
