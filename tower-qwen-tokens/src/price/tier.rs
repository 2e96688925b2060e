use crate::Usage;

use super::{Currency, Money};

// The unit in which the provider's pages state prices.
const PER_MILLION: i128 = 1_000_000;
const PERCENT: i128 = 100;

/// The prices of one model, per million tokens.
///
/// Made of tiers: the first whose bound the request's whole input does not pass is applied to all its tokens. What is
/// longer than the last bound has no price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    currency: Currency,
    tiers: Vec<Tier>,
    pub(super) cached_percent: u32,
    pub(super) cache_write_percent: u32,
    pub(super) batch_percent: u32,
    pub(super) source: Option<String>,
    pub(super) date: Option<String>,
}

/// The prices of requests up to one length, per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tier {
    /// The longest input in tokens to which this tier applies; `None` for no bound.
    pub up_to_input: Option<u64>,
    /// A million tokens of input.
    pub input: Money,
    /// A million tokens of output.
    pub output: Money,
    /// A million tokens of output where the model reasoned first, reasoning and answer alike; `None`: as `output`.
    pub thinking_output: Option<Money>,
}

/// Why tiers make no price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPrice {
    /// There is no tier at all.
    #[error("a price needs at least one tier")]
    Empty,
    /// The tiers' currencies differ.
    #[error("the tiers of a price must be in one currency")]
    MixedCurrencies,
    /// A price is below zero.
    #[error("a price must not be negative")]
    Negative,
    /// The bounds do not rise, or a tier without a bound is not the last.
    #[error("the bounds of tiers must rise, and only the last may be without")]
    Bounds,
}

impl Tier {
    /// A tier without a bound.
    #[must_use]
    pub const fn new(input: Money, output: Money) -> Self {
        Self {
            up_to_input: None,
            input,
            output,
            thinking_output: None,
        }
    }

    /// Bounds the tier: requests of at most this many input tokens. Default: no bound.
    #[must_use]
    pub const fn up_to_input(mut self, tokens: u64) -> Self {
        self.up_to_input = Some(tokens);
        self
    }

    /// The price of a million output tokens where the model reasoned. Default: as without reasoning.
    #[must_use]
    pub const fn thinking_output(mut self, price: Money) -> Self {
        self.thinking_output = Some(price);
        self
    }

    fn prices(&self) -> impl Iterator<Item = Money> {
        [Some(self.input), Some(self.output), self.thinking_output]
            .into_iter()
            .flatten()
    }
}

impl Price {
    /// One price for every length.
    ///
    /// # Errors
    /// When the currencies differ or a price is negative.
    pub fn per_million(input: Money, output: Money) -> Result<Self, InvalidPrice> {
        Self::tiered([Tier::new(input, output)])
    }

    /// A price by the length of the input.
    ///
    /// # Errors
    /// When there is no tier, the currencies differ, a price is negative, or the bounds do not rise.
    pub fn tiered(tiers: impl IntoIterator<Item = Tier>) -> Result<Self, InvalidPrice> {
        let tiers: Vec<Tier> = tiers.into_iter().collect();
        let currency = tiers.first().ok_or(InvalidPrice::Empty)?.input.currency();
        let prices: Vec<Money> = tiers.iter().flat_map(Tier::prices).collect();
        if prices.iter().any(|price| price.currency() != currency) {
            return Err(InvalidPrice::MixedCurrencies);
        }
        if prices.iter().any(|price| price.pico() < 0) {
            return Err(InvalidPrice::Negative);
        }
        let rises = |pair: &[Tier]| match (pair[0].up_to_input, pair[1].up_to_input) {
            (Some(lower), Some(upper)) => lower < upper,
            (bound, None) => bound.is_some(),
            (None, Some(_)) => false,
        };
        if !tiers.windows(2).all(rises) {
            return Err(InvalidPrice::Bounds);
        }
        Ok(Self {
            currency,
            tiers,
            // The provider's own discounts, as of the rows in `data/prices.json`; a row can say
            // otherwise.
            cached_percent: 20,
            cache_write_percent: 125,
            batch_percent: 50,
            source: None,
            date: None,
        })
    }

    /// The share of the input price that tokens read from a cache cost. Default: 20 %, the implicit cache's; the
    /// explicit cache's 10 % cannot be recognised in every answer.
    #[must_use]
    pub fn cached_percent(mut self, percent: u32) -> Self {
        self.cached_percent = percent;
        self
    }

    /// The share of the input price that tokens written to a cache cost. Default: 125 %.
    #[must_use]
    pub fn cache_write_percent(mut self, percent: u32) -> Self {
        self.cache_write_percent = percent;
        self
    }

    /// The share of the whole price that a call through the batch interface costs. Default: 50 %.
    #[must_use]
    pub fn batch_percent(mut self, percent: u32) -> Self {
        self.batch_percent = percent;
        self
    }

    /// Where the price was read, as its row says.
    #[must_use]
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    /// The day of which the price is, as its row says: `2026-09-24`.
    #[must_use]
    pub fn date(&self) -> Option<&str> {
        self.date.as_deref()
    }

    /// The currency of all its tiers.
    #[must_use]
    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// The tier of a request with this much input; `None` beyond the last bound.
    #[must_use]
    pub fn tier(&self, input_tokens: u64) -> Option<&Tier> {
        self.tiers
            .iter()
            .find(|tier| tier.up_to_input.is_none_or(|bound| input_tokens <= bound))
    }

    /// What a call of this usage costs; `None` when nothing was stated, or when the input is longer than the last tier.
    /// Fractions of a pico-unit are rounded up.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Option<Money> {
        self.cost_at(usage, self.cached_percent, self.cache_write_percent, 100)
    }

    /// What it costs through the batch interface, which knows no cache discount.
    #[must_use]
    pub fn batch_cost(&self, usage: &Usage) -> Option<Money> {
        self.cost_at(usage, 100, 100, self.batch_percent)
    }

    /// The cost at these percents of the list price: of what was read from a cache, what was written
    /// to one, and of all together.
    fn cost_at(&self, usage: &Usage, cached: u32, written: u32, total: u32) -> Option<Money> {
        let (input, output) = usage.input_and_output()?;
        let tier = self.tier(input)?;
        let output_price = match (tier.thinking_output, usage.reasoning_tokens) {
            (Some(price), Some(1..)) => price,
            _ => tier.output,
        };
        // A host may state more cached tokens than input; the rest must not fall below zero.
        let read = usage.cached_tokens.unwrap_or(0).min(input);
        let write = usage.cache_write_tokens.unwrap_or(0).min(input - read);
        let fresh = input - read - write;
        let part = |tokens: u64, price: Money, percent: u32| {
            let hundredths = i128::from(tokens) * i128::from(percent);
            price.pico().saturating_mul(hundredths)
        };
        // All products before the one division: only the last digit is rounded.
        let scaled = part(fresh, tier.input, 100)
            .saturating_add(part(read, tier.input, cached))
            .saturating_add(part(write, tier.input, written))
            .saturating_add(part(output, output_price, 100))
            .saturating_mul(i128::from(total));
        let pico = div_up(scaled, PER_MILLION * PERCENT * PERCENT);
        Some(Money::from_pico(pico, self.currency))
    }
}

fn div_up(amount: i128, by: i128) -> i128 {
    // Up, so that a ledger never shows less than the bill.
    amount / by + i128::from(amount % by > 0)
}
