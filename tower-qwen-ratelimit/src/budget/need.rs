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

    fn counted(&self, kind: LimitKind) -> u64 {
        match kind {
            LimitKind::Requests => self.requests,
            LimitKind::Tokens => self.tokens(),
            LimitKind::InputTokens => self.input_tokens,
            LimitKind::OutputTokens => self.output_tokens,
        }
    }
}
