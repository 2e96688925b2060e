//! Holds one account per key and admits calls to them.

mod builder;
mod rate;
mod table;
mod tenant;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use tower_qwen_tokens::internal::clock::{self, Instant};

#[cfg(feature = "redis")]
use crate::fleet::Handle;
use crate::{
    account::{Account, AccountConfig, AdmitRequest},
    acquire::Acquire,
    cost::Cost,
    error::Rejected,
    key::{Key, KeyRef, Salt},
    quota::Quota,
    reservation::Reservation,
    snapshot::AccountSnapshot,
};

use self::{rate::RequestRate, table::Table};

pub use builder::{InvalidLimiter, LimiterBuilder};

pub(crate) use tenant::{Denied, Dimension, Tenant};

/// Admits calls by requests and tokens. Clones share the accounts.
///
/// # Accounts
///
/// Every key has an account of its own, up to [`LimiterBuilder::max_keys`]. An account that is level (no call under way,
/// nothing charged within the latest window, no throttle remembered) makes room for new keys; those that find no room
/// share one account ([`Key::is_overflow`]), so that a flood of random keys costs bounded memory and takes nothing from
/// those who were there before.
///
/// # Examples
///
/// ```
/// use tower_qwen_ratelimit::{Cost, Key, Limiter, OutputLimit, Quota};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), tower_qwen_ratelimit::Rejected> {
/// let limiter = Limiter::new(Quota::per_minute(800, 800_000));
/// let key = Key::new("https://dashscope.aliyuncs.com", "qwen-plus");
///
/// let reservation = limiter.acquire(&key, Cost::new(1_200, OutputLimit::AtMost(500))).await?;
/// reservation.mark_sent();
/// // ... the call goes out, its answer says what it cost ...
/// reservation.settle(1_180, 212);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Limiter {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    quotas: RwLock<Quotas>,
    config: AccountConfig,
    /// The store that a fleet shares.
    #[cfg(feature = "redis")]
    fleet: Option<Handle>,
    epoch: Instant,
    salt: Salt,
    /// Those that wait for their turn.
    accounts: Table<Arc<Account>>,
    /// Those that are refused at once.
    tenants: Table<Arc<Tenant>>,
}

#[derive(Debug)]
struct Quotas {
    default: Grant,
    of_model: HashMap<Box<str>, Grant>,
}

/// A quota, and its requests as a server counts them.
#[derive(Debug)]
struct Grant {
    quota: Quota,
    rate: Arc<RequestRate>,
}

impl Limiter {
    /// A limiter that grants every key this quota.
    #[must_use]
    pub fn new(quota: Quota) -> Self {
        LimiterBuilder::new(quota).finish()
    }

    /// The same, with at most `max_queued` calls waiting per key; more are refused. Default: no limit.
    #[must_use]
    pub fn with_max_queued(quota: Quota, max_queued: usize) -> Self {
        LimiterBuilder::new(quota).max_queued(max_queued).finish()
    }

    /// A limiter with more settings.
    ///
    /// ```
    /// use tower_qwen_ratelimit::{Limiter, Quota};
    ///
    /// # fn main() -> Result<(), tower_qwen_ratelimit::InvalidLimiter> {
    /// let limiter = Limiter::builder(Quota::per_minute(60, 100_000))
    ///     .quota_for("qwen3-max", Quota::per_minute(10, 50_000))
    ///     .max_keys(50_000)
    ///     .build()?;
    /// # let _ = limiter;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(quota: Quota) -> LimiterBuilder {
        LimiterBuilder::new(quota)
    }

    /// Waits for the quota that a call of this cost needs.
    ///
    /// Without further settings the call arrives when this is first polled and waits as long as it takes; see [`Acquire`].
    pub fn acquire(&self, key: &Key, cost: Cost) -> Acquire {
        Acquire::new(self.account(key.as_ref()), cost)
    }

    /// Takes the quota that a call of this cost needs if it is there now, and otherwise refuses it. Never waits, and
    /// overtakes nobody who does. Under [`Discipline::Fair`](crate::Discipline::Fair) it is charged to the flow of calls without
    /// a tenant; [`Acquire::try_now`] is charged to another one.
    ///
    /// # Errors
    ///
    /// [`Rejected`]: the call would have to wait, and for how long; or it costs more than a whole window. Where calls are
    /// booked at a store ([`Sharing::Booking`](crate::Sharing::Booking)) that takes a round trip, so it is always refused.
    pub fn try_acquire(&self, key: &Key, cost: Cost) -> Result<Reservation, Rejected> {
        let account = self.account(key.as_ref());
        let charge = account.try_acquire(&AdmitRequest::new(cost), clock::now())?;
        Ok(Reservation::new(account, charge, None))
    }

    /// The quota that every key is granted whose model has none of its own.
    pub fn quota(&self) -> Quota {
        self.inner.quotas().default.quota
    }

    /// The quota of a model.
    pub fn quota_of(&self, model: &str) -> Quota {
        self.inner.quotas().of(model).quota
    }

    /// Grants every key this quota from now on whose model has none of its own; of the same window and pacing, and without
    /// tokens of a day where a fleet leases.
    ///
    /// What was charged stays charged, and whoever waits looks again. At a server, callers that are known keep their rate
    /// of requests until they have been idle.
    pub fn set_quota(&self, quota: Quota) {
        let inner = &*self.inner;
        let now = clock::now();
        let mut quotas = inner.quotas.write().unwrap_or_else(PoisonError::into_inner);
        quotas.default = Grant::new(quota, inner.epoch);
        // Not held while accounts are looked at: a newcomer reads it under the lock of theirs.
        let others: HashSet<Box<str>> = quotas.of_model.keys().cloned().collect();
        drop(quotas);
        inner.accounts.for_each(|account| {
            if !others.contains(account.key().model()) {
                account.set_quota(quota, now);
            }
        });
    }

    /// Grants a model this quota from now on; see [`Limiter::set_quota`].
    pub fn set_quota_for(&self, model: &str, quota: Quota) {
        let inner = &*self.inner;
        let now = clock::now();
        let mut quotas = inner.quotas.write().unwrap_or_else(PoisonError::into_inner);
        quotas
            .of_model
            .insert(model.into(), Grant::new(quota, inner.epoch));
        drop(quotas);
        inner.accounts.for_each(|account| {
            if account.key().model() == model {
                account.set_quota(quota, now);
            }
        });
    }

    /// All accounts as they are now, in no particular order.
    #[must_use]
    pub fn snapshot(&self) -> Vec<AccountSnapshot> {
        let now = clock::now();
        let mut snapshots = Vec::new();
        self.inner
            .accounts
            .for_each(|account| snapshots.push(account.snapshot(now)));
        self.inner
            .tenants
            .for_each(|tenant| snapshots.push(tenant.snapshot(now)));
        snapshots
    }

    pub(crate) fn account(&self, key: KeyRef<'_>) -> Arc<Account> {
        let inner = &*self.inner;
        inner.accounts.get(key, clock::now, |key, now| {
            let quota = inner.quotas().of(key.model).quota;
            let (key, config, epoch) = (key.to_key(), inner.config.clone(), inner.epoch);
            #[cfg(feature = "redis")]
            if let Some(link) = &inner.fleet {
                return Account::in_fleet(link, key, quota, config, epoch, now);
            }
            Arc::new(Account::new(key, quota, config, epoch, now))
        })
    }

    /// The account of a caller at a server.
    pub(crate) fn tenant(&self, key: KeyRef<'_>) -> Arc<Tenant> {
        let inner = &*self.inner;
        inner.tenants.get(key, clock::now, |key, now| {
            let quotas = inner.quotas();
            let Grant { quota, rate } = quotas.of(key.model);
            Arc::new(Tenant::new(
                key.to_key(),
                quota,
                rate.clone(),
                inner.config.observers.clone(),
                inner.epoch,
                now,
            ))
        })
    }

    pub(crate) fn salt(&self) -> &Salt {
        &self.inner.salt
    }
}

impl Inner {
    fn quotas(&self) -> RwLockReadGuard<'_, Quotas> {
        self.quotas.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Quotas {
    fn of(&self, model: &str) -> &Grant {
        self.of_model.get(model).unwrap_or(&self.default)
    }
}

impl Grant {
    fn new(quota: Quota, epoch: Instant) -> Self {
        let rate = Arc::new(RequestRate::new(&quota, epoch));
        Self { quota, rate }
    }
}
