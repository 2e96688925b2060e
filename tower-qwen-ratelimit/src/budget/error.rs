use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tower_qwen_tokens::price::Currency;

#[cfg(feature = "redis")]
use crate::limit::Limit;
use crate::period::Period;

use super::{Amount, BudgetOwner};

/// When a call may come again whose store is away: the driver connects again within seconds.
#[cfg(feature = "redis")]
const STORE_AWAY_FOR: Duration = Duration::from_secs(1);

/// Why a call was rejected before anything was sent, or would have been in shadow mode: the error of
/// [`BudgetLayer`](super::BudgetLayer), and in the extensions of
/// [`EnforceLayer`](crate::EnforceLayer)'s response. Nothing is reserved for the call.
///
/// It is final: a Retry above does not try again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BudgetError {
    /// The call does not fit into a budget.
    #[error(transparent)]
    // In a box, since it is large and a result of every call has room for it.
    Exceeded(#[from] Box<BudgetExceeded>),
    /// The call is priced in a currency that the operator gives no rate for.
    #[error(
        "the budget of {owner} is in {budget}, the price of {model} in {priced}, and there is no rate"
    )]
    NoRate {
        /// Whose budget it is.
        owner: BudgetOwner,
        /// The model of the call.
        model: Arc<str>,
        /// The currency of the price.
        priced: Currency,
        /// The currency of the budget.
        budget: Currency,
    },
    /// The store of the fleet is away, and calls are to be rejected then
    /// ([`OutagePolicy::Reject`](crate::OutagePolicy::Reject)).
    #[cfg(feature = "redis")]
    #[error("the budget of {owner} is shared, and its store is away")]
    StoreAway {
        /// Whose budget it is.
        owner: BudgetOwner,
    },
    /// The model has no price, and the budget is in money.
    #[error("the budget of {owner} is in {budget}, and {model:?} has no price")]
    NoPrice {
        /// Whose budget it is.
        owner: BudgetOwner,
        /// The model of the call; empty where the request was not read.
        model: Arc<str>,
        /// The currency of the budget.
        budget: Currency,
    },
}

/// A call does not fit into a budget.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error(
    "the budget of {owner} is exceeded: {limit} ({period}), of which {spent} are spent and {reserved} reserved; the call needs {needed}"
)]
pub struct BudgetExceeded {
    /// Whose budget it is: the one that resets last, where several do not fit.
    pub owner: BudgetOwner,
    /// The limit.
    pub limit: Amount,
    /// Its period.
    pub period: Period,
    /// What was spent in it.
    pub spent: Amount,
    /// What calls under way hold.
    pub reserved: Amount,
    /// What this call would have held.
    pub needed: Amount,
    /// When the call fits if no other comes before it; `None` if it never does: it needs more than
    /// the limit, or the period never ends.
    pub resets_at: Option<SystemTime>,
    /// How long that is from the rejection.
    pub wait: Option<Duration>,
}

impl BudgetExceeded {
    /// Whether the call needs more than the whole limit, so that it fits at no time.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        self.needed.count() > self.limit.count()
    }

    /// Whether nothing of the limit is left, so that no other call fits either.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        let [spent, reserved, limit] =
            [self.spent, self.reserved, self.limit].map(|amount| amount.count().unwrap_or(0));
        spent.saturating_add(reserved) >= limit
    }

    /// The limit, if it counts no money.
    #[cfg(feature = "redis")]
    pub(crate) fn counted(&self) -> Option<Limit> {
        let period = self.period;
        match self.limit {
            Amount::Money(_) => None,
            Amount::Requests(count) => Some(Limit::requests(count, period)),
            Amount::Tokens(count) => Some(Limit::tokens(count, period)),
            Amount::InputTokens(count) => Some(Limit::input_tokens(count, period)),
            Amount::OutputTokens(count) => Some(Limit::output_tokens(count, period)),
        }
    }
}

impl BudgetError {
    /// A stable name, for metrics: `exceeded`, `no_rate`, `no_price` or `store_away`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Exceeded(_) => "exceeded",
            Self::NoRate { .. } => "no_rate",
            Self::NoPrice { .. } => "no_price",
            #[cfg(feature = "redis")]
            Self::StoreAway { .. } => "store_away",
        }
    }

    /// Whose budget rejects.
    #[must_use]
    pub fn owner(&self) -> &BudgetOwner {
        match self {
            Self::Exceeded(exceeded) => &exceeded.owner,
            Self::NoRate { owner, .. } | Self::NoPrice { owner, .. } => owner,
            #[cfg(feature = "redis")]
            Self::StoreAway { owner } => owner,
        }
    }

    /// The wait after which the call fits if no other comes before it, or where a store is away may be sent again; `None`
    /// if waiting does not help.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        match self {
            Self::Exceeded(exceeded) => exceeded.wait,
            Self::NoRate { .. } | Self::NoPrice { .. } => None,
            #[cfg(feature = "redis")]
            Self::StoreAway { .. } => Some(STORE_AWAY_FOR),
        }
    }
}
