use std::{sync::Arc, time::Duration};

use tower_qwen_tokens::internal::clock::{self, Instant};

use super::{
    quotas::RatedQuota,
    rate::{Cell, RequestRate},
    table::Entry,
};
use crate::{
    account::{Account, AccountConfig, AdmitRequest, Idle, QuotaStatus},
    cost::Cost,
    key::{Key, KeyRef},
    observe::Observers,
    queue::Discipline,
    quota::{Pacing, Quota, Reserve},
    rejection::{Rejection, RejectionKind},
    reservation::Reservation,
    snapshot::{AccountSnapshot, GateSnapshot},
};

/// The account of one caller at a server: requests by governor, tokens by one of our accounts, all
/// or nothing.
#[derive(Debug)]
pub(crate) struct CallerAccount {
    /// Counts tokens; its requests are unlimited.
    account: Arc<Account>,
    cell: Cell,
    rate: Arc<RequestRate>,
    window: Duration,
}

impl CallerAccount {
    pub(super) fn new(
        key: Key,
        quota: &RatedQuota,
        observers: Observers,
        epoch: Instant,
        now: Instant,
    ) -> Self {
        let config = AccountConfig {
            // A server's calls never wait: they are admitted or rejected at once.
            max_queued: 0,
            discipline: Discipline::Fifo,
            observers,
            // A provider's plan is no matter of a server's callers.
            plan_probe_interval: None,
        };
        let account = Account::new(key, tokens_of(&quota.quota), config, epoch, now);
        Self {
            account: Arc::new(account),
            cell: Cell::default(),
            rate: quota.rate.clone(),
            window: quota.quota.window_length(),
        }
    }

    pub(crate) fn key(&self) -> &Key {
        Account::key(&self.account)
    }

    /// The length of the quota's window.
    pub(crate) fn window(&self) -> Duration {
        self.window
    }

    /// Takes one request and the tokens of this cost, or nothing.
    pub(crate) fn try_reserve(&self, cost: Cost) -> Result<Reservation, Rejection> {
        let now = clock::now();
        if self.rate.is_closed() {
            return Err(self.rejection(RejectionKind::Closed, None, now));
        }
        let request_wait = self.rate.wait(&self.cell, now);
        if !request_wait.is_zero() {
            // Both waits are needed: `Retry-After` promises that a call after it is admitted.
            let token_wait = self
                .account
                .wait_of(cost, now)
                .map_err(|_| self.rejection(RejectionKind::TooLarge, None, now))?;
            let kind = if token_wait > request_wait {
                RejectionKind::Tokens
            } else {
                RejectionKind::Requests
            };
            return Err(self.rejection(kind, Some(request_wait.max(token_wait)), now));
        }
        // Tokens first: they can be given back (by dropping the reservation), a request of
        // governor's cannot.
        let charge = self
            .account
            .try_acquire(&AdmitRequest::new(cost), now)
            .map_err(|rejected| {
                let wait = rejected.predicted_wait();
                let kind = match wait {
                    Some(_) => RejectionKind::Tokens,
                    None => RejectionKind::TooLarge,
                };
                self.rejection(kind, wait, now)
            })?;
        let reservation = Reservation::new(self.account.clone(), charge, None);
        match self.rate.take(&self.cell) {
            Ok(()) => Ok(reservation),
            // Another call of the same caller took the last request in between.
            Err(wait) => Err(self.rejection(RejectionKind::Requests, Some(wait), now)),
        }
    }

    fn rejection(&self, kind: RejectionKind, wait: Option<Duration>, now: Instant) -> Rejection {
        let limit = match kind {
            RejectionKind::Requests => self.rate.limit(),
            RejectionKind::Tokens | RejectionKind::TooLarge => self.token_status(now).limit,
            RejectionKind::Closed => 0,
        };
        Rejection {
            kind,
            key: self.key().clone(),
            wait,
            limit,
            window: self.window,
            is_shadow: false,
        }
    }

    /// The requests of the caller; `None` when they are unlimited.
    pub(crate) fn request_status(&self, now: Instant) -> Option<QuotaStatus> {
        self.rate.status(&self.cell, now)
    }

    /// The tokens of the caller.
    pub(crate) fn token_status(&self, now: Instant) -> QuotaStatus {
        self.account.token_status(now)
    }

    pub(super) fn snapshot(&self, now: Instant) -> AccountSnapshot {
        let mut snapshot = self.account.snapshot(now);
        if let Some(requests) = self.request_status(now) {
            snapshot.requests = GateSnapshot {
                quota: requests.limit,
                used: requests.limit - requests.remaining,
                level: i64::try_from(requests.remaining).ok(),
                // No throttle slows a server's own quota.
                believed: requests.limit,
                rate_percent: 100,
            };
        }
        snapshot
    }
}

impl Entry for Arc<CallerAccount> {
    fn key_ref(&self) -> KeyRef<'_> {
        CallerAccount::key(self).as_ref()
    }

    fn idle(&self, now: Instant) -> Idle {
        let in_use = Arc::strong_count(self) > 1 || Arc::strong_count(&self.account) > 1;
        let has_used_requests = self
            .request_status(now)
            .is_some_and(|requests| requests.remaining < requests.limit);
        if in_use || has_used_requests {
            return Idle::Busy;
        }
        // The account counts the tokens alone; the requests were looked at above.
        self.account.idle(now)
    }
}

/// The tokens of a quota as the server that grants it counts them: no pacing and no headroom, which
/// protect clients from being throttled. The requests are unlimited here, because governor counts
/// them.
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
