use std::collections::HashMap;

use serde::Deserialize;

use crate::Usage;

use super::{Money, Price, data};

/// The prices of models.
///
/// A model is looked up by its exact id, then without the date of a snapshot (`qwen-plus-2025-07-28`, `qwen-max-0428`)
/// or `-latest`. The user's own rows come before the built-in ones. An unknown model has no price, never zero.
#[derive(Debug, Clone)]
pub struct PriceBook {
    region: Region,
    own: HashMap<String, Price>,
    builtin: HashMap<Region, HashMap<String, Price>>,
}

/// Where the calls are billed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Region {
    /// The international site, in US dollars.
    #[default]
    International,
    /// Mainland China, in yuan.
    Beijing,
}

impl PriceBook {
    /// The prices that come with this crate, for [`Region::International`].
    ///
    /// They are copies of public price lists, each with its source and date in `data/prices.json`; what is billed may
    /// have changed since.
    ///
    /// # Panics
    /// Never: the rows are part of the crate and its tests read every one.
    #[must_use]
    pub fn builtin() -> Self {
        let rows = data::builtin().expect("the crate's own price rows are well-formed");
        let mut book = Self::empty();
        for row in rows {
            let price = row.price().expect("the crate's own price rows are sound");
            book.builtin
                .entry(row.region)
                .or_default()
                .insert(row.model, price);
        }
        book
    }

    /// A book without any price.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            region: Region::default(),
            own: HashMap::new(),
            builtin: HashMap::new(),
        }
    }

    /// Which of the built-in prices apply. Default: [`Region::International`].
    #[must_use]
    pub fn region(mut self, region: Region) -> Self {
        self.region = region;
        self
    }

    /// Adds or replaces a price, in every region.
    #[must_use]
    pub fn with(mut self, model: impl Into<String>, price: Price) -> Self {
        self.insert(model, price);
        self
    }

    /// Adds or replaces a price, in every region.
    pub fn insert(&mut self, model: impl Into<String>, price: Price) {
        self.own.insert(model.into(), price);
    }

    /// The price of a model; `None` where it is unknown.
    #[must_use]
    pub fn price(&self, model: &str) -> Option<&Price> {
        self.exact(model)
            .or_else(|| self.exact(without_snapshot(model)?))
    }

    /// What a call costs; `None` where the model or the usage is unknown.
    #[must_use]
    pub fn cost(&self, model: &str, usage: &Usage) -> Option<Money> {
        self.price(model)?.cost(usage)
    }

    /// What a call through the batch interface costs; `None` where the model or the usage is unknown.
    #[must_use]
    pub fn batch_cost(&self, model: &str, usage: &Usage) -> Option<Money> {
        self.price(model)?.batch_cost(usage)
    }

    fn exact(&self, model: &str) -> Option<&Price> {
        self.own
            .get(model)
            .or_else(|| self.builtin.get(&self.region)?.get(model))
    }
}

impl Default for PriceBook {
    fn default() -> Self {
        Self::builtin()
    }
}

/// The stable id behind `-latest`, `-2025-07-28` or `-0728`.
fn without_snapshot(model: &str) -> Option<&str> {
    if let Some(stable) = model.strip_suffix("-latest") {
        return Some(stable);
    }
    let (rest, day) = model.rsplit_once('-')?;
    match day.len() {
        4 => is_day(day).then_some(rest),
        2 => {
            let (rest, month) = rest.rsplit_once('-')?;
            let (stable, year) = rest.rsplit_once('-')?;
            let is_year = year.len() == 4 && number(year).is_some();
            (is_year && month.len() == 2 && is_day(&format!("{month}{day}"))).then_some(stable)
        }
        _ => None,
    }
}

/// Whether these four digits are a month and a day.
fn is_day(digits: &str) -> bool {
    number(digits)
        .is_some_and(|value| (1..=12).contains(&(value / 100)) && (1..=31).contains(&(value % 100)))
}

fn number(digits: &str) -> Option<u32> {
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_are_told_from_names() {
        for (model, stable) in [
            ("qwen-plus-2025-07-28", Some("qwen-plus")),
            ("qwen-plus-latest", Some("qwen-plus")),
            ("qwen-max-0428", Some("qwen-max")),
            ("qwen-plus", None),
            ("qwen-plus-2025-13-28", None),
            ("qwen-plus-2025-07-32", None),
            ("qwen-plus-25-07-28", None),
            ("qwen-plus-+725-07-28", None),
            ("qwen-max-9999", None),
            ("qwen-max-0a28", None),
            ("qwen2.5-7b", None),
            ("07-28", None),
            ("", None),
            ("é-é", None),
        ] {
            assert_eq!(without_snapshot(model), stable, "{model}");
        }
    }
}
