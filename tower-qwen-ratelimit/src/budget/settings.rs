use tower_qwen_tokens::{call::ReadOptions, internal::clock::WallClock};

use super::Budgets;

/// What the services of a layer share.
#[derive(Debug, Clone)]
pub(super) struct BudgetSettings {
    pub(super) budgets: Budgets,
    pub(super) is_shadow: bool,
    pub(super) read_options: ReadOptions,
    pub(super) clock: WallClock,
}
