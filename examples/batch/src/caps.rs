//! What a run may cost, and how often it may fail.

use std::fmt;

use clap::Args;
use tower_qwen_ratelimit::{
    Budget, Budgets,
    budget::{Amount, BudgetTable, Rates},
    period::Period,
};
use tower_qwen_tokens::{Money, PriceBook, price::Currency};

use crate::accounts::Account;

/// What a run may cost, and how often it may fail.
#[derive(Debug, Clone, Default, Args)]
pub struct Caps {
    /// Stop when so many calls have failed. Default: no limit.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_failures: Option<u64>,

    /// What this run may cost at most (`20USD`, `150CNY`), by the built-in prices. What a call is expected to cost is
    /// reserved before it is sent, so the cap is passed by no more than what the calls on their way cost beyond that.
    #[arg(long, value_name = "AMOUNT", value_parser = money)]
    pub max_cost: Option<Money>,

    /// A rate of exchange, where prices are in another currency than `--max-cost`: `CNY=0.14USD` says that 1 CNY is 0.14
    /// USD.
    #[arg(long, value_name = "RATE", requires = "max_cost", value_parser = rate)]
    pub rate: Vec<ExchangeRate>,

    /// Tokens that this run may use at most, prompts and answers together. Reserved before each call, as the cost is.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_tokens_total: Option<u64>,
}

/// What one unit of a currency is in another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeRate {
    from: Currency,
    to: Currency,
    rate: String,
}

/// Why the cost cannot be held to the cap.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadCap {
    /// Prices are in another currency, and there is no rate.
    Currency {
        /// The cap.
        cap: Money,
        /// The currency of the prices.
        priced: Currency,
    },
    /// The model has no price.
    NoPrice(String),
}

impl Caps {
    /// Whether the cap can be held with these prices, as far as that is known before a line is read.
    ///
    /// # Errors
    ///
    /// [`BadCap`].
    pub fn check(&self, prices: &PriceBook, model: Option<&str>) -> Result<(), BadCap> {
        let Some(cap) = self.max_cost else {
            return Ok(());
        };
        // All prices of a region are in one currency, so any model shows which one.
        let price = prices.price(model.unwrap_or("qwen-plus"));
        let priced = match (price, model) {
            (Some(price), _) => price.currency(),
            (None, Some(model)) => return Err(BadCap::NoPrice(model.to_owned())),
            (None, None) => return Ok(()),
        };
        let one = Money::from_pico(1, priced);
        match self.rates().convert(one, cap.currency()) {
            Some(_) => Ok(()),
            None => Err(BadCap::Currency { cap, priced }),
        }
    }

    /// The caps as budgets; `None` without any. Accounts have the prices of their regions.
    #[must_use]
    pub fn budgets(&self, prices: PriceBook, accounts: &[Account]) -> Option<Budgets> {
        let mut budget = Budget::unlimited();
        if let Some(cost) = self.max_cost {
            budget = budget.and(cost, Period::total());
        }
        if let Some(tokens) = self.max_tokens_total {
            budget = budget.and(Amount::Tokens(tokens), Period::total());
        }
        if budget.is_unlimited() {
            return None;
        }
        let builder = accounts
            .iter()
            .fold(Budgets::builder(prices), |builder, account| {
                builder.account_prices(account.id().clone(), account.prices())
            });
        let builder = builder
            .rates(self.rates())
            .table(BudgetTable::new().default_budget(budget));
        // Amounts above zero in periods without an end are sound.
        builder.build().ok()
    }

    pub(crate) fn rates(&self) -> Rates {
        let add = |rates: Rates, rate: &ExchangeRate| {
            let with = rates
                .clone()
                .with(rate.from, rate.to, &rate.rate, "by --rate");
            with.unwrap_or(rates)
        };
        self.rate.iter().fold(Rates::new(), add)
    }
}

/// Reads `20USD` or `20 USD`.
///
/// # Errors
///
/// What is no such text, or not above zero, in words.
pub fn money(text: &str) -> Result<Money, String> {
    let wrong = "write an amount and its currency, such as 20USD or 150CNY";
    let at = text
        .find(|c: char| c.is_ascii_alphabetic())
        .ok_or_else(|| wrong.to_owned())?;
    let (amount, currency) = text.split_at(at);
    let money: Money = format!("{} {}", amount.trim(), currency.trim().to_ascii_uppercase())
        .parse()
        .map_err(|_| wrong.to_owned())?;
    match money.pico() > 0 {
        true => Ok(money),
        false => Err("the amount must be above zero".to_owned()),
    }
}

/// Reads `CNY=0.14USD`.
///
/// # Errors
///
/// What is no such text, in words.
pub fn rate(text: &str) -> Result<ExchangeRate, String> {
    let wrong = || "write a rate as CNY=0.14USD: 1 CNY is 0.14 USD".to_owned();
    let (from, to) = text.split_once('=').ok_or_else(wrong)?;
    let from: Currency = from
        .trim()
        .to_ascii_uppercase()
        .parse()
        .map_err(|_| wrong())?;
    let money = money(to).map_err(|_| wrong())?;
    let rate = ExchangeRate {
        from,
        to: money.currency(),
        rate: money.amount(),
    };
    let known = Rates::new().with(rate.from, rate.to, &rate.rate, "");
    known.map_err(|error| error.to_string())?;
    Ok(rate)
}

impl fmt::Display for BadCap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Currency { cap, priced } => {
                let currency = cap.currency();
                write!(
                    f,
                    "--max-cost is in {currency}, and this provider's prices are in {priced}: give the cap in {priced}, or a \
                     rate of exchange (--rate {priced}=..{currency})"
                )
            }
            Self::NoPrice(model) => write!(
                f,
                "--max-cost: no price of {model} is known, so its cost cannot be held: use --max-tokens-total"
            ),
        }
    }
}

impl std::error::Error for BadCap {}

#[cfg(test)]
mod tests {
    use tower_qwen_tokens::price::Region;

    use super::*;

    #[test]
    fn amounts_are_read_with_and_without_a_space() {
        for (text, expected) in [
            ("20USD", "20 USD"),
            ("150 CNY", "150 CNY"),
            ("0.5usd", "0.5 USD"),
        ] {
            let read = money(text).map(|money| money.to_string());
            assert_eq!(read.as_deref(), Ok(expected));
        }
        for text in ["", "20", "USD", "0USD", "-1USD", "20 DOLLARS", "1e3USD"] {
            assert!(money(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_rate_has_a_direction() -> Result<(), String> {
        let caps = |rate: &str, cap: &str| {
            Ok::<_, String>(Caps {
                max_cost: Some(money(cap)?),
                rate: vec![self::rate(rate)?],
                ..Caps::default()
            })
        };
        let beijing = PriceBook::builtin().region(Region::Beijing);
        assert_eq!(caps("CNY=0.14USD", "20USD")?.check(&beijing, None), Ok(()));
        assert_eq!(caps("USD=7.1CNY", "20CNY")?.check(&beijing, None), Ok(()));
        assert!(caps("USD=7.1CNY", "20USD")?.check(&beijing, None).is_err());
        for wrong in ["", "CNY", "CNY=USD", "CNY=0USD", "USD=1USD", "CNY:0.14USD"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
        Ok(())
    }

    #[test]
    fn a_cap_that_cannot_be_held_says_what_to_do() -> Result<(), String> {
        let caps = Caps {
            max_cost: Some(money("20USD")?),
            ..Caps::default()
        };
        let beijing = PriceBook::builtin().region(Region::Beijing);
        let bad = caps.check(&beijing, None).expect_err("another currency");
        assert!(
            bad.to_string()
                .contains("give the cap in CNY, or a rate of exchange (--rate CNY=..USD)"),
            "{bad}"
        );
        let prices = PriceBook::builtin();
        assert_eq!(caps.check(&prices, None), Ok(()));
        assert_eq!(
            caps.check(&prices, Some("mine")),
            Err(BadCap::NoPrice("mine".to_owned()))
        );
        assert_eq!(Caps::default().check(&beijing, None), Ok(()));
        Ok(())
    }
}
