use std::{sync::Arc, time::Duration};

use tower_qwen_tokens::internal::clock::{self, Instant};

use super::{
    rate::{Cell, RequestRate, RequestsLeft},
    table::Entry,
};
use crate::{
    account::{Account, AccountConfig, AdmitRequest, Idle, TokensLeft},
    cost::Cost,
    key::{Key, KeyRef},
    observe::Observers,
    queue::Discipline,
    quota::{Pacing, Quota, Reserve},
    reservation::Reservation,
    snapshot::{AccountSnapshot, GateSnapshot},
};

/// The account of one caller at a server: requests by governor, tokens by an account of ours, all or nothing.
#[derive(Debug)]
pub(crate) struct Tenant {
    /// Its requests are not limited.
    account: Arc<Account>,
    cell: Cell,
    rate: Arc<RequestRate>,
    window: Duration,
}

/// What a quota counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dimension {
    Requests,
    Tokens,
}

/// Why a call may not go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Denied {
    /// What is short; of two the one that is short for longer.
    pub(crate) dimension: Dimension,
    /// The wait after which it may go; `None` where it never will.
    pub(crate) wait: Option<Duration>,
}

impl Tenant {
    pub(super) fn new(
        key: Key,
        quota: &Quota,
        rate: Arc<RequestRate>,
        observers: Observers,
        epoch: Instant,
        now: Instant,
    ) -> Self {
        let config = AccountConfig {
            max_queued: 0,
            discipline: Discipline::Fifo,
            observers,
        };
        let account = Account::new(key, tokens_of(quota), config, epoch, now);
        Self {
            account: Arc::new(account),
            cell: Cell::default(),
            rate,
            window: quota.window_length(),
        }
    }

    pub(crate) fn key(&self) -> &Key {
        Account::key(&self.account)
    }

    /// What the quota is counted over.
    pub(crate) fn window(&self) -> Duration {
        self.window
    }

    /// Takes one request and the tokens of this cost, or nothing.
    ///
    /// The tokens are taken first, since they can be given back and a request of governor's cannot.
    pub(crate) fn try_reserve(&self, cost: Cost) -> Result<Reservation, Denied> {
        let now = clock::now();
        let short_of = |dimension| move |wait| Denied { dimension, wait };
        if self.rate.is_closed() {
            return Err(short_of(Dimension::Requests)(None));
        }
        let request_wait = self
            .requests_left(now)
            .map_or(Duration::ZERO, |left| left.wait);
        if !request_wait.is_zero() {
            let token_wait = self
                .account
                .wait_of(cost, now)
                .map_err(|_| short_of(Dimension::Tokens)(None))?;
            let dimension = if token_wait > request_wait {
                Dimension::Tokens
            } else {
                Dimension::Requests
            };
            return Err(short_of(dimension)(Some(request_wait.max(token_wait))));
        }
        let charge = self
            .account
            .try_acquire(&AdmitRequest::new(cost), now)
            .map_err(|rejected| short_of(Dimension::Tokens)(rejected.predicted_wait()))?;
        let reservation = Reservation::new(self.account.clone(), charge, None);
        self.rate
            .take(&self.cell)
            .map(|()| reservation)
            .map_err(|wait| short_of(Dimension::Requests)(Some(wait)))
    }

    /// What is left of the requests; `None` where they are not limited.
    pub(crate) fn requests_left(&self, now: Instant) -> Option<RequestsLeft> {
        self.rate.left(&self.cell, now)
    }

    /// What is left of the tokens.
    pub(crate) fn tokens_left(&self, now: Instant) -> TokensLeft {
        self.account.tokens_left(now)
    }

    pub(super) fn snapshot(&self, now: Instant) -> AccountSnapshot {
        let mut snapshot = self.account.snapshot(now);
        if let Some(left) = self.rate.left(&self.cell, now) {
            snapshot.requests = GateSnapshot {
                quota: left.limit,
                used: left.limit - left.now,
                level: i64::try_from(left.now).ok(),
                rate_percent: 100,
            };
        }
        snapshot
    }
}

impl Entry for Arc<Tenant> {
    fn key_ref(&self) -> KeyRef<'_> {
        Tenant::key(self).as_ref()
    }

    fn idle(&self, now: Instant) -> Idle {
        let in_use = Arc::strong_count(self) > 1 || Arc::strong_count(&self.account) > 1;
        let owes = self
            .requests_left(now)
            .is_some_and(|left| left.now < left.limit);
        if in_use || owes {
            return Idle::Busy;
        }
        self.account.idle(now)
    }
}

/// The tokens of a quota as the server counts them that grants it: the whole quota may go at once, and nothing is left
/// unused, since both are the caution of clients. The requests are governor's.
fn tokens_of(quota: &Quota) -> Quota {
    Quota::per_minute(u64::MAX, quota.tokens())
        .window(quota.window_length())
        .pacing(Pacing::Window)
        .headroom(0)
        .concurrency(quota.most_running())
        .tokens_per_day(quota.most_of_a_day())
        .day_begins(quota.day_begins_after())
        .reserve(if quota.holds_ceiling() {
            Reserve::Ceiling
        } else {
            Reserve::Expected
        })
}

#[cfg(test)]
mod tests;
