//! Whether budgets of money can be counted.

use std::collections::BTreeSet;

use tower_qwen_ratelimit::budget::Rates;
use tower_qwen_tokens::{Money, PriceBook, price::Currency};

/// Says why the calls of some models could never be counted in a budget of this currency; `None` where all can.
///
/// `models` are those that may be called. Where they are not known, the built-in prices stand for all.
pub(super) fn uncounted<'a>(
    models: impl IntoIterator<Item = &'a str>,
    budget: Currency,
    prices: &PriceBook,
    rates: &Rates,
) -> Option<String> {
    // One that every region's prices have.
    const USUAL: &str = "qwen-plus";
    let mut models: BTreeSet<&str> = models.into_iter().collect();
    if models.is_empty() {
        models.insert(USUAL);
    }
    models.into_iter().find_map(|model| {
        let Some(price) = prices.price(model) else {
            return Some(format!(
                "the model {model} has no price, so its calls cannot be counted in {budget}: add a row [[price]]"
            ));
        };
        let priced = price.currency();
        let one = Money::from_pico(1, priced);
        rates.convert(one, budget).is_none().then(|| {
            format!("the price of {model} is in {priced}, and [rates] has no {priced}_{budget}")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_and_a_rate_are_needed() -> Result<(), Box<dyn std::error::Error>> {
        let prices = PriceBook::builtin();
        let none = Rates::new();
        let of = |models: &[&str], budget: Currency, rates: &Rates| {
            uncounted(models.iter().copied(), budget, &prices, rates)
        };
        assert_eq!(of(&["qwen-plus"], Currency::USD, &none), None);
        assert_eq!(of(&[], Currency::USD, &none), None);
        let unknown = of(&["qwen-plus", "my-own"], Currency::USD, &none);
        assert!(unknown.is_some_and(|it| it.contains("my-own has no price")));
        let no_rate = of(&[], Currency::CNY, &none);
        assert!(no_rate.is_some_and(|it| it.contains("no USD_CNY")));
        let rates = none.with(Currency::USD, Currency::CNY, "7.1", "2026-11-30")?;
        assert_eq!(of(&[], Currency::CNY, &rates), None);
        Ok(())
    }
}
