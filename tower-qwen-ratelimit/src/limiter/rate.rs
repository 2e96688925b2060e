use std::{
    hash::{Hash, Hasher},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use governor::{
    NotUntil, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed, StateStore},
};
use tower_qwen_tokens::internal::clock::{self, Instant};

use crate::{
    account::{Pace, QuotaStatus},
    quota::Quota,
};

/// The requests per window of all callers that share a quota: governor's keyed limiter, with a
/// [`Cell`] per caller.
///
/// A caller's cell is kept in its account, not in a map inside governor: one lookup finds both,
/// both are dropped together, and a check takes no lock.
#[derive(Debug)]
pub(crate) struct RequestRate {
    limit: u64,
    /// `None` when the requests are unlimited (more than governor's `u32` can count), or when there
    /// are none.
    pub(super) governor: Option<Governor>,
}

#[derive(Debug)]
pub(super) struct Governor {
    limiter: RateLimiter<Cell, Cells, Ticks, NoOpMiddleware<Duration>>,
    /// When the limiter began to count. Read after governor has read its own start, so it is never
    /// earlier than that, and no wait is stated too short.
    start: Instant,
    /// The time in which one request flows back. Unit: nanoseconds.
    pub(super) interval: u64,
    burst: NonZeroU32,
}

/// Governor's state of one caller.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell(Arc<InMemoryState>);

/// Finds the state of a cell in the cell itself.
#[derive(Debug)]
struct Cells;

/// Tokio's clock as governor reads it: the time since an epoch.
#[derive(Debug, Clone, Copy)]
struct Ticks {
    epoch: Instant,
}

impl RequestRate {
    /// The whole quota at once, then evenly.
    pub(super) fn new(quota: &Quota, epoch: Instant) -> Self {
        let limit = quota.requests();
        let governor = u32::try_from(limit)
            .ok()
            .and_then(NonZeroU32::new)
            .and_then(|burst| Governor::new(quota, burst, epoch));
        Self { limit, governor }
    }

    /// Whether no request may ever go.
    pub(super) fn is_closed(&self) -> bool {
        self.limit == 0
    }

    /// Takes one request if it may go now.
    pub(super) fn take(&self, cell: &Cell) -> Result<(), Duration> {
        let Some(governor) = &self.governor else {
            return Ok(());
        };
        // The clock is read again only for a wait, which few calls have.
        let wait = |not_until: NotUntil<Duration>| {
            not_until.wait_time_from(governor.limiter.clock().now())
        };
        governor.limiter.check_key(cell).map_err(wait)
    }

    /// Takes so many requests, or all that are left: what was used under another quota.
    pub(super) fn take_many(&self, cell: &Cell, requests: u64) {
        let Some(governor) = &self.governor else {
            return;
        };
        let requests = u32::try_from(requests).unwrap_or(u32::MAX);
        let requests = NonZeroU32::new(requests.min(governor.burst.get()));
        if let Some(requests) = requests {
            // The cell is new, and no more than a burst is asked for: nothing can be in the way.
            let _ = governor.limiter.check_key_n(cell, requests);
        }
    }

    /// The requests that a caller has used and not got back.
    pub(super) fn used(&self, cell: &Cell, now: Instant) -> u64 {
        self.status(cell, now)
            .map_or(0, |status| status.limit - status.remaining)
    }

    /// Requests per window.
    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// The time until one request can be taken; zero if one can be taken now.
    pub(super) fn wait(&self, cell: &Cell, now: Instant) -> Duration {
        self.governor.as_ref().map_or(Duration::ZERO, |governor| {
            let others = (u64::from(governor.burst.get()) - 1) * governor.interval;
            Duration::from_nanos(governor.used_ahead(cell, now).saturating_sub(others))
        })
    }

    /// When the next requests of a caller can be taken.
    pub(super) fn pace(&self, cell: &Cell, now: Instant) -> Pace {
        self.governor.as_ref().map_or(Pace::default(), |governor| {
            let others = (u64::from(governor.burst.get()) - 1).saturating_mul(governor.interval);
            let signed = |nanos: u64| i64::try_from(nanos).unwrap_or(i64::MAX);
            Pace {
                next_in: signed(governor.used_ahead(cell, now)) - signed(others),
                interval: governor.interval,
            }
        })
    }

    /// The requests of a caller; `None` when they are unlimited.
    pub(super) fn status(&self, cell: &Cell, now: Instant) -> Option<QuotaStatus> {
        let governor = self.governor.as_ref()?;
        let used = governor.used_ahead(cell, now);
        let interval = governor.interval;
        let burst = u64::from(governor.burst.get());
        // A request that has begun to flow back is still taken, so this rounds up.
        let taken = used.div_ceil(interval).min(burst);
        let more_in = used - used.saturating_sub(1) / interval * interval;
        Some(QuotaStatus {
            limit: self.limit,
            remaining: burst - taken,
            more_in: Duration::from_nanos(more_in),
            full_in: Duration::from_nanos(used),
        })
    }
}

impl Governor {
    fn new(quota: &Quota, burst: NonZeroU32, epoch: Instant) -> Option<Self> {
        // Rounded up: an interval that is too short would grant more than the quota.
        let interval = quota.window_nanos().div_ceil(u64::from(burst.get()));
        let cells =
            governor::Quota::with_period(Duration::from_nanos(interval))?.allow_burst(burst);
        let limiter = RateLimiter::new(cells, Cells, Ticks { epoch });
        Some(Self {
            limiter,
            start: clock::now(),
            interval,
            burst,
        })
    }

    /// How much of the time to come the caller has used already. Unit: nanoseconds.
    fn used_ahead(&self, cell: &Cell, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.start).as_nanos();
        let elapsed = u64::try_from(elapsed).unwrap_or(u64::MAX);
        cell.used_up_to().saturating_sub(elapsed)
    }
}

impl Cell {
    /// The instant up to which the caller has used its quota, in nanoseconds since the limiter's
    /// start.
    fn used_up_to(&self) -> u64 {
        // Governor has no getter. A closure that fails changes nothing, so its error carries the
        // value out.
        let read = |at: Option<Nanos>| Err::<((), Nanos), _>(at.map_or(0, Nanos::as_u64));
        match self.0.measure_and_replace(&NotKeyed::NonKey, read) {
            Ok(()) => 0,
            Err(at) => at,
        }
    }
}

// A cell is its own key in governor's store, so two cells are equal when they are the same state.
impl PartialEq for Cell {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Cell {}

impl Hash for Cell {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl StateStore for Cells {
    type Key = Cell;

    fn measure_and_replace<T, F, E>(&self, cell: &Cell, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        cell.0.measure_and_replace(&NotKeyed::NonKey, f)
    }
}

impl Clock for Ticks {
    type Instant = Duration;

    fn now(&self) -> Duration {
        clock::now().saturating_duration_since(self.epoch)
    }
}
