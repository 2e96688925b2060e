use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use super::{Handle, Op};
use crate::{
    budget::BudgetsBuilder,
    fleet::redis::RedisStore,
    leased_amounts::{AmountStore, LeaseReport, LeasedBudgets},
    sharing::OutagePolicy,
};

impl AmountStore for Handle {
    fn next_holder(&self) -> u64 {
        self.next_id()
    }

    fn members(&self) -> u64 {
        crate::fleet::Link::members(self)
    }

    fn outage_policy(&self) -> OutagePolicy {
        self.terms().outage
    }

    fn timeout(&self) -> Duration {
        self.terms().timeout
    }

    fn capacity(&self) -> usize {
        self.terms().capacity
    }

    fn request_report(&self) {
        self.request_leases();
    }

    fn push_last_report(&self, report: LeaseReport) {
        self.push(Op::ReturnLeases(report));
    }

    fn join(&self, budgets: Weak<dyn LeasedBudgets>) -> bool {
        self.add_budgets(budgets)
    }
}

impl BudgetsBuilder {
    /// Shares the budgets with the other processes of a fleet: of each limit, all of them together spend
    /// what is left of it at the store. A process takes amounts beforehand and serves calls from them; what
    /// it lacks is one round trip. All processes have the same table and namespace. Default: budgets are
    /// local to the process.
    ///
    /// At the end of a program drop the budgets and the store, and wait for the driver: so what the process
    /// has not used comes back at once. What a process has that is killed is lost to a calendar period, and
    /// comes back to a rolling one after the period and 10 to 60 seconds.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use tower_qwen_ratelimit::{
    ///     Budget, Budgets,
    ///     budget::{Amount, BudgetTable},
    ///     fleet::redis::RedisStore,
    ///     period::{Period, TimeZone},
    /// };
    /// use tower_qwen_tokens::PriceBook;
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let (store, driver) = RedisStore::connect("redis://127.0.0.1:6379").await?;
    /// tokio::spawn(driver);
    /// let day = Budget::new("20 USD".parse::<Amount>()?, Period::day(TimeZone::UTC));
    /// let budgets = Budgets::builder(PriceBook::builtin())
    ///     .table(BudgetTable::new().default_budget(day))
    ///     .store(&store)
    ///     .build()?;
    /// # let _ = budgets;
    /// # Ok(())
    /// # }
    /// ```
    pub fn store(self, store: &RedisStore) -> Self {
        self.over(Arc::new(store.link().clone()))
    }
}
