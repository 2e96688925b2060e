#[cfg(not(tower_qwen_loom))]
use std::sync::atomic::{AtomicU64, Ordering};
use std::{fmt, sync::Arc};

// Under `--cfg tower_qwen_loom` the model below tries every order in which threads reach the balance.
// Not `--cfg loom`, by which tokio leaves out what hyper-util needs.
#[cfg(tower_qwen_loom)]
use loom::sync::atomic::{AtomicU64, Ordering};
use tower_qwen_tokens::Cause;

// The balance counts hundredths of a retry, so that a share in percent is a whole number of them.
const RETRY: u64 = 100;

/// Limits how many retries all calls of one client make together, so that an outage does not
/// multiply the traffic.
///
/// Every call adds its share of a retry to the balance, every retry takes its cost from it. The
/// balance starts at the reserve and never exceeds it: a long time without failures saves up no
/// burst of retries, and the limit holds from any call on, not only from the first.
///
/// ```
/// use tower_qwen_retry::{RetryBudget, RetryPolicy};
///
/// // One retry for ten calls, and 50 retries at any time.
/// let budget = RetryBudget::new(10, 50);
/// let chat = RetryPolicy::default().budget(budget.clone());
/// let embeddings = RetryPolicy::default().budget(budget.clone());
/// // Both clients share the balance.
/// assert_eq!(budget.available(), 50);
/// # let _ = (chat, embeddings);
/// ```
///
/// # Costs
///
/// A retry after a throttle costs 1: the provider did no work for the call, and will admit it
/// later. A retry after anything else (a server error, a timeout, a broken connection) costs
/// [2](RetryBudget::error_cost): the provider may still work on the attempt before, so another one
/// adds to its load, and both may be billed.
///
/// # Refunds
///
/// A retry that succeeds gets its cost back: it was useful, and a provider that serves the second
/// attempt has no outage. So, from any call on:
///
/// - the cost of the retries that failed <= share x calls + reserve;
/// - hence, in an outage, all retries <= share x calls + reserve;
/// - and at any time all retries <= share x calls + reserve + calls that succeeded after a retry.
///
/// Retries that an Admission inside holds back ([`PacedUntil`](tower_qwen_tokens::PacedUntil)) cost
/// nothing: Admission sends them at the provider's rate.
///
/// Clones share the balance.
#[derive(Clone)]
pub struct RetryBudget {
    balance: Arc<Balance>,
    error_cost: u32,
}

struct Balance {
    /// What a call adds.
    share: u64,
    max: u64,
    // One number, changed by compare-and-swap alone: there is no second value that has to agree
    // with it, so `Relaxed` is enough and no call waits for another.
    credit: AtomicU64,
}

impl RetryBudget {
    /// A share of the calls in percent, and a reserve in retries. The default of a policy is 20 %
    /// and 100 retries.
    ///
    /// More than 100 percent is allowed: a call may be retried more than once. With a reserve of
    /// less than 2, the balance may still grow to 2 retries, or to what one call adds if that is
    /// more.
    #[must_use]
    pub fn new(percent: u32, reserve: u32) -> Self {
        let share = u64::from(percent);
        let reserve = u64::from(reserve) * RETRY;
        Self {
            balance: Arc::new(Balance {
                share,
                // Without a reserve the retry after an error must fit in, or it could never be
                // paid.
                max: reserve.max(2 * RETRY).max(share),
                credit: AtomicU64::new(reserve),
            }),
            // An error may leave work behind at the provider, a throttle does not. AWS charges 14
            // and 5 of 500 for the same two; the reserve here is smaller, so the costs are
            // (docs/design.md).
            error_cost: 2,
        }
    }

    /// The cost of a retry after anything but a throttle, in retries. Default: 2. Zero counts as 1.
    #[must_use]
    pub fn error_cost(mut self, retries: u32) -> Self {
        self.error_cost = retries.max(1);
        self
    }

    /// How many retries after throttles the balance covers now.
    #[must_use]
    pub fn available(&self) -> u64 {
        self.balance.credit.load(Ordering::Relaxed) / RETRY
    }

    /// The cost of a retry after this cause, in retries.
    pub(crate) fn cost(&self, cause: Cause) -> u32 {
        if cause.is_throttle() {
            1
        } else {
            self.error_cost
        }
    }

    /// Adds the share of one call.
    pub(crate) fn deposit(&self) {
        self.balance.add(self.balance.share);
    }

    /// Takes so many retries; `false` if the balance does not cover them.
    pub(crate) fn withdraw(&self, retries: u32) -> bool {
        let amount = u64::from(retries) * RETRY;
        let take = |credit: u64| credit.checked_sub(amount);
        let credit = &self.balance.credit;
        credit
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }

    /// Returns what a retry took.
    pub(crate) fn refund(&self, retries: u32) {
        self.balance.add(u64::from(retries) * RETRY);
    }
}

impl Balance {
    fn add(&self, amount: u64) {
        // A full balance is the usual state: then nothing is written, and threads do not compete
        // for the cache line.
        let add =
            |credit: u64| (credit < self.max).then(|| credit.saturating_add(amount).min(self.max));
        let _ = self
            .credit
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
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

#[cfg(all(test, tower_qwen_loom))]
mod model {
    use loom::thread;

    use super::*;

    fn credit(budget: &RetryBudget) -> u64 {
        budget.balance.credit.load(Ordering::Relaxed)
    }

    #[test]
    fn two_retries_and_a_call_neither_lose_nor_invent_credit() {
        loom::model(|| {
            let budget = RetryBudget::new(50, 1);
            let (call, retry) = (budget.clone(), budget.clone());
            let call = thread::spawn(move || call.deposit());
            let retry = thread::spawn(move || retry.withdraw(1));
            let other = budget.withdraw(1);
            call.join().expect("no panic");
            let retry = retry.join().expect("no panic");
            assert!(retry != other, "the reserve is one retry");
            assert_eq!(credit(&budget), 50);
        });
    }

    #[test]
    fn a_refund_beside_a_call_stops_at_the_maximum() {
        loom::model(|| {
            let budget = RetryBudget::new(150, 2);
            assert!(budget.withdraw(1));
            let (call, refund) = (budget.clone(), budget.clone());
            let call = thread::spawn(move || call.deposit());
            let refund = thread::spawn(move || refund.refund(1));
            assert!(credit(&budget) <= 200);
            call.join().expect("no panic");
            refund.join().expect("no panic");
            assert_eq!(credit(&budget), 200);
        });
    }

    #[test]
    fn a_refunded_retry_leaves_the_balance_as_it_was() {
        loom::model(|| {
            let budget = RetryBudget::new(0, 3);
            let other = budget.clone();
            let other = thread::spawn(move || {
                assert!(other.withdraw(2));
                other.refund(2);
            });
            let withdrawn = budget.withdraw(1);
            other.join().expect("no panic");
            assert!(withdrawn);
            assert_eq!(credit(&budget), 200);
        });
    }
}

#[cfg(all(test, not(tower_qwen_loom)))]
mod tests {
    use std::{sync::atomic::AtomicBool, thread};

    use fastrand::Rng;
    use proptest::prelude::{Just, Strategy, prop_assert, prop_oneof, proptest};

    use super::*;

    const THREADS: u64 = 4;

    /// What threads did to a budget.
    #[derive(Debug, Clone, Copy, Default)]
    struct Totals {
        deposits: u64,
        withdrawn: u64,
        refunded: u64,
    }

    /// Deposits, withdraws and refunds at random from several threads.
    fn stress(budget: &RetryBudget, steps: u32) -> Totals {
        let totals = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|seed| scope.spawn(move || steps_of_a_thread(budget, seed, steps)))
                .collect();
            let totals = threads.into_iter().map(|thread| thread.join());
            totals.collect::<Result<Vec<_>, _>>().expect("no panic")
        });
        totals
            .into_iter()
            .fold(Totals::default(), |all, one| Totals {
                deposits: all.deposits + one.deposits,
                withdrawn: all.withdrawn + one.withdrawn,
                refunded: all.refunded + one.refunded,
            })
    }

    fn steps_of_a_thread(budget: &RetryBudget, seed: u64, steps: u32) -> Totals {
        let (mut rng, mut totals) = (Rng::with_seed(seed), Totals::default());
        for _ in 0..steps {
            budget.deposit();
            totals.deposits += 1;
            let cost = rng.u32(1..=2);
            if rng.bool() && budget.withdraw(cost) {
                totals.withdrawn += u64::from(cost);
                if rng.bool() {
                    budget.refund(cost);
                    totals.refunded += u64::from(cost);
                }
            }
        }
        totals
    }

    #[test]
    fn threads_lose_no_credit_and_invent_none() {
        // Empty at first, and larger than all that the threads add, so that no deposit meets the
        // maximum.
        let (steps, percent, reserve) = (50_000, 7, 20_000);
        let budget = RetryBudget::new(percent, reserve);
        assert!(budget.withdraw(reserve));
        let totals = stress(&budget, steps);
        assert!(
            totals.withdrawn > 1_000 && totals.refunded > 500,
            "{totals:?}"
        );
        let added = totals.deposits * u64::from(percent) + totals.refunded * RETRY;
        let left = budget.balance.credit.load(Ordering::Relaxed);
        assert_eq!(added - totals.withdrawn * RETRY, left);
    }

    #[test]
    fn threads_neither_overdraw_nor_overfill() {
        let (percent, reserve) = (50, 3);
        let budget = RetryBudget::new(percent, reserve);
        let (done, most) = (AtomicBool::new(false), u64::from(reserve));
        let totals = thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    assert!(budget.available() <= most);
                }
            });
            let totals = stress(&budget, 50_000);
            done.store(true, Ordering::Relaxed);
            totals
        });
        let share = totals.deposits * u64::from(percent);
        let covered = share + (u64::from(reserve) + totals.refunded) * RETRY;
        assert!(totals.withdrawn * RETRY <= covered, "{totals:?}");
        assert!(budget.available() <= most);
    }

    #[test]
    fn the_reserve_is_available_from_the_start_and_is_limited() {
        let budget = RetryBudget::new(20, 2);
        assert!(budget.withdraw(1));
        assert!(budget.withdraw(1));
        assert!(!budget.withdraw(1));
    }

    #[test]
    fn without_reserve_five_calls_at_20_percent_pay_one_retry() {
        let budget = RetryBudget::new(20, 0);
        (0..4).for_each(|_| budget.deposit());
        assert!(!budget.withdraw(1));
        budget.deposit();
        assert!(budget.withdraw(1));
        assert!(!budget.withdraw(1));
    }

    #[test]
    fn deposits_stop_at_the_reserve() {
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
    fn the_largest_values_do_not_overflow() {
        let budget = RetryBudget::new(u32::MAX, u32::MAX);
        budget.deposit();
        assert!(budget.withdraw(1));
        budget.deposit();
        assert_eq!(budget.available(), u64::from(u32::MAX));
    }

    #[test]
    fn an_error_costs_more_than_a_throttle_and_success_refunds_it() {
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
        /// A retry of this cost that fails.
        Failed(u32),
        /// One that succeeds.
        Succeeded(u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => Just(Step::Call),
            2 => (1u32..4).prop_map(Step::Failed),
            1 => (1u32..4).prop_map(Step::Succeeded),
        ]
    }

    proptest! {
        /// From any call on, not only from the first.
        #[test]
        fn retries_never_exceed_share_of_calls_plus_reserve(
            percent in 0u32..300, reserve in 0u32..20,
            steps in proptest::collection::vec(step(), 0..600), from in 0usize..600,
        ) {
            let budget = RetryBudget::new(percent, reserve);
            let (mut calls, mut retries, mut failed, mut succeeded) = (0u64, 0u64, 0u64, 0u64);
            for (at, step) in steps.into_iter().enumerate() {
                let counts = u64::from(at >= from);
                match step {
                    Step::Call => {
                        budget.deposit();
                        calls += counts;
                    }
                    Step::Failed(cost) if budget.withdraw(cost) => {
                        retries += counts;
                        failed += counts * u64::from(cost);
                    }
                    Step::Succeeded(cost) if budget.withdraw(cost) => {
                        budget.refund(cost);
                        retries += counts;
                        succeeded += counts;
                    }
                    Step::Failed(_) | Step::Succeeded(_) => {}
                }
                let held = u64::from(reserve).max(2).max(u64::from(percent).div_ceil(100));
                let floor = if from == 0 { u64::from(reserve) } else { held };
                let bound = u64::from(percent) * calls + floor * 100;
                prop_assert!(failed * 100 <= bound);
                prop_assert!((retries - succeeded) * 100 <= bound);
            }
        }

        /// The bound is tight: a retry that share and reserve cover is never rejected.
        #[test]
        fn at_100_percent_every_call_has_a_retry(reserve in 0u32..20, calls in 0u32..200) {
            let budget = RetryBudget::new(100, reserve);
            for _ in 0..calls {
                budget.deposit();
                prop_assert!(budget.withdraw(1));
            }
        }
    }
}
