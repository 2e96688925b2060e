use std::sync::Arc;

use tower_layer::Layer;
use tower_qwen_tokens::{call::ReadOptions, internal::clock::WallClock};

use super::{BudgetService, Budgets, settings::BudgetSettings};

/// Layer of [`BudgetService`]: rejects attempts that do not fit into their tenant's budgets. See the
/// [module docs](super).
///
/// Place it between Retry and Admission. Clones of the layer, and all services that it makes, share the
/// budgets.
#[derive(Debug, Clone)]
#[must_use]
pub struct BudgetLayer {
    settings: Arc<BudgetSettings>,
}

impl BudgetLayer {
    /// A layer for these budgets.
    pub fn new(budgets: Budgets) -> Self {
        Self {
            settings: Arc::new(BudgetSettings {
                budgets,
                is_shadow: false,
                read_options: ReadOptions::default(),
                clock: WallClock::new(),
            }),
        }
    }

    /// Rejects nothing: counts and reports what would be rejected, and counts what is spent above a
    /// limit too. Default: off.
    pub fn shadow(mut self) -> Self {
        Arc::make_mut(&mut self.settings).is_shadow = true;
        self
    }

    /// How requests are read that no layer above has read. Default: [`ReadOptions::default`], at most
    /// 32 MiB.
    pub fn read_options(mut self, options: ReadOptions) -> Self {
        Arc::make_mut(&mut self.settings).read_options = options;
        self
    }
}

impl<S> Layer<S> for BudgetLayer {
    type Service = BudgetService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        BudgetService::new(inner, self.settings.clone())
    }
}
