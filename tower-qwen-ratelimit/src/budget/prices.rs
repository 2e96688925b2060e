use std::{collections::HashMap, sync::Arc, time::SystemTime};

use tower_qwen_tokens::{AccountId, Money, PriceBook, Usage, price::Billing};

use super::Rates;

/// By what calls are priced and converted.
#[derive(Debug)]
pub(super) struct Prices {
    pub(super) book: PriceBook,
    /// Of the provider's accounts that have prices of their own.
    pub(super) by_account: Arc<HashMap<AccountId, PriceBook>>,
    pub(super) rates: Rates,
}

impl Prices {
    /// What a call of this usage costs that is sent at this instant.
    pub(super) fn cost(
        &self,
        (account, model): (Option<&AccountId>, &str),
        usage: &Usage,
        is_batch: bool,
        at: SystemTime,
    ) -> Option<Money> {
        let billing = Billing::new().batch(is_batch).at(at);
        self.book_of(account).cost_of(model, usage, &billing)
    }

    /// What a call is expected to cost. Where nobody knows whether its answer reasons, the dearer.
    pub(super) fn expected_cost(
        &self,
        (account, model): (Option<&AccountId>, &str),
        usage: &Usage,
        reasons: Option<bool>,
        (is_batch, at): (bool, SystemTime),
    ) -> Option<Money> {
        let price = self.book_of(account).price(model)?;
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
    fn book_of(&self, account: Option<&AccountId>) -> &PriceBook {
        account
            .and_then(|account| self.by_account.get(account))
            .unwrap_or(&self.book)
    }
}
