//! Holds one account per key and admits calls to them.

use std::{
    hash::RandomState,
    sync::{Arc, PoisonError, RwLock},
};

use hashbrown::HashTable;
use tower_qwen_tokens::clock::{self, Instant};

use crate::{
    account::Account,
    acquire::Acquire,
    cost::Cost,
    key::{Key, KeyRef},
    quota::Quota,
    snapshot::AccountSnapshot,
};

/// Admits calls by requests and tokens. Clones share the accounts.
///
/// # Examples
///
/// ```
/// use tower_qwen_ratelimit::{Cost, Key, Limiter, Output, Quota};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), tower_qwen_ratelimit::Rejected> {
/// let limiter = Limiter::new(Quota::per_minute(800, 800_000));
/// let key = Key::new("https://dashscope.aliyuncs.com", "qwen-plus");
///
/// let reservation = limiter.acquire(&key, Cost::new(1_200, Output::AtMost(500))).await?;
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
    quota: Quota,
    max_queued: usize,
    epoch: Instant,
    hasher: RandomState,
    accounts: RwLock<HashTable<Arc<Account>>>,
}

impl Limiter {
    /// A limiter that grants every key this quota.
    #[must_use]
    pub fn new(quota: Quota) -> Self {
        Self::with_max_queued(quota, usize::MAX)
    }

    /// The same, with at most `max_queued` calls waiting per key; more are refused. Default: no limit.
    #[must_use]
    pub fn with_max_queued(quota: Quota, max_queued: usize) -> Self {
        Self {
            inner: Arc::new(Inner {
                quota,
                max_queued,
                epoch: clock::now(),
                hasher: RandomState::new(),
                accounts: RwLock::default(),
            }),
        }
    }

    /// Waits for the quota that a call of this cost needs.
    ///
    /// Without further settings the call arrives now and waits as long as it takes; see [`Acquire`].
    pub fn acquire(&self, key: &Key, cost: Cost) -> Acquire {
        Acquire::new(self.account(key.as_ref()), cost)
    }

    /// The quota that every key is granted.
    pub fn quota(&self) -> Quota {
        self.inner.quota
    }

    /// All accounts as they are now, in no particular order.
    #[must_use]
    pub fn snapshot(&self) -> Vec<AccountSnapshot> {
        let now = clock::now();
        let accounts = self
            .inner
            .accounts
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        accounts
            .iter()
            .map(|account| account.snapshot(now))
            .collect()
    }

    pub(crate) fn account(&self, key: KeyRef<'_>) -> Arc<Account> {
        let inner = &*self.inner;
        let hash = key.hash_with(&inner.hasher);
        let is_key = |account: &Arc<Account>| account.key().as_ref() == key;
        let accounts = inner
            .accounts
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = accounts.find(hash, is_key) {
            return account.clone();
        }
        drop(accounts);
        let mut accounts = inner
            .accounts
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        accounts
            .entry(hash, is_key, |account| {
                account.key().as_ref().hash_with(&inner.hasher)
            })
            .or_insert_with(|| {
                Arc::new(Account::new(
                    key.to_key(),
                    inner.quota,
                    inner.max_queued,
                    inner.epoch,
                    clock::now(),
                ))
            })
            .get()
            .clone()
    }
}
