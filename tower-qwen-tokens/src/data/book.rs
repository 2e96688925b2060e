use crate::macros::opaque_debug;

use super::{
    InvalidData, Origin, Region, document,
    rows::{Rows, Sourced},
    section::Section,
};

/// What is known of models: a [`Price`](crate::price::Price), a [`Window`](super::Window) or a
/// [`ModelQuota`](super::ModelQuota) of each.
///
/// A model is looked up by its exact id, then as `-latest` or as a dated snapshot of a listed one (`qwen-plus-latest`,
/// `qwen-plus-2025-07-28`, `qwen-max-0428`), then by a row whose id ends in `*` and begins as the model's does, the
/// longest first. A later row replaces an earlier one of the same id and region; one without a region replaces those of
/// all regions. An unknown model has nothing, never a default.
#[derive(Clone)]
pub struct Book<V> {
    region: Region,
    rows: Rows<V>,
}

impl<V: Section> Book<V> {
    /// The rows that come with this crate, for [`Region::International`].
    ///
    /// They are copies of public pages, each with its source and date in the crate's folder `data`; the provider may have
    /// changed them since.
    ///
    /// # Panics
    ///
    /// Never: the rows are part of the crate and its tests read every one.
    #[must_use]
    pub fn builtin() -> Self {
        Self::from_json(V::BUILTIN).expect("the crate's own rows are sound")
    }

    /// A book without any row.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            region: Region::default(),
            rows: Rows::new(),
        }
    }

    /// The rows of a JSON text, and no others: either a list of rows, or an object with such lists under `price`,
    /// `window` and `quota`, of which this book reads its own.
    ///
    /// The [module docs](super) list the members of a row. Amounts of money are texts, since a
    /// number would not be exact.
    ///
    /// # Errors
    ///
    /// When the text is no such JSON, or a row is unsound or has an unknown member.
    pub fn from_json(text: &str) -> Result<Self, InvalidData> {
        Self::of_document(document::json(V::NAME, text)?)
    }

    /// The rows of a TOML text, and no others: tables under `[[price]]`, `[[window]]` and `[[quota]]`, of which this book
    /// reads its own. Members are those of [`Book::from_json`].
    ///
    /// # Errors
    ///
    /// When the text is no such TOML, or a row is unsound or has an unknown member.
    #[cfg(feature = "toml")]
    pub fn from_toml(text: &str) -> Result<Self, InvalidData> {
        Self::of_document(document::toml(V::NAME, text)?)
    }

    fn of_document(document: serde_json::Value) -> Result<Self, InvalidData> {
        // Row by row: an error names the row, and nothing half-read is left behind.
        let mut rows = Rows::new();
        document::read(V::NAME, document, |row| {
            let value = V::read(row.own, &row.origin)?;
            rows.insert(row.model, row.region, value, Some(row.origin));
            Ok(())
        })?;
        let region = Region::default();
        Ok(Self { region, rows })
    }

    /// Which region's rows apply, beside those for all. Default: [`Region::International`].
    #[must_use]
    pub fn region(mut self, region: Region) -> Self {
        self.region = region;
        self
    }

    /// Adds the rows of another book, which replace this one's. The region stays this book's.
    #[must_use]
    pub fn merge(mut self, later: Self) -> Self {
        self.rows.merge(later.rows);
        self
    }

    /// Adds or replaces a model's row, in every region.
    #[must_use]
    pub fn with(mut self, model: impl Into<String>, value: V) -> Self {
        self.insert(model, value);
        self
    }

    /// Adds or replaces a model's row, in every region.
    pub fn insert(&mut self, model: impl Into<String>, value: V) {
        self.rows.insert(model.into(), None, value, None);
    }

    /// Adds or replaces a model's row in one region.
    pub fn insert_in(&mut self, region: Region, model: impl Into<String>, value: V) {
        self.rows.insert(model.into(), Some(region), value, None);
    }

    /// What is known of a model; `None` where nothing is.
    #[must_use]
    pub fn get(&self, model: &str) -> Option<&V> {
        self.find(model).map(|row| &row.value)
    }

    /// Where a model's row is from; `None` where there is none, or the program inserted it.
    #[must_use]
    pub fn origin(&self, model: &str) -> Option<&Origin> {
        self.find(model)?.origin.as_ref()
    }

    fn find(&self, model: &str) -> Option<&Sourced<V>> {
        self.rows.find(model, self.region, V::stable_id)
    }
}

impl<V: Section> Default for Book<V> {
    fn default() -> Self {
        Self::builtin()
    }
}

opaque_debug!(Book { region }, impl<V> std::fmt::Debug for Book<V>);

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::Value;

    use super::*;
    use crate::{
        data::{ModelQuota, Window},
        price::Price,
    };

    fn every_row_says_where_it_is_from<V: Section>() {
        assert!(Book::<V>::from_json(V::BUILTIN).is_ok());
        let rows: Vec<Value> = serde_json::from_str(V::BUILTIN).expect("a list");
        assert!(rows.len() > 15);
        let mut seen = HashSet::new();
        for row in &rows {
            for member in ["model", "source", "date"] {
                assert!(
                    row[member].as_str().is_some_and(|text| text.len() > 3),
                    "{row}"
                );
            }
            let key = (row["model"].to_string(), row["region"].to_string());
            assert!(seen.insert(key), "twice: {row}");
        }
    }

    #[test]
    fn the_crates_own_rows_are_sound() {
        every_row_says_where_it_is_from::<Price>();
        every_row_says_where_it_is_from::<Window>();
        every_row_says_where_it_is_from::<ModelQuota>();
    }

    #[test]
    fn the_crates_own_prices_are_in_the_regions_currency() {
        let rows: Vec<Value> = serde_json::from_str(Price::BUILTIN).expect("a list");
        for row in &rows {
            let currency = match row["region"].as_str() {
                Some("international") => "USD",
                _ => "CNY",
            };
            assert_eq!(row["currency"], currency, "{row}");
        }
    }
}
