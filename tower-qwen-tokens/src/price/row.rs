use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::data::{BoxError, Origin, Section, without_latest_or_date};

use super::{ClockWindow, Currency, Money, Price, Rate, Share, Tier};

/// A row of a price, as it is written. Amounts are texts: a number would not be exact.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceRow {
    // Texts are parsed in `read`, so that an error names the row.
    currency: String,
    tiers: Vec<TierRow>,
    cached_percent: Option<u32>,
    cache_write_percent: Option<u32>,
    batch_percent: Option<u32>,
    #[serde(default)]
    clock: Vec<ClockRow>,
    #[serde(default)]
    service_tiers: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TierRow {
    up_to_input: Option<u64>,
    input: String,
    output: String,
    thinking_output: Option<String>,
    implicit_read: Option<String>,
    explicit_read: Option<String>,
    cache_write: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockRow {
    from: String,
    to: String,
    utc_offset: String,
    share: String,
}

impl PriceRow {
    fn tier(&self, row: &TierRow, currency: Currency) -> Result<Tier, BoxError> {
        let amount = |text: &str| Money::parse_amount(text, currency);
        // An amount, or a share of the input.
        let rate = |text: &Option<String>, percent: Option<u32>, usual: Rate| match (text, percent)
        {
            (Some(text), _) if text.ends_with('%') => Ok(Rate::Share(text.parse()?)),
            (Some(text), _) => Ok(Rate::PerMillion(amount(text)?)),
            (None, Some(percent)) => Ok(Rate::Share(Share::percent(percent))),
            (None, None) => Ok::<_, BoxError>(usual),
        };
        let tier = Tier::new(amount(&row.input)?, amount(&row.output)?);
        Ok(Tier {
            up_to_input: row.up_to_input,
            thinking_output: row.thinking_output.as_deref().map(amount).transpose()?,
            implicit_read: rate(&row.implicit_read, self.cached_percent, tier.implicit_read)?,
            explicit_read: rate(&row.explicit_read, self.cached_percent, tier.explicit_read)?,
            cache_write: rate(&row.cache_write, self.cache_write_percent, tier.cache_write)?,
            ..tier
        })
    }
}

impl Section for Price {
    const NAME: &'static str = "price";
    const BUILTIN: &'static str = include_str!("../../data/prices.json");

    fn stable_id(model: &str) -> Option<&str> {
        without_latest_or_date(model)
    }

    fn read(row: Value, origin: &Origin) -> Result<Self, BoxError> {
        let row: PriceRow = serde_json::from_value(row)?;
        let currency = row.currency.parse()?;
        let tiers: Vec<Tier> = row
            .tiers
            .iter()
            .map(|tier| row.tier(tier, currency))
            .collect::<Result<_, _>>()?;
        let mut price = Self::tiered(tiers)?;
        if let Some(percent) = row.batch_percent {
            price = price.batch_percent(percent);
        }
        for window in &row.clock {
            let share = window.share.parse()?;
            price = price.clock_window(ClockWindow::new(
                &window.from,
                &window.to,
                &window.utc_offset,
                share,
            )?);
        }
        for (name, share) in &row.service_tiers {
            price = price.service_tier(name, share.parse()?);
        }
        Ok(price.seen(origin))
    }
}
