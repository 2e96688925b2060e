use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

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

/// Where a caller waits for the store's answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct UsageReply(Arc<Mutex<PendingReply>>);

#[derive(Debug, Default)]
struct PendingReply {
    /// Outer `None`: pending. Inner `None`: the store failed.
    answer: Option<Option<Vec<UsageOfDay>>>,
    waker: Option<Waker>,
}

/// Carries the answer to the caller; dropped, it says that there is none.
#[derive(Debug)]
pub(crate) struct UsageQuery(UsageReply);

impl UsageReply {
    pub(crate) fn query(&self) -> UsageQuery {
        UsageQuery(self.clone())
    }

    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Vec<UsageOfDay>>> {
        let mut waiting = self.lock();
        match waiting.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                waiting.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn give(&self, answer: Option<Vec<UsageOfDay>>) {
        let mut waiting = self.lock();
        if waiting.answer.is_none() {
            waiting.answer = Some(answer);
        }
        let waker = waiting.waker.take();
        drop(waiting);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, PendingReply> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UsageQuery {
    pub(crate) fn answer(&self, usage: Vec<UsageOfDay>) {
        self.0.give(Some(usage));
    }
}

impl Drop for UsageQuery {
    fn drop(&mut self) {
        self.0.give(None);
    }
}
