use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::SystemTime,
};

use tower_qwen_tokens::{Usage, internal::clock::WallClock};

use super::{
    BudgetEvent, Rates, Unpriced,
    accounts::{Accounts, Fault, Fit, Taken},
    call::{BudgetCall, BudgetedCall},
    event::BudgetObservers,
    learned::{Expected, Learned},
    need::Need,
    prices::Prices,
    sums::since_1970,
};
use crate::{cost::OutputLimit, quota::Reserve, units::Nanos};

/// What all clones of budgets share.
#[derive(Debug)]
pub(super) struct SharedBudgets {
    // The one lock of all counters; a leaf, like the two others. Why one: docs/design.md, "Budgets".
    pub(super) accounts: Mutex<Accounts>,
    pub(super) learned: Mutex<Learned>,
    pub(super) prices: RwLock<Arc<Prices>>,
    pub(super) reserve: Reserve,
    pub(super) unpriced: Unpriced,
    pub(super) observers: BudgetObservers,
    pub(super) clock: WallClock,
    /// Where a fleet shares them: gives back what is left when all is over.
    #[cfg(feature = "redis")]
    pub(super) end: Option<Box<dyn EndOfBudgets>>,
}

/// What happens when nothing more is reserved or settled.
#[cfg(feature = "redis")]
pub(super) trait EndOfBudgets: std::fmt::Debug + Send + Sync {
    fn end(&self, accounts: &mut Accounts, now: Nanos);
}

#[cfg(feature = "redis")]
impl Drop for SharedBudgets {
    fn drop(&mut self) {
        if let Some(end) = &self.end {
            end.end(&mut self.accounts(), self.now());
        }
    }
}

impl SharedBudgets {
    pub(super) fn now(&self) -> Nanos {
        since_1970(self.clock.now())
    }

    /// What a call is expected to cost.
    pub(super) fn estimate(
        &self,
        (tenant, call): (&str, BudgetCall),
        prices: &Prices,
        at: SystemTime,
    ) -> BudgetedCall {
        let BudgetCall {
            model,
            cost,
            answers,
            is_batch,
            account,
        } = call;
        let learned = lock(&self.learned);
        let caller = learned.caller(tenant);
        let Expected {
            output_tokens,
            reasons,
        } = learned.expected((caller, &model), cost, answers, self.reserve);
        drop(learned);
        let usage = Usage::new(cost.input_tokens, output_tokens);
        // A call that nobody could read has one token at least, so that it does not fit into a
        // budget that is used up.
        let input_tokens = match output_tokens {
            0 => cost.input_tokens.max(1),
            _ => cost.input_tokens,
        };
        let whose = (account.as_ref(), &*model);
        let price = prices.expected_cost(whose, &usage, reasons, (is_batch, at));
        let mut need = Need::of_request(input_tokens, output_tokens, price);
        if cost.output == OutputLimit::Unlimited {
            let usage = Usage::new(cost.input_tokens, 0);
            let price = prices.expected_cost(whose, &usage, reasons, (is_batch, at));
            let stated = Need::of_request(input_tokens, 0, price);
            let mut accounts = self.accounts();
            need = accounts.cut_guess(tenant, (&stated, need), &prices.rates, since_1970(at));
        }
        BudgetedCall {
            caller,
            model,
            answers,
            is_batch,
            account,
            need,
        }
    }

    /// Reserves what a call needs. The lock is released at the end: observers are foreign code.
    pub(super) fn reserve(
        &self,
        tenant: &str,
        need: &Need,
        rates: &Rates,
        is_shadow: bool,
        now: Nanos,
    ) -> Result<Fit, Fault> {
        self.accounts()
            .reserve(tenant, need, rates, self.unpriced, (now, is_shadow))
    }

    pub(super) fn settle(&self, taken: &Taken, needs: (&Need, &Need), rates: &Rates) {
        let now = self.now();
        // The lock is released at the end of the statement: observers are foreign code.
        let reached = self.accounts().settle(taken, needs, rates, now);
        for line in &reached {
            self.observers.emit(&BudgetEvent::LineReached {
                owner: &line.owner,
                line: line.line,
                limit: line.limit,
                period: line.period,
                spent: line.spent,
                resets_at: line.resets_at,
            });
        }
    }

    pub(super) fn learn(&self, call: &BudgetedCall, usage: &Usage) {
        let of = (call.caller, &call.model);
        lock(&self.learned).learn(of, usage, call.answers);
    }

    pub(super) fn accounts(&self) -> MutexGuard<'_, Accounts> {
        lock(&self.accounts)
    }

    pub(super) fn prices(&self) -> Arc<Prices> {
        let prices = self.prices.read();
        Arc::clone(&prices.unwrap_or_else(PoisonError::into_inner))
    }
}

// A panic elsewhere leaves sums one call off at most; to reject all calls would be worse.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
