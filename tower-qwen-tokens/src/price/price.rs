use crate::{CacheType, Usage, data::Origin};

use super::{Billing, ClockWindow, Currency, Money, Rate, Share, Tier};

// The unit in which the provider's pages state prices.
const PER_MILLION: i128 = 1_000_000;
/// The names under which answers state that no special service tier served them.
// OpenAI's two for its own, and what other hosts call the same.
const USUAL_TIERS: [&str; 3] = ["default", "auto", "standard"];

/// The prices of one model, per million tokens.
///
/// Made of tiers: the first whose bound the request's whole input does not pass is applied to all its tokens. What is
/// longer than the last bound has no price.
///
/// A cost is the sum of tokens times their prices, times the shares of [`Billing`]. It is computed in whole numbers and
/// rounded once, up to the next pico-unit; what 128 bits do not hold is [`Money`]'s largest amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    currency: Currency,
    tiers: Vec<Tier>,
    batch: Share,
    clock: Vec<ClockWindow>,
    service_tiers: Vec<(String, Share)>,
    source: Option<String>,
    date: Option<String>,
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
        for amount in tiers.iter().flat_map(Tier::amounts) {
            if amount.currency() != currency {
                return Err(InvalidPrice::MixedCurrencies);
            }
            if amount.pico() < 0 {
                return Err(InvalidPrice::Negative);
            }
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
            // The provider's own discount; a row can say otherwise.
            batch: Share::percent(50),
            clock: Vec::new(),
            service_tiers: Vec::new(),
            source: None,
            date: None,
        })
    }

    /// The share of the input price that tokens read from a cache cost, whichever cache, in every tier. Default: 20 % for
    /// the implicit cache, 10 % for the explicit one.
    #[must_use]
    pub fn cached_percent(self, percent: u32) -> Self {
        let rate = Rate::Share(Share::percent(percent));
        self.map_tiers(|tier| tier.implicit_read(rate).explicit_read(rate))
    }

    /// The share of the input price that tokens written to a cache cost, in every tier. Default: 125 %.
    #[must_use]
    pub fn cache_write_percent(self, percent: u32) -> Self {
        self.map_tiers(|tier| tier.cache_write(Rate::Share(Share::percent(percent))))
    }

    fn map_tiers(mut self, change: impl Fn(Tier) -> Tier) -> Self {
        for tier in &mut self.tiers {
            *tier = change(*tier);
        }
        self
    }

    /// The share of the whole price that a call through the batch interface costs. Default: 50 %.
    #[must_use]
    pub fn batch_percent(mut self, percent: u32) -> Self {
        self.batch = Share::percent(percent);
        self
    }

    /// A time of the day with a price of its own; the first that fits counts. Default: none.
    #[must_use]
    pub fn clock_window(mut self, window: ClockWindow) -> Self {
        self.clock.push(window);
        self
    }

    /// The share of the whole price that calls of a service tier cost. Default: a tier that is not stated has no price, but
    /// for `default`, `auto` and `standard`, which are the usual one.
    #[must_use]
    pub fn service_tier(mut self, name: impl Into<String>, share: Share) -> Self {
        self.service_tiers.push((name.into(), share));
        self
    }

    pub(super) fn seen(mut self, origin: &Origin) -> Self {
        self.source.clone_from(&origin.source);
        self.date.clone_from(&origin.date);
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

    /// What a call of this usage costs at the usual price; `None` when nothing was stated, or when the input is longer than
    /// the last tier.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Option<Money> {
        self.cost_of(usage, &Billing::new())
    }

    /// What it costs through the batch interface, which knows no cache discount.
    #[must_use]
    pub fn batch_cost(&self, usage: &Usage) -> Option<Money> {
        self.cost_of(usage, &Billing::new().batch(true))
    }

    /// What a call of this usage costs as it was billed; `None` as for [`Price::cost`], and when the service tier has no
    /// price.
    #[must_use]
    pub fn cost_of(&self, usage: &Usage, billing: &Billing<'_>) -> Option<Money> {
        let (input, output) = usage.input_and_output()?;
        let tier = self.tier(input)?;
        // A host may state more cached tokens than input; the rest must not fall below zero.
        let read = usage.cached_tokens.unwrap_or(0).min(input);
        let write = usage.cache_write_tokens.unwrap_or(0).min(input - read);
        let (read_rate, write_rate) = match (billing.batch, usage.cache_type) {
            (true, _) => (Rate::Share(Share::FULL), Rate::Share(Share::FULL)),
            (false, Some(CacheType::Explicit)) => (tier.explicit_read, tier.cache_write),
            (false, _) => (tier.implicit_read, tier.cache_write),
        };
        let output_price = match (tier.thinking_output, usage.reasoning_tokens) {
            (Some(price), Some(1..)) => price,
            _ => tier.output,
        };
        let shares = [
            if billing.batch {
                self.batch
            } else {
                Share::FULL
            },
            self.clock_share(billing),
            self.service_tier_share(billing)?,
        ];
        let pico = tier
            .scaled_sum([
                (input - read - write, Rate::Share(Share::FULL)),
                (read, read_rate),
                (write, write_rate),
                (output, Rate::PerMillion(output_price)),
            ])
            .map_or(i128::MAX, |sum| shared(sum, shares));
        Some(Money::from_pico(pico, self.currency))
    }

    fn clock_share(&self, billing: &Billing<'_>) -> Share {
        billing
            .at
            .and_then(|at| self.clock.iter().find(|window| window.contains(at)))
            .map_or(Share::FULL, ClockWindow::share)
    }

    fn service_tier_share(&self, billing: &Billing<'_>) -> Option<Share> {
        let Some(name) = billing.service_tier else {
            return Some(Share::FULL);
        };
        self.service_tiers
            .iter()
            .find_map(|(known, share)| (known == name).then_some(*share))
            .or_else(|| USUAL_TIERS.contains(&name).then_some(Share::FULL))
    }
}

impl Tier {
    /// The sum of tokens at their rates, as of [`Tier::scaled`]; `None` beyond what 128 bits hold.
    fn scaled_sum(&self, parts: [(u64, Rate); 4]) -> Option<i128> {
        parts.into_iter().try_fold(0_i128, |sum, (tokens, rate)| {
            let part = self.scaled(rate)?.checked_mul(i128::from(tokens))?;
            sum.checked_add(part)
        })
    }
}

/// A scaled sum at these shares of it, in pico-units.
fn shared(sum: i128, shares: [Share; 3]) -> i128 {
    let full = Share::FULL.parts();
    if shares == [Share::FULL; 3] {
        // Nearly always, and by a divisor of 64 bits, which is three times as quick.
        let whole = sum / (PER_MILLION * full);
        return whole + i128::from(whole * PER_MILLION * full < sum);
    }
    // At most 10^15, and `by` is 10^22: the product of a rest and the shares fits into 128 bits.
    let parts: i128 = shares.into_iter().map(Share::parts).product();
    let by = PER_MILLION * full * full.pow(3);
    // Divided before it is multiplied, for the same reason. Up, so that a ledger never shows less than the bill.
    let rest = (sum % by) * parts;
    (sum / by)
        .saturating_mul(parts)
        .saturating_add((rest + by - 1) / by)
}
