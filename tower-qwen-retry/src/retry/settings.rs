use std::sync::Arc;

use tower_qwen_tokens::{call::ReadOptions, internal::clock::WallClock};

use crate::{RetryPolicy, cool_down::CoolDowns, pool::PoolState};

/// What the services of a layer share.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) policy: RetryPolicy,
    pub(super) read_options: ReadOptions,
    pub(super) clock: WallClock,
    pub(super) cool_downs: Arc<CoolDowns>,
    pub(super) pool: Arc<PoolState>,
}
