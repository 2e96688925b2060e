use crate::{Usage, data::Book};

use super::{Money, Price};

/// The prices of models. An unknown model has no price, never zero.
pub type PriceBook = Book<Price>;

impl Book<Price> {
    /// The price of a model; `None` where it is unknown.
    #[must_use]
    pub fn price(&self, model: &str) -> Option<&Price> {
        self.get(model)
    }

    /// What a call costs; `None` where the model or the usage is unknown.
    #[must_use]
    pub fn cost(&self, model: &str, usage: &Usage) -> Option<Money> {
        self.price(model)?.cost(usage)
    }

    /// What a call through the batch interface costs; `None` where the model or the usage is unknown.
    #[must_use]
    pub fn batch_cost(&self, model: &str, usage: &Usage) -> Option<Money> {
        self.price(model)?.batch_cost(usage)
    }
}
