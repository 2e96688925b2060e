use std::{
    collections::HashMap,
    sync::{Arc, Mutex, RwLock},
};

use tower_qwen_tokens::{AccountId, PriceBook, internal::clock::WallClock};

use super::{
    BudgetObserver, BudgetTable, Budgets, BudgetsByName, InvalidBudgets, Rates, Unpriced,
    accounts::Accounts, event::BudgetObservers, prices::Prices, shared::SharedBudgets,
    sums::since_1970,
};
#[cfg(feature = "redis")]
use super::{
    reports::{BudgetFleet, BudgetsEnd},
    shared::EndOfBudgets,
};
#[cfg(feature = "redis")]
use crate::leased_amounts::AmountStore;
use crate::quota::Reserve;

/// The default of [`BudgetsBuilder::max_tenants`]: as many as a limiter has keys. An account in one
/// calendar period takes some hundreds of bytes, one in a rolling period 2 KiB more.
const DEFAULT_MAX_TENANTS: usize = 16_384;

/// Settings of [`Budgets`]; see [`Budgets::builder`].
#[derive(Debug, Clone)]
#[must_use]
pub struct BudgetsBuilder {
    prices: PriceBook,
    account_prices: HashMap<AccountId, PriceBook>,
    rates: Rates,
    table: BudgetTable,
    max_tenants: usize,
    reserve: Reserve,
    unpriced: Unpriced,
    observers: BudgetObservers,
    by_name: Option<Arc<dyn BudgetsByName>>,
    #[cfg(feature = "redis")]
    fleet: Option<Arc<dyn AmountStore>>,
}

impl Budgets {
    /// Settings of budgets; calls are priced by this book.
    pub fn builder(prices: PriceBook) -> BudgetsBuilder {
        BudgetsBuilder::new(prices)
    }
}

impl BudgetsBuilder {
    fn new(prices: PriceBook) -> Self {
        Self {
            prices,
            account_prices: HashMap::new(),
            rates: Rates::new(),
            table: BudgetTable::new(),
            max_tenants: DEFAULT_MAX_TENANTS,
            reserve: Reserve::Expected,
            unpriced: Unpriced::Reject,
            observers: BudgetObservers::default(),
            by_name: None,
            #[cfg(feature = "redis")]
            fleet: None,
        }
    }

    /// The budgets. Default: none, so that nothing is limited.
    pub fn table(mut self, table: BudgetTable) -> Self {
        self.table = table;
        self
    }

    /// Prices calls of this account of the provider ([`AccountId`], in the request's extensions) by another book: it may be
    /// in another region. Default: all accounts have the prices of the builder.
    pub fn account_prices(mut self, account: AccountId, prices: PriceBook) -> Self {
        self.account_prices.insert(account, prices);
        self
    }

    /// The rates by which calls are converted that are priced in another currency than a budget.
    /// Default: none, so that such calls are rejected.
    pub fn rates(mut self, rates: Rates) -> Self {
        self.rates = rates;
        self
    }

    /// What happens to calls of models without a price where a budget is in money. Default:
    /// [`Unpriced::Reject`].
    pub fn unpriced(mut self, unpriced: Unpriced) -> Self {
        self.unpriced = unpriced;
        self
    }

    /// How much is reserved for answers. Default: [`Reserve::Expected`], what the answers of the model
    /// are expected to have ([`Cost`](crate::Cost) has the figures; until 8 answers are known, the whole
    /// ceiling or 4,096 tokens). With [`Reserve::Ceiling`] a call cannot exceed its budget by its answer.
    pub fn reserve(mut self, reserve: Reserve) -> Self {
        self.reserve = reserve;
        self
    }

    /// The most tenants with the default budget at one time; tenants that the table names do not count.
    /// One that has nothing reserved or spent makes room for others. Above that, all further ones share
    /// one more default budget. Default: 16,384.
    pub fn max_tenants(mut self, tenants: usize) -> Self {
        self.max_tenants = tenants;
        self
    }

    /// Adds an observer: lines that are reached, rejections, calls without a price. Default: none.
    pub fn observe(mut self, observer: impl BudgetObserver + 'static) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }

    /// The budgets of all tenants that the table does not name.
    #[cfg(feature = "redis")]
    pub(crate) fn by_name(mut self, by_name: Arc<dyn BudgetsByName>) -> Self {
        self.by_name = Some(by_name);
        self
    }

    /// Shares the budgets over a store.
    #[cfg(feature = "redis")]
    pub(crate) fn over(mut self, store: Arc<dyn AmountStore>) -> Self {
        self.fleet = Some(store);
        self
    }

    /// The budgets, with nothing spent.
    ///
    /// # Errors
    ///
    /// [`InvalidBudgets`].
    pub fn build(self) -> Result<Budgets, InvalidBudgets> {
        self.table.check()?;
        if self.max_tenants == 0 {
            return Err(InvalidBudgets::NoTenants);
        }
        let clock = WallClock::new();
        let now = since_1970(clock.now());
        let prices = Prices {
            book: self.prices,
            by_account: Arc::new(self.account_prices),
            rates: self.rates,
        };
        #[cfg_attr(
            not(feature = "redis"),
            expect(unused_mut, reason = "a fleet shares it")
        )]
        let mut accounts = Accounts::new(self.table, self.by_name, self.max_tenants, now);
        #[cfg(feature = "redis")]
        if self.fleet.is_some() {
            accounts.share(now);
        }
        #[cfg(feature = "redis")]
        let fleet = self.fleet.map(|store| Arc::new(BudgetFleet::new(store)));
        let inner = Arc::new(SharedBudgets {
            accounts: Mutex::new(accounts),
            #[cfg(feature = "redis")]
            end: fleet
                .as_ref()
                .map(|fleet| Box::new(BudgetsEnd(fleet.clone())) as Box<dyn EndOfBudgets>),
            learned: Mutex::default(),
            prices: RwLock::new(Arc::new(prices)),
            reserve: self.reserve,
            unpriced: self.unpriced,
            observers: self.observers,
            clock,
        });
        #[cfg(feature = "redis")]
        if let Some(fleet) = &fleet {
            fleet.join(&inner);
        }
        Ok(Budgets {
            inner,
            #[cfg(feature = "redis")]
            fleet,
        })
    }
}
