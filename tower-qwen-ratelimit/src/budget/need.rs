use tower_qwen_tokens::{Money, price::Currency};

use super::{Rates, amount::Unit};
use crate::limit::LimitKind;

/// What a call needs of every limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) requests: u64,
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
    /// `None`: nobody knows a price.
    pub(super) cost: Option<Money>,
}

/// Why a need cannot be counted in the currency of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Uncounted {
    NoPrice { budget: Currency },
    NoRate { priced: Currency, budget: Currency },
}

/// Rounded down.
fn share(amount: u128, part: u128, whole: u128) -> u128 {
    match amount.checked_mul(part) {
        Some(product) => product / whole.max(1),
        None => (amount / whole.max(1)).saturating_mul(part),
    }
}

impl Need {
    /// One request with these tokens.
    pub(super) fn of_request(input_tokens: u64, output_tokens: u64, cost: Option<Money>) -> Self {
        Self {
            requests: 1,
            input_tokens,
            output_tokens,
            cost,
        }
    }

    /// The request alone, without tokens and money.
    pub(super) fn request_alone(&self) -> Self {
        let cost = self.cost.map(|cost| Money::zero(cost.currency()));
        Self::of_request(0, 0, cost)
    }

    /// Nothing, in the same units.
    pub(super) fn nothing(&self) -> Self {
        Self {
            requests: 0,
            ..self.request_alone()
        }
    }

    /// Of prompt and answer together.
    pub(super) fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }

    /// In the smallest part of a unit.
    pub(super) fn in_unit(&self, unit: Unit, rates: &Rates) -> Result<u128, Uncounted> {
        let budget = match unit {
            Unit::Counted(kind) => return Ok(self.counted(kind).into()),
            Unit::Money(currency) => currency,
        };
        let cost = self.cost.ok_or(Uncounted::NoPrice { budget })?;
        let priced = cost.currency();
        let cost = rates
            .convert(cost, budget)
            .ok_or(Uncounted::NoRate { priced, budget })?;
        // A price is never negative.
        Ok(u128::try_from(cost.pico()).unwrap_or(0))
    }

    /// What lies between this need and a larger one, at this part of the whole way.
    pub(super) fn towards(&self, larger: &Self, (part, whole): (u128, u128)) -> Self {
        let way = |from: u64, to: u64| {
            let way = share(to.saturating_sub(from).into(), part, whole);
            from.saturating_add(u64::try_from(way).unwrap_or(u64::MAX))
        };
        let cost = self.cost.zip(larger.cost).map(|(from, to)| {
            let more = to.pico().saturating_sub(from.pico());
            let way = share(u128::try_from(more).unwrap_or(0), part, whole);
            let way = i128::try_from(way).unwrap_or(i128::MAX);
            Money::from_pico(from.pico().saturating_add(way), from.currency())
        });
        Self {
            requests: way(self.requests, larger.requests),
            input_tokens: way(self.input_tokens, larger.input_tokens),
            output_tokens: way(self.output_tokens, larger.output_tokens),
            cost,
        }
    }

    fn counted(&self, kind: LimitKind) -> u64 {
        match kind {
            LimitKind::Requests => self.requests,
            LimitKind::Tokens => self.tokens(),
            LimitKind::InputTokens => self.input_tokens,
            LimitKind::OutputTokens => self.output_tokens,
        }
    }
}
