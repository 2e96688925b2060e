use std::collections::BTreeMap;

use tokio::sync::oneshot;
use tower_qwen_tokens::{Money, ledger::Day};

/// Calls, tokens and money.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsageSums {
    /// Attempts.
    pub calls: u64,
    /// Tokens of prompts.
    pub input_tokens: u64,
    /// Those of them that came from a cache.
    pub cached_tokens: u64,
    /// Tokens of answers.
    pub output_tokens: u64,
    /// What it cost, by the prices of each process's ledger: one amount per currency. Calls without
    /// a known price are missing, and so are those of processes of a version that did not report
    /// money.
    pub cost: Vec<Money>,
}

/// What one tenant has used of one model on one day.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsageOfDay {
    /// The tenant; empty where none was named.
    pub tenant: String,
    /// The model.
    pub model: String,
    /// What was used.
    pub sums: UsageSums,
}

/// Carries the answer to the caller; dropped, it says that there is none.
pub(crate) type UsageQuery = oneshot::Sender<Vec<UsageOfDay>>;

/// By tenant and model.
pub(crate) type SumsByTenantAndModel = BTreeMap<(Box<str>, Box<str>), UsageSums>;

/// Sums to be added to a day.
#[derive(Debug)]
pub(crate) struct UsageBatch {
    /// By this number the store recognises a batch that comes twice.
    pub(crate) id: u64,
    pub(crate) day: Day,
    pub(crate) sums: SumsByTenantAndModel,
}

/// Usage that is not queued yet.
#[derive(Debug, Default)]
pub(super) struct Gathered(BTreeMap<Day, SumsByTenantAndModel>);

impl Gathered {
    /// Adds to what is gathered. Returns whether there was room.
    pub(super) fn add(
        &mut self,
        day: Day,
        tenant: &str,
        model: &str,
        sums: UsageSums,
        capacity: usize,
    ) -> bool {
        let of_day = self.0.entry(day).or_default();
        // While the store is away nothing is taken: a flood of tenants must not take all memory.
        let is_full = of_day.len() >= capacity;
        let whom = (tenant.into(), model.into());
        if is_full && !of_day.contains_key(&whom) {
            return false;
        }
        let all = of_day.entry(whom).or_default();
        all.calls += sums.calls;
        all.input_tokens += sums.input_tokens;
        all.cached_tokens += sums.cached_tokens;
        all.output_tokens += sums.output_tokens;
        for cost in sums.cost {
            cost.add_to(&mut all.cost);
        }
        true
    }

    pub(super) fn take(&mut self) -> impl Iterator<Item = (Day, SumsByTenantAndModel)> + use<> {
        std::mem::take(&mut self.0).into_iter()
    }
}
