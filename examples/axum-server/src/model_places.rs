//! Which models the figures show by their names.
//!
//! `/usage`, `/metrics` and OpenTelemetry have 1,024 places each for models, and strangers choose the names. So a model that the
//! configuration or a price names always has one, and all other names share some: each from the first call on that its upstream
//! answered with success. The rest is `(other)`, in the figures alone: it is sent, booked and logged as it was named.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use http::StatusCode;
use tower_qwen_tokens::{
    PriceBook,
    ledger::{Entry, Tenant},
};

/// How many places names have that nobody knows, of all callers: a quarter, so that three are left for those that are known.
const MAX_UNKNOWN: usize = 256;
/// How many of these one caller can fill.
const MAX_OF_CALLER: usize = 64;
/// The longest name that gets one, in bytes: as long as a label of the metrics may be.
const MAX_LENGTH: usize = 256;

/// Who has a place. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct ModelPlaces(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    known: RwLock<Known>,
    unknown: Mutex<Unknown>,
}

/// What the operator names.
#[derive(Debug)]
struct Known {
    models: HashSet<Box<str>>,
    prices: PriceBook,
}

/// Names that nobody knows, and that were answered.
#[derive(Debug, Default)]
struct Unknown {
    models: HashSet<Box<str>>,
    /// How many of them each caller was the first to name.
    by_caller: HashMap<Option<Tenant>, usize>,
}

impl ModelPlaces {
    /// The models that the operator names from now on.
    pub(crate) fn set_known(&self, models: HashSet<Box<str>>, prices: PriceBook) {
        let known = self.0.known.write();
        *known.unwrap_or_else(PoisonError::into_inner) = Known { models, prices };
    }

    /// The same question as a function, for whoever makes figures.
    pub(crate) fn allowed(&self) -> impl Fn(&str) -> bool + Send + Sync + use<> {
        let places = self.clone();
        move |model| places.has(model)
    }

    /// Whether a model has a place.
    #[must_use]
    pub fn has(&self, model: &str) -> bool {
        // One lock after the other, never both. A call without a model is no name.
        model.is_empty() || self.is_known(model) || self.unknown().models.contains(model)
    }

    /// Whether the model of a call that has ended has a place, from now on or already.
    #[must_use]
    pub fn take(&self, entry: &Entry) -> bool {
        let model = &*entry.model;
        if self.has(model) {
            return true;
        }
        let is_success = entry.status.as_ref().is_some_and(StatusCode::is_success);
        // Of a name with a slip the upstream says that there is no such model.
        if !is_success || entry.is_error_answer() || model.len() > MAX_LENGTH {
            return false;
        }
        self.unknown().take(model, entry.tenant.as_ref())
    }

    fn is_known(&self, model: &str) -> bool {
        let known = self.0.known.read();
        let known = known.unwrap_or_else(PoisonError::into_inner);
        // By a row of its own: a family's would let strangers write on what its name begins with.
        known.models.contains(model) || known.prices.lists(model)
    }

    fn unknown(&self) -> MutexGuard<'_, Unknown> {
        self.0
            .unknown
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unknown {
    fn take(&mut self, model: &str, caller: Option<&Tenant>) -> bool {
        if self.models.len() >= MAX_UNKNOWN && !self.models.contains(model) {
            return false;
        }
        let filled = self.by_caller.entry(caller.cloned()).or_default();
        if *filled >= MAX_OF_CALLER {
            return self.models.contains(model);
        }
        // Another call may have taken it meanwhile.
        *filled += usize::from(self.models.insert(model.into()));
        true
    }
}

impl Default for Known {
    fn default() -> Self {
        Self {
            models: HashSet::new(),
            prices: PriceBook::empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tower_qwen_tokens::{
        Usage,
        ledger::{Basis, End},
    };

    use super::*;

    fn places() -> ModelPlaces {
        let places = ModelPlaces::default();
        places.set_known(HashSet::from(["own".into()]), PriceBook::builtin());
        places
    }

    fn call(caller: usize, model: &str) -> Entry {
        let entry = Entry::new(model, Usage::new(1, 1), Basis::Reported, End::Complete);
        entry.tenant(format!("caller-{caller}"))
    }

    #[test]
    fn names_that_nobody_knows_share_some_places() {
        let places = places();
        for caller in 0..6 {
            for number in 0..2 * MAX_OF_CALLER {
                let model = format!("invented-{caller}-{number}");
                let has_place = caller < 4 && number < MAX_OF_CALLER;
                assert_eq!(places.take(&call(caller, &model)), has_place, "{model}");
                assert_eq!(places.has(&model), has_place, "{model}");
            }
        }
        assert!(places.take(&call(5, "invented-0-0")));
        for known in ["own", "qwen-plus", ""] {
            assert!(places.has(known) && places.take(&call(5, known)), "{known}");
        }
    }

    #[test]
    fn a_name_has_a_place_once_it_was_answered() {
        let places = places();
        let mut refused = call(0, "with-a-slip");
        refused.status = Some(StatusCode::NOT_FOUND);
        let long = "m".repeat(MAX_LENGTH + 1);
        for entry in [
            refused,
            Entry::unanswered("never-answered", End::Failed),
            call(0, &long),
        ] {
            assert!(!places.take(&entry) && !places.has(&entry.model));
        }
        assert!(places.take(&call(0, "with-a-slip")));
    }

    #[test]
    fn a_price_of_a_family_or_by_another_spelling_is_no_name_of_its_own() {
        let places = places();
        for model in ["anyone/qwen-plus", "qwen-plus-2031-01-01"] {
            assert!(PriceBook::builtin().price(model).is_some(), "{model}");
            assert!(!places.has(model), "{model}");
        }
    }
}
