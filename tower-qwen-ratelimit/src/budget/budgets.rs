use std::sync::{Arc, PoisonError};

use tower_qwen_tokens::PriceBook;

use super::{
    AcquireBudget, Budget, BudgetError, BudgetReservation, BudgetTable, Group, InvalidBudgets,
    Rates,
    call::{BudgetCall, BudgetedCall},
    lease_wait::Reserving,
    prices::Prices,
    shared::SharedBudgets,
    sums::since_1970,
};
#[cfg(feature = "redis")]
use super::{
    accounts::Fault, amount::Unit, counter::LimitCounter, learned::CallerId, lease_wait::LeaseWait,
    need::Need, reports::BudgetFleet,
};
use crate::{cost::Cost, units::Nanos};
#[cfg(feature = "redis")]
use crate::{limit::LimitKind, period::Period};

/// Budgets of tenants and groups of tenants, in money, tokens or requests, which reject what does not fit.
/// Clones share everything; see the [module docs](super).
#[derive(Debug, Clone)]
pub struct Budgets {
    pub(super) inner: Arc<SharedBudgets>,
    /// The store that a fleet shares.
    #[cfg(feature = "redis")]
    pub(super) fleet: Option<Arc<BudgetFleet>>,
}

impl Budgets {
    /// Reserves what a call is expected to cost, in every budget of the tenant and of the groups above
    /// it, or nothing. The tenant `""` is that of calls that name none.
    ///
    /// The layers do this; it is for programs without them. In a fleet it takes what this process holds
    /// of the limits, and does not ask the store for more, as [`Budgets::acquire`] does.
    ///
    /// # Errors
    ///
    /// [`BudgetError`]: a limit does not fit, or cannot count the call.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_qwen_ratelimit::{
    ///     Budget, Budgets, Cost, OutputLimit,
    ///     budget::{Amount, BudgetError, BudgetTable},
    ///     period::{Period, TimeZone},
    /// };
    /// use tower_qwen_tokens::{PriceBook, Usage};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let day = Budget::new("0.01 USD".parse::<Amount>()?, Period::day(TimeZone::UTC));
    /// let budgets = Budgets::builder(PriceBook::builtin())
    ///     .table(BudgetTable::new().tenant("search", day))
    ///     .build()?;
    ///
    /// let call = Cost::new(10_000, OutputLimit::AtMost(1_000));
    /// let reservation = budgets.reserve("search", "qwen-plus", call)?;
    /// reservation.mark_sent();
    /// reservation.settle(&Usage::new(9_800, 200));
    /// assert_eq!(budgets.snapshot().limits[0].spent.to_string(), "0.00416 USD");
    ///
    /// let large = Cost::new(15_000, OutputLimit::AtMost(1_000));
    /// let error = budgets.reserve("search", "qwen-plus", large).map(drop).unwrap_err();
    /// let BudgetError::Exceeded(exceeded) = error else { return Err(error.into()) };
    /// assert_eq!(exceeded.limit.to_string(), "0.01 USD");
    /// assert!(exceeded.resets_at.is_some());
    /// # Ok(())
    /// # }
    /// ```
    pub fn reserve(
        &self,
        tenant: &str,
        model: impl Into<Arc<str>>,
        cost: Cost,
    ) -> Result<BudgetReservation, BudgetError> {
        let call = BudgetCall::new(model.into(), cost);
        self.inner
            .reserve_call(tenant, call, false)
            .map(|granted| granted.reservation)
    }

    /// The same, waiting for the store of a fleet ([`BudgetsBuilder::store`](super::BudgetsBuilder)) where
    /// the process has too little of a limit: one round trip, twice the store's timeout at most. Without a
    /// store it is ready at once, as [`Budgets::reserve`] is.
    ///
    /// # Errors
    ///
    /// As a result of the future, [`BudgetError`]: a limit does not fit, or cannot count the call.
    pub fn acquire(&self, tenant: &str, model: impl Into<Arc<str>>, cost: Cost) -> AcquireBudget {
        let call = BudgetCall::new(model.into(), cost);
        AcquireBudget::new(self.acquire_call(tenant, call, false))
    }

    /// The same, where a store is asked for what the process has too little of.
    pub(crate) fn acquire_call(
        &self,
        tenant: &str,
        call: BudgetCall,
        is_shadow: bool,
    ) -> Reserving {
        let prices = self.inner.prices();
        let at = self.inner.clock.now();
        let call = self.inner.estimate((tenant, call), &prices, at);
        self.acquire_estimated(tenant, call, prices, (since_1970(at), is_shadow))
    }

    /// Reserves one request and exactly these tokens, which nobody pays for.
    #[cfg(feature = "redis")]
    pub(crate) fn acquire_counted(
        &self,
        tenant: &str,
        (input_tokens, output_tokens): (u64, u64),
    ) -> Reserving {
        let call = BudgetedCall {
            // It is not estimated, and nothing is learned from it.
            caller: CallerId::default(),
            model: Arc::default(),
            answers: 1,
            is_batch: false,
            account: None,
            need: Need::of_request(input_tokens, output_tokens, None),
        };
        let (prices, now) = (self.inner.prices(), self.inner.now());
        self.acquire_estimated(tenant, call, prices, (now, false))
    }

    fn acquire_estimated(
        &self,
        tenant: &str,
        call: BudgetedCall,
        prices: Arc<Prices>,
        (now, is_shadow): (Nanos, bool),
    ) -> Reserving {
        let inner = &self.inner;
        let fit = inner.reserve(tenant, &call.need, &prices.rates, is_shadow, now);
        #[cfg(feature = "redis")]
        if let (Err(Fault::Unleased(_)), Some(fleet)) = (&fit, &self.fleet) {
            let wait = LeaseWait::new(inner, fleet, tenant.into(), call, prices, is_shadow);
            return Reserving::Waits(wait);
        }
        Reserving::Done(inner.finish(fit, (tenant, call), prices, is_shadow))
    }

    /// What is left of a tenant's limit, as far as this process knows; `None` where there is none.
    #[cfg(feature = "redis")]
    pub(crate) fn left(&self, tenant: &str, kind: LimitKind, period: Period) -> Option<u64> {
        let now = self.inner.now();
        let mut accounts = self.inner.accounts();
        let id = accounts.account_of(tenant, now)?;
        let account = accounts.places.get(id)?;
        let mut counters = account.counters.iter_mut();
        let is_it = |counter: &&mut LimitCounter| {
            (counter.unit, counter.period) == (Unit::Counted(kind), period)
        };
        let counter = counters.find(is_it)?;
        counter.advance(now);
        Some(u64::try_from(counter.left()).unwrap_or(u64::MAX))
    }

    /// Takes the budgets anew of all tenants that the table does not name.
    #[cfg(feature = "redis")]
    pub(crate) fn names_changed(&self) {
        let now = self.inner.now();
        let mut accounts = self.inner.accounts();
        let table = BudgetTable::clone(&accounts.table);
        accounts.set_table(table, now);
    }

    /// The budgets as they are set.
    pub fn table(&self) -> BudgetTable {
        BudgetTable::clone(&self.inner.accounts().table)
    }

    /// Replaces all budgets at once. A limit of the same owner, unit and period goes on with what is
    /// reserved and spent, also if its amount is another one. A limit of another period begins with what the owner
    /// has spent and reserved, in that unit, in a period that lies within its own. Calls under way
    /// settle where they were reserved.
    ///
    /// # Errors
    ///
    /// [`InvalidBudgets`]; then nothing is changed.
    pub fn set_table(&self, table: BudgetTable) -> Result<(), InvalidBudgets> {
        self.change(|known| *known = table)
    }

    /// Gives a tenant a budget of its own; see [`Budgets::set_table`].
    ///
    /// # Errors
    ///
    /// [`InvalidBudgets`]; then nothing is changed.
    pub fn set_tenant(
        &self,
        name: impl Into<Arc<str>>,
        budget: Budget,
    ) -> Result<(), InvalidBudgets> {
        self.change(|table| *table = std::mem::take(table).tenant(name, budget))
    }

    /// Replaces a group, its members too, or adds one; see [`Budgets::set_table`].
    ///
    /// # Errors
    ///
    /// [`InvalidBudgets`]; then nothing is changed.
    pub fn set_group(&self, name: impl Into<Arc<str>>, group: Group) -> Result<(), InvalidBudgets> {
        self.change(|table| *table = std::mem::take(table).group(name, group))
    }

    /// Changes the budget of all tenants without one of their own; see [`Budgets::set_table`].
    ///
    /// # Errors
    ///
    /// [`InvalidBudgets`]; then nothing is changed.
    pub fn set_default(&self, budget: Budget) -> Result<(), InvalidBudgets> {
        self.change(|table| *table = std::mem::take(table).default_budget(budget))
    }

    fn change(&self, change: impl FnOnce(&mut BudgetTable)) -> Result<(), InvalidBudgets> {
        // One lock for reading, checking and writing: two changes at one time both count.
        let mut accounts = self.inner.accounts();
        let mut table = BudgetTable::clone(&accounts.table);
        change(&mut table);
        table.check()?;
        accounts.set_table(table, self.inner.now());
        Ok(())
    }

    /// Prices and converts calls by other figures from now on. Calls under way settle by the old ones. Prices of
    /// single accounts ([`account_prices`](super::BudgetsBuilder::account_prices)) stay.
    pub fn set_prices(&self, book: PriceBook, rates: Rates) {
        let known = self.inner.prices.write();
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        let by_account = Arc::clone(&known.by_account);
        *known = Arc::new(Prices {
            book,
            by_account,
            rates,
        });
    }
}
