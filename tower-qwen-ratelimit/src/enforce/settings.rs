use std::sync::Arc;

use tower_qwen_tokens::{call::ReadOptions, internal::clock::WallClock};

use super::{
    BudgetStatus, Rejection, caller_queue::SharedQueue, counts::Counters, headers::HeaderSettings,
};
use crate::{budget::Budgets, key::KeyOf, limiter::Limiter};

pub(super) type RejectionFn = dyn Fn(&Rejection) + Send + Sync;

/// What the services of a layer share.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) limiter: Limiter,
    pub(super) key_of: KeyOf,
    pub(super) budgets: Option<Budgets>,
    pub(super) budget_status: BudgetStatus,
    pub(super) queue: Option<Arc<SharedQueue>>,
    pub(super) shadow: bool,
    pub(super) charge_before_read: bool,
    pub(super) headers: HeaderSettings,
    pub(super) on_rejection: Option<Arc<RejectionFn>>,
    pub(super) counters: Arc<Counters>,
    pub(super) read_options: ReadOptions,
    pub(super) clock: WallClock,
}

impl Settings {
    pub(super) fn new(limiter: Limiter, key_of: KeyOf) -> Self {
        Self {
            limiter,
            key_of,
            budgets: None,
            budget_status: BudgetStatus::default(),
            queue: None,
            shadow: false,
            charge_before_read: false,
            headers: HeaderSettings::ALL,
            on_rejection: None,
            counters: Arc::default(),
            read_options: ReadOptions::default(),
            clock: WallClock::new(),
        }
    }

    /// The queue in which calls wait. In shadow mode none is rejected, so none waits.
    pub(super) fn queue(&self) -> Option<&Arc<SharedQueue>> {
        self.queue.as_ref().filter(|_| !self.shadow)
    }
}

opaque_debug!(Settings { limiter, key_of, shadow, headers }, impl std::fmt::Debug for Settings);
