use std::time::SystemTime;

use tower_qwen_tokens::{Money, PriceBook, Usage, price::Billing};

use super::Rates;

/// By what calls are priced and converted.
#[derive(Debug)]
pub(super) struct Prices {
    pub(super) book: PriceBook,
    pub(super) rates: Rates,
}

impl Prices {
    /// What a call of this usage costs that is sent at this instant.
    pub(super) fn cost(
        &self,
        model: &str,
        usage: &Usage,
        is_batch: bool,
        at: SystemTime,
    ) -> Option<Money> {
        let billing = Billing::new().batch(is_batch).at(at);
        self.book.cost_of(model, usage, &billing)
    }

    /// What a call is expected to cost. Where nobody knows whether its answer reasons, the dearer.
    pub(super) fn expected_cost(
        &self,
        model: &str,
        usage: &Usage,
        reasons: Option<bool>,
        (is_batch, at): (bool, SystemTime),
    ) -> Option<Money> {
        let price = self.book.price(model)?;
        let billing = Billing::new().batch(is_batch).at(at);
        let cost = |reasons: bool| {
            let mut usage = *usage;
            usage.reasoning_tokens = reasons.then_some(1);
            price.cost_of(&usage, &billing)
        };
        match reasons {
            Some(reasons) => cost(reasons),
            None => [cost(true), cost(false)]
                .into_iter()
                .flatten()
                .max_by_key(|cost| cost.pico()),
        }
    }
}
