use std::sync::Arc;

use tower_qwen_tokens::{call::ReadOptions, internal::clock::WallClock};

use super::{Rejection, counts::Counters, headers::HeaderSettings};
use crate::{key::KeyOf, limiter::Limiter};

pub(super) type RejectionFn = dyn Fn(&Rejection) + Send + Sync;

/// What the services of a layer share.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) limiter: Limiter,
    pub(super) key_of: KeyOf,
    pub(super) shadow: bool,
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
            shadow: false,
            headers: HeaderSettings::ALL,
            on_rejection: None,
            counters: Arc::default(),
            read_options: ReadOptions::default(),
            clock: WallClock::new(),
        }
    }
}

opaque_debug!(Settings { limiter, key_of, shadow, headers }, impl std::fmt::Debug for Settings);
