use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;

use crate::price::PriceBook;

use super::{Entry, Totals};

/// Models that get a line of their own. On a server the name comes from outside, so it must not grow the memory.
const MAX_MODELS: usize = 1_024;
const OTHER: &str = "(other)";

/// Sums of usage and cost by model. Clones share the same sums.
#[derive(Clone)]
pub struct Ledger {
    prices: Arc<PriceBook>,
    snapshot: Arc<Mutex<Snapshot>>,
}

/// The sums of a [`Ledger`] at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// By model. Beyond 1,024 models the rest is summed up under `(other)`.
    pub models: BTreeMap<String, Totals>,
    /// Over all models.
    pub total: Totals,
}

impl Ledger {
    /// An empty ledger that prices calls by this book.
    #[must_use]
    pub fn new(prices: PriceBook) -> Self {
        Self {
            prices: Arc::new(prices),
            snapshot: Arc::default(),
        }
    }

    /// Books one attempt.
    pub fn record(&self, entry: &Entry) {
        let cost = self.prices.cost(&entry.model, &entry.usage);
        let mut sums = self.lock();
        sums.total.add(entry, cost);
        sums.of_model(&entry.model).add(entry, cost);
    }

    /// The sums so far.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.lock().clone()
    }

    /// The prices it goes by.
    #[must_use]
    pub fn prices(&self) -> &PriceBook {
        &self.prices
    }

    fn lock(&self) -> MutexGuard<'_, Snapshot> {
        self.snapshot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new(PriceBook::builtin())
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").finish_non_exhaustive()
    }
}

impl Snapshot {
    fn of_model(&mut self, model: &str) -> &mut Totals {
        let model = if self.models.contains_key(model) || self.models.len() < MAX_MODELS {
            model
        } else {
            OTHER
        };
        self.models.entry(model.to_owned()).or_default()
    }
}
