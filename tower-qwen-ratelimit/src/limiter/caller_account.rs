use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll, ready},
    time::Duration,
};

use tower_qwen_tokens::internal::clock::{self, Instant};

#[cfg(feature = "redis")]
use super::fleet_of_callers::FleetCaller;
use super::{
    quotas::RatedQuota,
    rate::{Cell, RequestRate},
    table::Entry,
};
#[cfg(feature = "redis")]
use crate::budget::{BudgetError, Reserving};
use crate::{
    account::{Account, AccountConfig, AdmitRequest, Idle, QuotaStatus},
    acquire::Acquire,
    budget::{LeaseAnswer, LeaseWait},
    cost::Cost,
    key::{Key, KeyRef},
    limit::{Limit, LimitKind},
    observe::Observers,
    period::Period,
    queue::Discipline,
    quota::{Pacing, Quota, Reserve},
    rejection::{Rejection, RejectionKind},
    reservation::Reservation,
    snapshot::{AccountSnapshot, GateSnapshot},
};

/// When a caller may come again whose store is away: the driver connects again within seconds.
#[cfg(feature = "redis")]
const STORE_AWAY_FOR: Duration = Duration::from_secs(1);
/// An answer of the store that too little is left stands for so long.
#[cfg(feature = "redis")]
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The account of one caller at a server: requests by governor, tokens by one of our accounts, and
/// both by what a fleet shares, all or nothing.
#[derive(Debug)]
pub(crate) struct CallerAccount {
    /// Counts tokens; its requests are unlimited.
    account: Arc<Account>,
    requests: RwLock<Arc<Requests>>,
    /// What a fleet shares of it.
    #[cfg(feature = "redis")]
    fleet: Option<FleetCaller>,
}

/// The decision over a call of a caller.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "it is moved once, into a future of the call"
)]
pub(crate) enum Decision {
    Reserved(Reservation),
    Rejected(Rejection),
    /// The store is asked first; then the call comes with the answer.
    Waits(LeaseWait),
}

#[cfg(test)]
impl Decision {
    /// The decision of a process without a fleet.
    pub(crate) fn at_once(self) -> Result<Reservation, Rejection> {
        match self {
            Self::Reserved(reservation) => Ok(reservation),
            Self::Rejected(rejection) => Err(rejection),
            Self::Waits(_) => panic!("there is no store to wait for"),
        }
    }
}

/// What a fleet says of a call for which this process has reserved.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "it is moved once, into a future of the call"
)]
pub(crate) enum Leasing {
    /// The reservation holds it now; nothing where no fleet shares the quota.
    Leased,
    #[cfg_attr(
        not(feature = "redis"),
        expect(dead_code, reason = "without a store nothing is missing")
    )]
    Rejected(Rejection),
    #[cfg_attr(
        not(feature = "redis"),
        expect(dead_code, reason = "without a store no call waits")
    )]
    Waits(LeaseWait),
}

/// The requests of a caller, under its quota of now.
#[derive(Debug)]
struct Requests {
    cell: Cell,
    rate: Arc<RequestRate>,
    quota: Quota,
}

impl CallerAccount {
    pub(super) fn new(
        key: Key,
        quota: &RatedQuota,
        observers: Observers,
        queue_ageing: Duration,
        epoch: Instant,
        now: Instant,
    ) -> Self {
        let config = AccountConfig {
            // Calls wait only where a layer has a queue, which states its own limit.
            max_queued: usize::MAX,
            // All of them are one caller's.
            discipline: Discipline::Fifo,
            ageing: queue_ageing,
            observers,
            // A provider's plan is no matter of a server's callers.
            plan_probe_interval: None,
        };
        let account = Account::new(key, tokens_of(&quota.quota), config, epoch, now);
        Self {
            account: Arc::new(account),
            requests: RwLock::new(Arc::new(Requests::new(quota))),
            #[cfg(feature = "redis")]
            fleet: None,
        }
    }

    /// A fleet shares it from now on.
    #[cfg(feature = "redis")]
    pub(super) fn join_fleet(&mut self, fleet: FleetCaller) {
        self.fleet = Some(fleet);
    }

    /// Goes on under another quota: what was used stays used.
    pub(super) fn set_quota(&self, quota: &RatedQuota, now: Instant) {
        let mut requests = self
            .requests
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if requests.quota != quota.quota {
            let used = requests.rate.used(&requests.cell, now);
            let changed = Requests::new(quota);
            changed.rate.take_many(&changed.cell, used);
            *requests = Arc::new(changed);
        }
        drop(requests);
        self.account.set_quota(tokens_of(&quota.quota), now);
    }

    // A handle, and not the lock: observers are called meanwhile, and one that takes a snapshot would
    // lock again, behind a change of quotas that waits for the first lock.
    fn requests(&self) -> Arc<Requests> {
        let requests = self.requests.read();
        requests.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn key(&self) -> &Key {
        Account::key(&self.account)
    }

    /// The length of the quota's window.
    pub(crate) fn window(&self) -> Duration {
        self.requests().quota.window_length()
    }

    /// Takes one request of a call that has not been read.
    pub(crate) fn try_take_request(&self) -> Result<(), Rejection> {
        let requests = &*self.requests();
        let rejected = |kind, wait| {
            let (cost, now) = (Cost::request(), clock::now());
            self.rejection(requests, kind, wait, cost, now)
        };
        if requests.rate.is_closed() {
            return Err(rejected(RejectionKind::Closed, None));
        }
        let taken = requests.rate.take(&requests.cell);
        taken.map_err(|wait| rejected(RejectionKind::Requests, Some(wait)))
    }

    /// Takes the tokens of a call whose request was taken before it was read. A call that has waited for the store comes
    /// with its answer.
    pub(crate) fn try_reserve_tokens(&self, cost: Cost, leased: Option<LeaseAnswer>) -> Decision {
        let now = clock::now();
        let charge = match self.account.try_acquire(&AdmitRequest::new(cost), now) {
            Ok(charge) => charge,
            Err(error) => {
                let requests = &*self.requests();
                // It needs another request when it returns.
                let request_wait = requests.rate.wait(&requests.cell, now);
                let wait = error.predicted_wait().map(|wait| wait.max(request_wait));
                let kind = wait.map_or(RejectionKind::TooLarge, |_| RejectionKind::Tokens);
                return Decision::Rejected(self.rejection(requests, kind, wait, cost, now));
            }
        };
        let mut reservation = Reservation::new(self.account.clone(), charge, None);
        match self.lease(&mut reservation, leased) {
            Leasing::Leased => Decision::Reserved(reservation),
            Leasing::Rejected(rejection) => Decision::Rejected(rejection),
            Leasing::Waits(wait) => Decision::Waits(wait),
        }
    }

    /// Takes one request and the tokens of this cost, or nothing. A call that has waited for the store
    /// comes with its answer.
    pub(crate) fn try_reserve(&self, cost: Cost, leased: Option<LeaseAnswer>) -> Decision {
        let now = clock::now();
        let requests = &*self.requests();
        let rejected =
            |kind, wait| Decision::Rejected(self.rejection(requests, kind, wait, cost, now));
        if requests.rate.is_closed() {
            return rejected(RejectionKind::Closed, None);
        }
        let request_wait = requests.rate.wait(&requests.cell, now);
        if !request_wait.is_zero() {
            // Both waits are needed: `Retry-After` promises that a call after it is admitted.
            return match self.account.wait_of(cost, now) {
                Ok(wait) if wait > request_wait => rejected(RejectionKind::Tokens, Some(wait)),
                Ok(_) => rejected(RejectionKind::Requests, Some(request_wait)),
                Err(_) => rejected(RejectionKind::TooLarge, None),
            };
        }
        // Tokens first: they can be given back (by dropping the reservation), a request of
        // governor's cannot.
        let charge = match self.account.try_acquire(&AdmitRequest::new(cost), now) {
            Ok(charge) => charge,
            Err(error) => {
                let wait = error.predicted_wait();
                let kind = match wait {
                    Some(_) => RejectionKind::Tokens,
                    None => RejectionKind::TooLarge,
                };
                return rejected(kind, wait);
            }
        };
        let mut reservation = Reservation::new(self.account.clone(), charge, None);
        match self.lease(&mut reservation, leased) {
            Leasing::Leased => {}
            Leasing::Rejected(rejection) => return Decision::Rejected(rejection),
            Leasing::Waits(wait) => return Decision::Waits(wait),
        }
        match requests.rate.take(&requests.cell) {
            Ok(()) => Decision::Reserved(reservation),
            // Another call of the same caller took the last request in between.
            Err(wait) => rejected(RejectionKind::Requests, Some(wait)),
        }
    }

    /// Takes from the fleet what this process has reserved for a call.
    #[cfg(feature = "redis")]
    pub(crate) fn lease(
        &self,
        reservation: &mut Reservation,
        leased: Option<LeaseAnswer>,
    ) -> Leasing {
        let Some(fleet) = &self.fleet else {
            return Leasing::Leased;
        };
        let answer = match leased {
            Some(answer) => answer,
            None => {
                let tokens = (reservation.input_tokens(), reservation.output_tokens());
                match fleet.acquire(tokens) {
                    Reserving::Done(answer) => answer,
                    Reserving::Waits(wait) => return Leasing::Waits(wait),
                }
            }
        };
        match answer {
            Ok(granted) => {
                reservation.add_lease(granted.reservation);
                Leasing::Leased
            }
            Err(error) => Leasing::Rejected(self.rejection_of_fleet(&error)),
        }
    }

    /// Without a store nothing is shared.
    #[cfg(not(feature = "redis"))]
    #[expect(
        clippy::unused_self,
        reason = "with the feature `redis` it asks the fleet"
    )]
    pub(crate) fn lease(&self, _: &mut Reservation, _: Option<LeaseAnswer>) -> Leasing {
        Leasing::Leased
    }

    #[cfg(feature = "redis")]
    fn rejection_of_fleet(&self, error: &BudgetError) -> Rejection {
        let exceeded = match error {
            BudgetError::Exceeded(exceeded) => {
                exceeded.counted().map(|limit| (limit, exceeded.wait))
            }
            _ => None,
        };
        let (limit, kind, wait) = match exceeded {
            Some((limit, None)) => (limit, RejectionKind::TooLarge, None),
            Some((limit, Some(wait))) => {
                let kind = match limit.kind() {
                    LimitKind::Requests => RejectionKind::Requests,
                    _ => RejectionKind::Tokens,
                };
                // What other processes hold may come back at any time, and is not asked for before that.
                (limit, kind, Some(wait.max(ASKED_AGAIN_AFTER)))
            }
            // Nothing of a quota is paid for, so it is no price that is missing.
            None => {
                let requests = self.requests();
                let limit = Limit::requests(requests.rate.limit(), requests.period());
                (limit, RejectionKind::StoreAway, Some(STORE_AWAY_FOR))
            }
        };
        Rejection {
            kind,
            key: self.key().clone(),
            wait,
            limit: Box::new(limit),
            is_shadow: false,
        }
    }

    /// The wait of one call of this cost for its tokens.
    pub(crate) fn acquire(&self, cost: Cost) -> Acquire {
        Acquire::new(self.account.clone(), cost)
    }

    /// Polls the wait of a call for its tokens, and for there being a request left. The request itself is taken by
    /// [`CallerAccount::take_request`].
    pub(crate) fn poll_acquire(
        &self,
        mut acquire: Pin<&mut Acquire>,
        cost: Cost,
        max_queued: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Reservation, Rejection>> {
        let now = clock::now();
        let pace = {
            let requests = &*self.requests();
            if requests.rate.is_closed() {
                let closed = self.rejection(requests, RejectionKind::Closed, None, cost, now);
                return Poll::Ready(Err(closed));
            }
            requests.rate.pace(&requests.cell, now)
        };
        acquire.as_mut().set_pace(pace, max_queued);
        let acquired = ready!(acquire.poll(cx));
        Poll::Ready(acquired.map_err(|error| {
            let requests = &*self.requests();
            self.rejection_of_wait(requests, error.predicted_wait(), cost, now)
        }))
    }

    /// Takes the request of a call that has its tokens. Where another call was faster, it has to wait again, for what
    /// it has given back.
    pub(crate) fn take_request(&self, acquire: Pin<&mut Acquire>) -> bool {
        let requests = self.requests();
        let is_taken = requests.rate.take(&requests.cell).is_ok();
        if !is_taken {
            self.rejoin(acquire);
        }
        is_taken
    }

    /// The call waits again, from its first arrival on: what it was granted is given back.
    pub(crate) fn rejoin(&self, acquire: Pin<&mut Acquire>) {
        acquire.rejoin(self.account.clone());
    }

    /// The rejection of a call that does not begin to wait although it has not been tried.
    pub(crate) fn rejection_of_full_queue(&self, cost: Cost) -> Rejection {
        let now = clock::now();
        let requests = &*self.requests();
        let pace = requests.rate.pace(&requests.cell, now);
        let (tokens, paced) = self.account.waits_of(cost, pace, now);
        self.rejection_of_wait(requests, Some(tokens.max(paced)), cost, now)
    }

    /// The rejection of a call whose wait would be so long; without an end where it is too large.
    fn rejection_of_wait(
        &self,
        requests: &Requests,
        wait: Option<Duration>,
        cost: Cost,
        now: Instant,
    ) -> Rejection {
        let pace = requests.rate.pace(&requests.cell, now);
        let (tokens, paced) = self.account.waits_of(cost, pace, now);
        let kind = match wait {
            None => RejectionKind::TooLarge,
            Some(_) if paced >= tokens => RejectionKind::Requests,
            Some(_) => RejectionKind::Tokens,
        };
        self.rejection(requests, kind, wait, cost, now)
    }

    fn rejection(
        &self,
        requests: &Requests,
        kind: RejectionKind,
        wait: Option<Duration>,
        cost: Cost,
        now: Instant,
    ) -> Rejection {
        let further = match kind {
            RejectionKind::Tokens | RejectionKind::TooLarge => self.account.binding(cost, now),
            RejectionKind::Requests | RejectionKind::Closed | RejectionKind::StoreAway => None,
        };
        let kind = match (kind, further.map(|limit| limit.kind())) {
            (RejectionKind::Tokens, Some(LimitKind::Requests)) => RejectionKind::Requests,
            _ => kind,
        };
        let limit = match (further, kind) {
            (Some(limit), _) => limit,
            (None, RejectionKind::Tokens | RejectionKind::TooLarge) => {
                Limit::tokens(self.token_status(now).limit, requests.period())
            }
            (None, _) => Limit::requests(requests.rate.limit(), requests.period()),
        };
        Rejection {
            kind,
            key: self.key().clone(),
            wait,
            limit: Box::new(limit),
            is_shadow: false,
        }
    }

    /// The requests of the caller; `None` when they are unlimited.
    pub(crate) fn request_status(&self, now: Instant) -> Option<QuotaStatus> {
        let requests = self.requests();
        let status = requests.rate.status(&requests.cell, now)?;
        Some(self.status_in_fleet(LimitKind::Requests, requests.period(), status))
    }

    /// The tokens of the caller.
    pub(crate) fn token_status(&self, now: Instant) -> QuotaStatus {
        let status = self.account.token_status(now);
        let period = Period::rolling(self.window());
        self.status_in_fleet(LimitKind::Tokens, period, status)
    }

    /// What other processes hold counts as used.
    #[cfg(feature = "redis")]
    fn status_in_fleet(
        &self,
        kind: LimitKind,
        period: Period,
        mut status: QuotaStatus,
    ) -> QuotaStatus {
        let left = self.fleet.as_ref();
        if let Some(left) = left.and_then(|fleet| fleet.left(kind, period)) {
            status.remaining = status.remaining.min(left);
        }
        status
    }

    #[cfg(not(feature = "redis"))]
    #[expect(
        clippy::unused_self,
        reason = "with the feature `redis` it asks the fleet"
    )]
    fn status_in_fleet(&self, _: LimitKind, _: Period, status: QuotaStatus) -> QuotaStatus {
        status
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

impl Requests {
    /// None is used.
    fn new(quota: &RatedQuota) -> Self {
        Self {
            cell: Cell::default(),
            rate: quota.rate.clone(),
            quota: quota.quota,
        }
    }

    /// The quota's window.
    fn period(&self) -> Period {
        Period::rolling(self.quota.window_length())
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
    let tokens = Quota::per_minute(u64::MAX, quota.tokens())
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
        });
    quota.limits().fold(tokens, Quota::and)
}
