use serde_json::Value;

use crate::macros::opaque_debug;

use super::{
    InvalidData, Origin, Region, document,
    rows::{RowMatch, Rows, Sourced},
    section::{BoxError, Section},
};

/// What is known of models: a [`Price`](crate::price::Price), a [`Window`](super::Window), a
/// [`ModelQuota`](super::ModelQuota) or a [`Retirement`](super::Retirement) of each.
///
/// A model is looked up in this order; [`Book::row_match`] says what it was found by.
///
/// 1. By its id as it is written.
/// 2. As `-latest` or as a dated snapshot of a listed mainline model: `qwen-plus-latest`, `qwen-plus-2025-07-28`,
///    `qwen-max-0428`, `qwen3.7-max-20260520`. Quotas have no snapshots ([`QuotaBook`](super::QuotaBook)).
/// 3. By both as the provider writes them: in small letters, without what stands before the last `/`, without a variant in
///    letters behind a `:`. So `Qwen-Plus`, `qwen/qwen-plus`, `dashscope/qwen-plus` and `qwen-plus:thinking` are
///    `qwen-plus`. `qwen2:7b` is not `qwen2`, since digits there are another host's tag, and `:free` is not the same price.
/// 4. By a row whose id ends in `*` and begins as the model's does, the longest first.
///
/// A router has prices of its own: a row for the id as the router writes it comes first. A later row replaces an earlier one
/// of the same id and region; one without a region replaces those of all regions. An unknown model has nothing, never a
/// default.
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
        let own = "the crate's own rows are sound";
        let mut book = Self::from_json(V::BUILTIN).expect(own);
        if let Some(retired) = V::RETIRED {
            let rows = document::json(retired.section, retired.rows).expect(own);
            book.add_section(retired.section, rows, |_, _| Ok((retired.value)()))
                .expect(own);
        }
        book
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
    /// `window`, `quota` and `retirement`, of which this book reads its own.
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

    /// The rows of a TOML text, and no others: tables under `[[price]]`, `[[window]]`, `[[quota]]` and `[[retirement]]`, of
    /// which this book reads its own. Members are those of [`Book::from_json`].
    ///
    /// # Errors
    ///
    /// When the text is no such TOML, or a row is unsound or has an unknown member.
    #[cfg(feature = "toml")]
    pub fn from_toml(text: &str) -> Result<Self, InvalidData> {
        Self::of_document(document::toml(V::NAME, text)?)
    }

    fn of_document(document: Value) -> Result<Self, InvalidData> {
        let mut book = Self::empty();
        book.add_section(V::NAME, document, V::read)?;
        Ok(book)
    }

    fn add_section(
        &mut self,
        section: &'static str,
        document: Value,
        read: impl Fn(Value, &Origin) -> Result<V, BoxError>,
    ) -> Result<(), InvalidData> {
        // Row by row, so that an error names the row.
        document::read(section, document, |row| {
            let value = read(row.own, &row.origin)?;
            self.rows
                .insert(row.model, row.region, value, Some(row.origin));
            Ok(())
        })
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
        Some(&self.find(model)?.0.value)
    }

    /// Where a model's row is from; `None` where there is none, or the program inserted it.
    #[must_use]
    pub fn origin(&self, model: &str) -> Option<&Origin> {
        self.find(model)?.0.origin.as_ref()
    }

    /// By what a model's row was found: its own id, its mainline's, or its family's. `None` where there is no row.
    ///
    /// ```
    /// use tower_qwen_tokens::{PriceBook, data::RowMatch};
    ///
    /// let prices = PriceBook::builtin();
    /// assert_eq!(prices.row_match("qwen/Qwen-Plus"), Some(RowMatch::Id));
    /// assert_eq!(prices.row_match("qwen-plus-2025-07-28"), Some(RowMatch::Mainline));
    /// assert_eq!(prices.row_match("nobody's-model"), None);
    /// ```
    #[must_use]
    pub fn row_match(&self, model: &str) -> Option<RowMatch> {
        self.find(model).map(|(_, by)| by)
    }

    /// Whether there is a row that is written for exactly this id: no family's, and no other spelling's. Their number has a
    /// bound, other than that of the ids for which there is a row.
    ///
    /// ```
    /// use tower_qwen_tokens::PriceBook;
    ///
    /// let prices = PriceBook::builtin();
    /// assert!(prices.lists("qwen-plus"));
    /// assert!(!prices.lists("anyone/qwen-plus") && prices.price("anyone/qwen-plus").is_some());
    /// ```
    #[must_use]
    pub fn lists(&self, model: &str) -> bool {
        self.rows.lists(model)
    }

    fn find(&self, model: &str) -> Option<(&Sourced<V>, RowMatch)> {
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

    use super::*;
    use crate::{
        data::{ModelQuota, Retirement, Window},
        price::Price,
    };

    fn every_row_says_where_it_is_from<V: Section>() {
        let book = Book::<V>::from_json(V::BUILTIN);
        assert!(book.is_ok(), "{:?}", book.err());
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
        every_row_says_where_it_is_from::<Retirement>();
    }

    #[test]
    fn the_crates_own_prices_are_in_the_regions_currency() {
        let rows: Vec<Value> = serde_json::from_str(Price::BUILTIN).expect("a list");
        for row in &rows {
            let currency = match row["region"].as_str() {
                Some("beijing") => "CNY",
                _ => "USD",
            };
            assert_eq!(row["currency"], currency, "{row}");
        }
    }
    #[test]
    fn nothing_leads_to_a_retired_model() {
        let retired = Book::<Retirement>::builtin();
        let rows: Vec<Value> = serde_json::from_str(Retirement::BUILTIN).expect("a list");
        for successor in rows.iter().filter_map(|row| row["successor"].as_str()) {
            assert_eq!(retired.retirement(successor), None, "{successor}");
        }
        let quotas: Vec<Value> = serde_json::from_str(ModelQuota::BUILTIN).expect("a list");
        for model in quotas.iter().filter_map(|row| row["model"].as_str()) {
            assert_eq!(retired.retirement(model), None, "{model}");
        }
    }
}
