use serde::Deserialize;

use super::{InvalidCurrency, InvalidMoney, InvalidPrice, Money, Price, Region, Tier};

const BUILTIN: &str = include_str!("../../data/prices.json");

/// One row of `data/prices.json`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    pub(super) model: String,
    pub(super) region: Region,
    currency: String,
    tiers: Vec<TierRow>,
    cached_percent: Option<u32>,
    cache_write_percent: Option<u32>,
    batch_percent: Option<u32>,
    source: String,
    date: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TierRow {
    up_to_input: Option<u64>,
    input: String,
    output: String,
    thinking_output: Option<String>,
}

/// Why the data makes no prices.
#[derive(Debug)]
#[expect(dead_code, reason = "what is inside is there to be shown")]
pub(super) enum InvalidRow {
    Json(serde_json::Error),
    Currency(InvalidCurrency),
    Money(InvalidMoney),
    Price(InvalidPrice),
}

/// The rows that come with the crate.
pub(super) fn builtin() -> Result<Vec<Row>, InvalidRow> {
    serde_json::from_str(BUILTIN).map_err(InvalidRow::Json)
}

impl Row {
    pub(super) fn price(&self) -> Result<Price, InvalidRow> {
        let currency = self.currency.parse().map_err(InvalidRow::Currency)?;
        let amount = |text: &str| Money::parse_amount(text, currency).map_err(InvalidRow::Money);
        let tiers = self
            .tiers
            .iter()
            .map(|row| {
                let thinking_output = row.thinking_output.as_deref().map(amount).transpose()?;
                Ok(Tier {
                    up_to_input: row.up_to_input,
                    thinking_output,
                    ..Tier::new(amount(&row.input)?, amount(&row.output)?)
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut price = Price::tiered(tiers).map_err(InvalidRow::Price)?;
        if let Some(percent) = self.cached_percent {
            price = price.cached_percent(percent);
        }
        if let Some(percent) = self.cache_write_percent {
            price = price.cache_write_percent(percent);
        }
        if let Some(percent) = self.batch_percent {
            price = price.batch_percent(percent);
        }
        Ok(price.seen(self.source.clone(), self.date.clone()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_row_is_sound_and_says_where_it_is_from() {
        let rows = builtin().expect("well-formed");
        assert!(rows.len() > 20);
        let mut seen = HashSet::new();
        for row in &rows {
            assert!(row.price().is_ok(), "{row:?}");
            assert!(!row.source.is_empty(), "{row:?}");
            assert_eq!(row.date.len(), 10, "{row:?}");
            assert!(seen.insert((row.region, &row.model)), "twice: {row:?}");
            let expected = match row.region {
                Region::International => "USD",
                Region::Beijing => "CNY",
            };
            assert_eq!(row.currency, expected, "{row:?}");
        }
    }

    #[test]
    fn a_misspelt_field_is_refused() {
        let text = r#"[{"model":"m","region":"beijing","currency":"CNY","tiers":[],"source":"s","date":"d","inptu":1}]"#;
        assert!(serde_json::from_str::<Vec<Row>>(text).is_err());
    }
}
