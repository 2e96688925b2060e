use crate::price::{Currency, Money};

use super::{Amount, Day};

/// What a day has cost so far.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Spent {
    /// The day.
    pub day: Day,
    /// Tokens of prompts and answers.
    pub tokens: u64,
    /// Money, one amount per currency.
    pub money: Vec<Money>,
    /// Attempts that may have cost what no threshold of the budget could count: of an unknown
    /// price, in another currency, or of unknown usage.
    pub uncounted: u64,
}

/// The current day, and which thresholds were reported.
pub(super) struct Today {
    pub(super) spent: Spent,
    reported: Vec<usize>,
}

impl Spent {
    /// What was spent in the unit of an amount: in tokens, or in its currency.
    #[must_use]
    pub fn amount_like(&self, amount: Amount) -> Amount {
        match amount {
            Amount::Tokens(_) => Amount::Tokens(self.tokens),
            Amount::Money(money) => Amount::Money(self.in_currency(money.currency())),
        }
    }

    /// Whether a threshold is reached.
    pub(super) fn reaches(&self, threshold: Amount) -> bool {
        match threshold {
            Amount::Tokens(tokens) => self.tokens >= tokens,
            Amount::Money(money) => self.in_currency(money.currency()).pico() >= money.pico(),
        }
    }

    fn in_currency(&self, currency: Currency) -> Money {
        let mut money = self.money.iter().copied();
        money
            .find(|spent| spent.currency() == currency)
            .unwrap_or(Money::zero(currency))
    }

    pub(super) fn add(&mut self, amount: Amount) {
        match amount {
            Amount::Tokens(tokens) => self.tokens = self.tokens.saturating_add(tokens),
            Amount::Money(cost) => cost.add_to(&mut self.money),
        }
    }
}

impl Today {
    pub(super) fn new(day: Day) -> Self {
        Self {
            spent: Spent {
                day,
                tokens: 0,
                money: Vec::new(),
                uncounted: 0,
            },
            reported: Vec::new(),
        }
    }

    /// Notes that a threshold is reported; false where it was already.
    pub(super) fn report(&mut self, threshold: usize) -> bool {
        // A budget has a few thresholds: a list is enough.
        let is_new = !self.reported.contains(&threshold);
        if is_new {
            self.reported.push(threshold);
        }
        is_new
    }
}
