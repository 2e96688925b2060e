use std::{collections::HashMap, sync::Arc};

use tower_qwen_tokens::internal::clock::Instant;

use super::rate::RequestRate;
use crate::quota::Quota;

/// The quotas of a limiter: its own, and those of single models.
#[derive(Debug)]
pub(super) struct Quotas {
    default: RatedQuota,
    by_model: HashMap<Box<str>, RatedQuota>,
}

/// A quota, and its requests as a server counts them.
#[derive(Debug)]
pub(super) struct RatedQuota {
    pub(super) quota: Quota,
    /// One governor for all callers that share the quota; each caller keeps its own cell.
    pub(super) rate: Arc<RequestRate>,
}

impl Quotas {
    pub(super) fn new(
        default: Quota,
        by_model: impl IntoIterator<Item = (Box<str>, Quota)>,
        epoch: Instant,
    ) -> Self {
        Self {
            default: RatedQuota::new(default, epoch),
            by_model: by_model
                .into_iter()
                .map(|(model, quota)| (model, RatedQuota::new(quota, epoch)))
                .collect(),
        }
    }

    /// The quota of keys whose model has none of its own.
    pub(super) fn default(&self) -> &RatedQuota {
        &self.default
    }

    /// The quota of a model.
    pub(super) fn of(&self, model: &str) -> &RatedQuota {
        self.by_model.get(model).unwrap_or(&self.default)
    }

    /// The models that have a quota of their own.
    pub(super) fn models(&self) -> impl Iterator<Item = &str> {
        self.by_model.keys().map(AsRef::as_ref)
    }

    pub(super) fn set_default(&mut self, quota: Quota, epoch: Instant) {
        self.default = RatedQuota::new(quota, epoch);
    }

    pub(super) fn set_for(&mut self, model: &str, quota: Quota, epoch: Instant) {
        let quota = RatedQuota::new(quota, epoch);
        self.by_model.insert(model.into(), quota);
    }
}

impl RatedQuota {
    fn new(quota: Quota, epoch: Instant) -> Self {
        let rate = Arc::new(RequestRate::new(&quota, epoch));
        Self { quota, rate }
    }
}
