use serde::Deserialize;
use serde_json::Value;

use crate::data::{BoxError, Origin, Section, without_latest_or_date};

use super::{Currency, Money, Price, Tier};

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
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TierRow {
    up_to_input: Option<u64>,
    input: String,
    output: String,
    thinking_output: Option<String>,
}

impl TierRow {
    fn tier(&self, currency: Currency) -> Result<Tier, BoxError> {
        let amount = |text: &str| Money::parse_amount(text, currency);
        Ok(Tier {
            up_to_input: self.up_to_input,
            input: amount(&self.input)?,
            output: amount(&self.output)?,
            thinking_output: self.thinking_output.as_deref().map(amount).transpose()?,
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
        let tiers = row.tiers.iter().map(|tier| tier.tier(currency));
        let mut price = Self::tiered(tiers.collect::<Result<Vec<_>, _>>()?)?;
        price.cached_percent = row.cached_percent.unwrap_or(price.cached_percent);
        let written = row.cache_write_percent;
        price.cache_write_percent = written.unwrap_or(price.cache_write_percent);
        price.batch_percent = row.batch_percent.unwrap_or(price.batch_percent);
        price.source.clone_from(&origin.source);
        price.date.clone_from(&origin.date);
        Ok(price)
    }
}
