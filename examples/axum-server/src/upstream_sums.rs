//! What calls used and cost at each upstream: the ledger sums up by tenant and model alone.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use tower_qwen_tokens::{
    Ledger,
    ledger::{Entry, Record, Totals},
};

use crate::routes::Routes;

/// Sums by the names of upstreams, bounded as the ledger's are. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct UpstreamSums(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    routes: RwLock<Option<Arc<Routes>>>,
    /// Of which the tenants are upstreams.
    sums: Ledger,
}

impl UpstreamSums {
    /// Where calls go from now on: a record names its upstream only where that was not the first of its route.
    pub(crate) fn set_routes(&self, routes: Arc<Routes>) {
        let current = self.0.routes.write();
        *current.unwrap_or_else(PoisonError::into_inner) = Some(routes);
    }

    /// Adds a call; gives the name of its upstream, or `None` where it went to none.
    #[allow(clippy::must_use_candidate, reason = "it is called for the sums")]
    pub fn add(&self, record: &Record<'_>) -> Option<Arc<str>> {
        let entry = &*record.entry;
        // Without an Admission nobody knows the number of the attempt.
        if entry.attempt == Some(0) {
            return None;
        }
        let first = || {
            let routes = self.0.routes.read();
            let routes = routes.unwrap_or_else(PoisonError::into_inner);
            routes.as_ref()?.first_upstream(&entry.model)
        };
        let upstream = entry.target.clone().or_else(first)?;
        // What the sums are of, and no more.
        let model = Arc::clone(&entry.model);
        let mut summed = Entry::new(model, entry.usage, entry.basis, entry.end);
        summed.tenant = Some((&*upstream).into());
        (summed.status, summed.cause) = (entry.status, entry.cause);
        (summed.first_token, summed.duration) = (entry.first_token, entry.duration);
        let record = Record::new(&summed, record.cost, record.at);
        self.0.sums.restore(&record);
        Some(upstream)
    }

    /// The sums so far.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<String, Totals> {
        self.0.sums.snapshot().tenants
    }
}
