use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tower_qwen_tokens::Cause;

/// One retry, in the units that the balance is kept in.
const RETRY: u64 = 100;

/// Bounds how many retries the calls of one client may cause together, so that an outage is not answered with a
/// multiple of the traffic.
///
/// Every call pays in a share of a retry, every retry takes out what its cause costs; the balance starts at a reserve.
/// What is paid in beyond the reserve is not kept: a long run without trouble earns no flood of retries, and the bound
/// holds from any call on, not only from the first.
///
/// # Costs
///
/// A retry after a throttle costs one: the provider refused the call at its door and lets it in later. A retry after
/// anything else (a server error, a timeout, a broken connection) costs [two](RetryBudget::error_cost): the provider may still
/// be at work on the attempt before, so another one adds to a load that it does not bear, and may be billed twice.
///
/// # Refunds
///
/// A retry that is answered with a success gives back what it cost: it was no waste, and a provider that serves the
/// second attempt is not away. So the law is, from any call on:
///
/// - retries that brought nothing, by their cost <= share x calls + reserve;
/// - hence, while the provider is away, all retries <= share x calls + reserve;
/// - and at any time all retries <= share x calls + reserve + calls that a retry saved, of which there is at most one
///   for each call.
///
/// Retries that the account inside paces ([`PacedUntil`](tower_qwen_tokens::PacedUntil)) cost nothing: it lets them go one by one.
///
/// Cloning shares the balance.
#[derive(Clone)]
pub struct RetryBudget {
    balance: Arc<Balance>,
    error_cost: u32,
}

struct Balance {
    /// What a call pays in.
    share: u64,
    /// Where paying in ends.
    full: u64,
    held: AtomicU64,
}

impl RetryBudget {
    /// `percent` of the calls may be retried, and `reserve` retries beyond that.
    ///
    /// A percentage above 100 is no mistake: a call may be retried more than once. Without a reserve the balance still
    /// holds the dearest retry, or what one call pays in where that is more.
    #[must_use]
    pub fn new(percent: u32, reserve: u32) -> Self {
        let share = u64::from(percent);
        let reserve = u64::from(reserve) * RETRY;
        Self {
            balance: Arc::new(Balance {
                share,
                full: reserve.max(2 * RETRY).max(share),
                held: AtomicU64::new(reserve),
            }),
            error_cost: 2,
        }
    }

    /// What a retry costs that follows no throttle, in retries. Default: 2. Zero counts as 1.
    #[must_use]
    pub fn error_cost(mut self, retries: u32) -> Self {
        self.error_cost = retries.max(1);
        self
    }

    /// How many retries could be made at once, after throttles.
    #[must_use]
    pub fn available(&self) -> u64 {
        self.balance.held.load(Ordering::Relaxed) / RETRY
    }

    /// What a retry of this cause costs, in retries.
    pub(crate) fn cost(&self, cause: Cause) -> u32 {
        if cause.is_throttle() {
            1
        } else {
            self.error_cost
        }
    }

    /// Pays in for a call.
    pub(crate) fn deposit(&self) {
        self.balance.add(self.balance.share);
    }

    /// Takes out so many retries; `false` where the balance does not cover them.
    pub(crate) fn withdraw(&self, retries: u32) -> bool {
        let amount = u64::from(retries) * RETRY;
        let take = |held: u64| held.checked_sub(amount);
        self.balance
            .held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }

    /// Gives back what was taken out.
    pub(crate) fn refund(&self, retries: u32) {
        self.balance.add(u64::from(retries) * RETRY);
    }
}

impl Balance {
    fn add(&self, amount: u64) {
        let _ = self
            .held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
                (held < self.full).then(|| held.saturating_add(amount).min(self.full))
            });
    }
}

impl fmt::Debug for RetryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryBudget")
            .field("percent", &self.balance.share)
            .field("available", &self.available())
            .field("error_cost", &self.error_cost)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, Strategy, prop_assert, prop_oneof, proptest};

    use super::*;

    #[test]
    fn reserve_is_there_before_the_first_call_and_ends() {
        let budget = RetryBudget::new(20, 2);
        assert!(budget.withdraw(1));
        assert!(budget.withdraw(1));
        assert!(!budget.withdraw(1));
    }

    #[test]
    fn five_calls_at_twenty_percent_earn_one_retry_without_any_reserve() {
        let budget = RetryBudget::new(20, 0);
        (0..4).for_each(|_| budget.deposit());
        assert!(!budget.withdraw(1));
        budget.deposit();
        assert!(budget.withdraw(1));
        assert!(!budget.withdraw(1));
    }

    #[test]
    fn quiet_times_earn_no_flood_of_retries() {
        let budget = RetryBudget::new(20, 3);
        (0..1000).for_each(|_| budget.deposit());
        assert_eq!(budget.available(), 3);
    }

    #[test]
    fn clones_share_the_balance() {
        let budget = RetryBudget::new(0, 1);
        assert!(budget.clone().withdraw(1));
        assert!(!budget.withdraw(1));
    }

    #[test]
    fn largest_values_do_not_overflow() {
        let budget = RetryBudget::new(u32::MAX, u32::MAX);
        budget.deposit();
        assert!(budget.withdraw(1));
        budget.deposit();
        assert_eq!(budget.available(), u64::from(u32::MAX));
    }

    #[test]
    fn errors_are_dearer_than_throttles_and_success_gives_back() {
        let budget = RetryBudget::new(0, 3);
        let (throttle, error) = (budget.cost(Cause::RequestRate), budget.cost(Cause::Timeout));
        assert_eq!((throttle, error), (1, 2));
        assert!(budget.withdraw(error));
        assert!(!budget.withdraw(error));
        budget.refund(error);
        assert_eq!(budget.available(), 3);
        assert_eq!(
            budget.clone().error_cost(5).cost(Cause::Transport),
            5,
            "set for one clone"
        );
        assert_eq!(budget.error_cost(0).cost(Cause::Transport), 1);
    }

    /// What happens to a budget.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        Call,
        /// A retry of this cost that brings nothing.
        Wasted(u32),
        /// One that saves its call.
        Saved(u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => Just(Step::Call),
            2 => (1u32..4).prop_map(Step::Wasted),
            1 => (1u32..4).prop_map(Step::Saved),
        ]
    }

    proptest! {
        /// From any call on, not only from the first.
        #[test]
        fn retries_never_exceed_the_share_of_the_calls_and_the_reserve(
            percent in 0u32..300, reserve in 0u32..20,
            steps in proptest::collection::vec(step(), 0..600), from in 0usize..600,
        ) {
            let budget = RetryBudget::new(percent, reserve);
            let (mut calls, mut retries, mut wasted, mut saved) = (0u64, 0u64, 0u64, 0u64);
            for (at, step) in steps.into_iter().enumerate() {
                let counts = u64::from(at >= from);
                match step {
                    Step::Call => {
                        budget.deposit();
                        calls += counts;
                    }
                    Step::Wasted(cost) if budget.withdraw(cost) => {
                        retries += counts;
                        wasted += counts * u64::from(cost);
                    }
                    Step::Saved(cost) if budget.withdraw(cost) => {
                        budget.refund(cost);
                        retries += counts;
                        saved += counts;
                    }
                    Step::Wasted(_) | Step::Saved(_) => {}
                }
                let held = u64::from(reserve).max(2).max(u64::from(percent).div_ceil(100));
                let floor = if from == 0 { u64::from(reserve) } else { held };
                let bound = u64::from(percent) * calls + floor * 100;
                prop_assert!(wasted * 100 <= bound);
                prop_assert!((retries - saved) * 100 <= bound);
            }
        }

        /// The bound is tight: nobody is refused whom the share and the reserve would cover.
        #[test]
        fn a_retry_per_call_is_never_refused_at_a_full_share(reserve in 0u32..20, calls in 0u32..200) {
            let budget = RetryBudget::new(100, reserve);
            for _ in 0..calls {
                budget.deposit();
                prop_assert!(budget.withdraw(1));
            }
        }
    }
}
