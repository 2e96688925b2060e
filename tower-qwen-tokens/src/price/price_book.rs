use crate::{Usage, data::Book};

use super::{Billing, Money, Price};

/// The prices of models. An unknown model has no price, never zero.
///
/// ```
/// use tower_qwen_tokens::{PriceBook, Usage, price::{Price, Region}};
///
/// // The built-in prices for Beijing, and the one that your contract says.
/// let mine = Price::per_million("0.6 CNY".parse()?, "1.5 CNY".parse()?)?;
/// let prices = PriceBook::builtin().region(Region::Beijing).with("qwen-plus", mine);
/// let cost = prices.cost("qwen-plus", &Usage::new(1_000, 200)).ok_or("no price")?;
/// assert_eq!(cost.to_string(), "0.0009 CNY");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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

    /// What a call costs as it was billed; `None` where the model, the usage or the service tier is unknown.
    #[must_use]
    pub fn cost_of(&self, model: &str, usage: &Usage, billing: &Billing<'_>) -> Option<Money> {
        self.price(model)?.cost_of(usage, billing)
    }

    /// What a call through the batch interface costs; `None` where the model or the usage is unknown.
    #[must_use]
    pub fn batch_cost(&self, model: &str, usage: &Usage) -> Option<Money> {
        self.price(model)?.batch_cost(usage)
    }
}
