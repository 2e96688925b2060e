use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tower_qwen_tokens::internal::clock::{self, Instant};

#[cfg(feature = "redis")]
use super::fleet_of_callers::FleetOfCallers;
use super::{
    CallerAccount,
    faults::{InvalidLimiter, check},
    quotas::{Quotas, RatedQuotas},
    table::Table,
};
#[cfg(feature = "redis")]
use crate::fleet::Handle;
use crate::{
    account::{Account, AccountConfig, AdmitRequest},
    acquire::Acquire,
    cost::Cost,
    error::Rejected,
    key::{Key, KeyRef, NameRef, Salt},
    quota::Quota,
    reservation::Reservation,
    snapshot::AccountSnapshot,
};

/// Admits calls by requests and tokens. Clones share the accounts.
///
/// # Accounts
///
/// Every key has its own account, up to [`LimiterBuilder::max_keys`](crate::LimiterBuilder::max_keys) keys (16,384 by default). An
/// account that holds no information (no call under way, nothing charged within the latest window,
/// no throttle remembered) makes room for new keys. Keys above `max_keys` share one overflow
/// account ([`Key::is_overflow`]), so a flood of random keys uses bounded memory and takes nothing
/// from the keys that were known before.
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
/// // ... send the call; its answer reports 1,180 prompt tokens and 212 answer tokens ...
/// reservation.settle(1_180, 212);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Limiter {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    // Shared, since the leases of a fleet read it too.
    pub(super) quotas: Arc<RwLock<RatedQuotas>>,
    pub(super) config: AccountConfig,
    /// The store that a fleet shares.
    #[cfg(feature = "redis")]
    pub(super) fleet: Option<Handle>,
    /// The fleet that shares the quotas of callers.
    #[cfg(feature = "redis")]
    pub(super) callers_fleet: Option<FleetOfCallers>,
    pub(super) epoch: Instant,
    pub(super) salt: Salt,
    /// The accounts of clients: their calls wait.
    pub(super) accounts: Table<Arc<Account>>,
    /// The accounts of a server's callers: their calls are rejected at once, unless a layer has a queue.
    pub(super) callers: Table<Arc<CallerAccount>>,
}

impl Limiter {
    /// Waits for the quota that a call of this cost needs.
    ///
    /// Without further settings the call arrives when this is first polled and waits as long as it
    /// takes; see [`Acquire`].
    pub fn acquire(&self, key: &Key, cost: Cost) -> Acquire {
        Acquire::new(self.account(key.as_ref()), cost)
    }

    /// Reserves the quota that a call of this cost needs if it is free now, and rejects the call
    /// otherwise. Never waits, and never overtakes a call that waits. Under
    /// [`Discipline::Fair`](crate::Discipline::Fair) it is charged to the flow of calls without a
    /// tenant; [`Acquire::try_now`] takes a tenant.
    ///
    /// # Errors
    ///
    /// [`Rejected`]: the call would have to wait (with the predicted wait), or it costs more than a
    /// whole window. With [`Sharing::Booking`](crate::Sharing::Booking) every reservation takes a
    /// round trip to the store, so every call is rejected.
    pub fn try_acquire(&self, key: &Key, cost: Cost) -> Result<Reservation, Rejected> {
        let account = self.account(key.as_ref());
        let charge = account.try_acquire(&AdmitRequest::new(cost), clock::now())?;
        Ok(Reservation::new(account, charge, None))
    }

    /// The quota of keys that have no other.
    pub fn quota(&self) -> Quota {
        self.quotas().default_of_all()
    }

    /// The quota of a model.
    pub fn quota_of(&self, model: &str) -> Quota {
        self.quotas().of(KeyRef::new(NameRef::Anyone, model))
    }

    /// The quota of a key's account.
    pub fn quota_of_key(&self, key: &Key) -> Quota {
        self.inner.quotas().of(key.as_ref()).quota
    }

    /// All quotas.
    pub fn quotas(&self) -> Quotas {
        self.inner.quotas().quotas()
    }

    /// Changes the quota of all keys that have no other; see [`Limiter::change_quotas`].
    ///
    /// # Errors
    ///
    /// Those of [`Limiter::change_quotas`].
    pub fn set_quota(&self, quota: Quota) -> Result<(), InvalidLimiter> {
        self.change_quotas(|quotas| quotas.default_quota(quota))
    }

    /// Changes the quota of a model; see [`Limiter::change_quotas`].
    ///
    /// # Errors
    ///
    /// Those of [`Limiter::change_quotas`].
    pub fn set_quota_for(&self, model: &str, quota: Quota) -> Result<(), InvalidLimiter> {
        self.change_quotas(|quotas| quotas.model(model, quota))
    }

    /// Changes one quota or all of them, in one step. The closure gets the quotas of now and runs under
    /// their lock: it must not use the limiter.
    ///
    /// Accounts whose quota stays are left as they are. In the others what was charged within the window
    /// stays charged, what calls have reserved stays reserved, debt is forgiven, and the waits of queued
    /// calls are computed again. In a fleet the store keeps its debt, of two windows at most; every
    /// process has to make the same change.
    ///
    /// # Errors
    ///
    /// [`InvalidLimiter`], and nothing changes: a quota fails [`Quota::check`], has no name, or does not
    /// fit the store (see [`LimiterBuilder::build`](crate::LimiterBuilder::build)).
    pub fn change_quotas(
        &self,
        change: impl FnOnce(Quotas) -> Quotas,
    ) -> Result<(), InvalidLimiter> {
        let inner = &*self.inner;
        let now = clock::now();
        let mut quotas = inner.quotas_mut();
        let changed = change(quotas.quotas());
        check(
            &changed,
            #[cfg(feature = "redis")]
            inner.fleet.as_ref().map(|link| link.terms().sharing),
        )
        .map_err(InvalidLimiter)?;
        *quotas = RatedQuotas::new(&changed, inner.epoch);
        // Lock order: a table's shard, then the quotas (a new account reads its quota under its
        // shard's lock). So the quotas are released before the accounts are visited.
        drop(quotas);
        #[cfg(feature = "redis")]
        if let Some(fleet) = &inner.callers_fleet {
            fleet.quotas_changed();
        }
        inner.accounts.for_each(|account| {
            // Read anew for each, and not taken from `changed`: two changes at one time must leave all
            // accounts with the later one.
            let quota = inner.quotas().of(account.key().as_ref()).quota;
            account.set_quota(quota, now);
        });
        inner.callers.for_each(|caller| {
            let quotas = inner.quotas();
            caller.set_quota(quotas.of(caller.key().as_ref()), now);
        });
        Ok(())
    }

    /// Goes on from what an earlier process has learned of this key's quota: the `believed` figures
    /// of its last [`Limiter::snapshot`]. It is as if the provider had just throttled at these: they
    /// are held for three windows (two where the quota is a start), and then more is looked for, up to
    /// the quota, or beyond where it is a start. Figures above a plain quota are taken as the quota.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_qwen_ratelimit::{Key, Limiter, Quota};
    ///
    /// let key = Key::new("https://dashscope.aliyuncs.com", "qwen-plus");
    /// // Saved by the process before: 700 requests and 650,000 tokens.
    /// let limiter = Limiter::new(Quota::discover());
    /// limiter.believe(&key, 700, 650_000);
    /// let account = &limiter.snapshot()[0];
    /// assert_eq!((account.requests.believed, account.tokens.believed), (700, 650_000));
    /// ```
    pub fn believe(&self, key: &Key, requests: u64, tokens: u64) {
        self.account(key.as_ref())
            .believe(requests, tokens, clock::now());
    }

    /// All accounts as they are now, in no particular order.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_qwen_ratelimit::{Cost, Key, Limiter, OutputLimit, Quota};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let limiter = Limiter::new(Quota::per_minute(60, 100_000));
    /// let key = Key::new("https://dashscope.aliyuncs.com", "qwen-plus");
    /// let reservation = limiter.acquire(&key, Cost::new(300, OutputLimit::AtMost(200))).await?;
    ///
    /// let account = limiter.snapshot().into_iter().next().ok_or("one account")?;
    /// assert_eq!(account.key, key);
    /// assert_eq!((account.in_flight, account.queued), (1, 0));
    /// assert_eq!(account.reserved_tokens, 500);
    /// // A window leaves 1 % of 100,000 tokens; the headroom of 2 % is that of the rate.
    /// assert_eq!((account.tokens.used, account.tokens.quota), (500, 99_000));
    /// # drop(reservation);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Vec<AccountSnapshot> {
        let now = clock::now();
        let mut snapshots = Vec::new();
        self.inner
            .accounts
            .for_each(|account| snapshots.push(account.snapshot(now)));
        self.inner
            .callers
            .for_each(|caller| snapshots.push(caller.snapshot(now)));
        snapshots
    }

    /// The account of a client's calls with this key.
    pub(crate) fn account(&self, key: KeyRef<'_>) -> Arc<Account> {
        let inner = &*self.inner;
        inner.accounts.get(key, clock::now, |key, now| {
            let quota = inner.quotas().of(key).quota;
            let (key, config, epoch) = (key.to_key(), inner.config.clone(), inner.epoch);
            #[cfg(feature = "redis")]
            if let Some(link) = &inner.fleet {
                return Account::in_fleet(link, key, quota, config, epoch, now);
            }
            Arc::new(Account::new(key, quota, config, epoch, now))
        })
    }

    /// The account of a caller at a server.
    pub(crate) fn caller_account(&self, key: KeyRef<'_>) -> Arc<CallerAccount> {
        let inner = &*self.inner;
        inner.callers.get(key, clock::now, |key, now| {
            let quotas = inner.quotas();
            let observers = inner.config.observers.clone();
            let quota = quotas.of(key);
            #[cfg_attr(
                not(feature = "redis"),
                expect(unused_mut, reason = "a fleet shares it")
            )]
            let mut account = CallerAccount::new(
                key.to_key(),
                quota,
                observers,
                inner.config.ageing,
                inner.epoch,
                now,
            );
            #[cfg(feature = "redis")]
            if let Some(fleet) = &inner.callers_fleet {
                account.join_fleet(fleet.caller(key));
            }
            Arc::new(account)
        })
    }

    pub(crate) fn salt(&self) -> &Salt {
        &self.inner.salt
    }
}

// A panic elsewhere cannot leave the quotas half-written (a change replaces them in one step), so a
// poisoned lock is used as it is: one panicking observer must not stop all calls.
impl Inner {
    fn quotas(&self) -> RwLockReadGuard<'_, RatedQuotas> {
        self.quotas.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn quotas_mut(&self) -> RwLockWriteGuard<'_, RatedQuotas> {
        self.quotas.write().unwrap_or_else(PoisonError::into_inner)
    }
}
