use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// One retry, in the units that the balance is kept in.
const RETRY: u64 = 100;

/// Bounds how many retries the calls of one client may cause together, so that an outage is not answered with a
/// multiple of the traffic.
///
/// Every call pays in a share of a retry, every retry takes out a whole one; the balance starts at a reserve. So at any
/// time: retries <= share x calls + reserve. What is paid in beyond the reserve is not kept: a long run without trouble
/// earns no flood of retries, and the bound holds from any call on, not only from the first.
///
/// Cloning shares the balance.
#[derive(Clone)]
pub struct Budget(Arc<Balance>);

struct Balance {
    /// What a call pays in.
    share: u64,
    /// Where paying in ends.
    full: u64,
    balance: AtomicU64,
}

impl Budget {
    /// `percent` of the calls may be retried, and `reserve` retries beyond that.
    ///
    /// A percentage above 100 is no mistake: a call may be retried more than once. Without a reserve the balance still
    /// holds one retry, or what one call pays in where that is more.
    #[must_use]
    pub fn new(percent: u32, reserve: u32) -> Self {
        let share = u64::from(percent);
        let reserve = u64::from(reserve) * RETRY;
        Self(Arc::new(Balance {
            share,
            full: reserve.max(RETRY).max(share),
            balance: AtomicU64::new(reserve),
        }))
    }

    /// How many retries could be made at once.
    #[must_use]
    pub fn available(&self) -> u64 {
        self.0.balance.load(Ordering::Relaxed) / RETRY
    }

    /// Pays in for a call.
    pub(crate) fn deposit(&self) {
        let Balance {
            share,
            full,
            balance,
        } = &*self.0;
        let _ = balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
            (held < *full).then(|| held.saturating_add(*share).min(*full))
        });
    }

    /// Takes out a retry; `false` where the balance does not cover one.
    pub(crate) fn withdraw(&self) -> bool {
        self.0
            .balance
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
                held.checked_sub(RETRY)
            })
            .is_ok()
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("percent", &self.0.share)
            .field("available", &self.available())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, proptest};

    use super::*;

    #[test]
    fn reserve_is_there_before_the_first_call_and_ends() {
        let budget = Budget::new(20, 2);
        assert!(budget.withdraw());
        assert!(budget.withdraw());
        assert!(!budget.withdraw());
    }

    #[test]
    fn five_calls_at_twenty_percent_earn_one_retry_without_any_reserve() {
        let budget = Budget::new(20, 0);
        (0..4).for_each(|_| budget.deposit());
        assert!(!budget.withdraw());
        budget.deposit();
        assert!(budget.withdraw());
        assert!(!budget.withdraw());
    }

    #[test]
    fn quiet_times_earn_no_flood_of_retries() {
        let budget = Budget::new(20, 3);
        (0..1000).for_each(|_| budget.deposit());
        assert_eq!(budget.available(), 3);
    }

    #[test]
    fn clones_share_the_balance() {
        let budget = Budget::new(0, 1);
        assert!(budget.clone().withdraw());
        assert!(!budget.withdraw());
    }

    #[test]
    fn largest_values_do_not_overflow() {
        let budget = Budget::new(u32::MAX, u32::MAX);
        budget.deposit();
        assert!(budget.withdraw());
        budget.deposit();
        assert_eq!(budget.available(), u64::from(u32::MAX));
    }

    proptest! {
        /// From any call on, not only from the first.
        #[test]
        fn retries_never_exceed_the_share_of_the_calls_and_the_reserve(
            percent in 0u32..300, reserve in 1u32..20,
            steps in proptest::collection::vec(any::<bool>(), 0..600), from in 0usize..600,
        ) {
            let budget = Budget::new(percent, reserve);
            let (mut calls, mut retries) = (0u64, 0u64);
            for (step, call) in steps.into_iter().enumerate() {
                if call { budget.deposit() }
                let retried = !call && budget.withdraw();
                if step >= from {
                    calls += u64::from(call);
                    retries += u64::from(retried);
                }
                let held = u64::from(reserve).max(u64::from(percent).div_ceil(100));
                let bound = if from == 0 { u64::from(reserve) } else { held };
                prop_assert!(retries * 100 <= u64::from(percent) * calls + bound * 100);
            }
        }

        /// The bound is tight: nobody is refused whom the share and the reserve would cover.
        #[test]
        fn a_retry_per_call_is_never_refused_at_a_full_share(reserve in 0u32..20, calls in 0u32..200) {
            let budget = Budget::new(100, reserve);
            for _ in 0..calls {
                budget.deposit();
                prop_assert!(budget.withdraw());
            }
        }
    }
}
