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

use crate::quota::Quota;

/// So many requests per window, for every caller that has a [`Cell`]: governor's keyed limiter.
///
/// A caller's state stands with its account instead of in a map of governor's own: one lookup finds both, they leave
/// together, and a check takes no lock.
#[derive(Debug)]
pub(crate) struct RequestRate {
    limit: u64,
    /// `None` where the requests are not limited, or there are none.
    governor: Option<Governor>,
}

#[derive(Debug)]
struct Governor {
    limiter: RateLimiter<Cell, Cells, Ticks, NoOpMiddleware<Duration>>,
    /// When the limiter began to count; no earlier than it did, so that no wait is stated too short.
    start: Instant,
    /// Nanoseconds that one request is worth.
    interval: u64,
    burst: NonZeroU32,
}

/// What governor knows of one caller.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell(Arc<InMemoryState>);

/// What is left of a caller's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestsLeft {
    /// Requests per window.
    pub(crate) limit: u64,
    /// Requests that may go now.
    pub(crate) now: u64,
    /// Until the next one may go; nothing where one may go now.
    pub(crate) wait: Duration,
    /// Until there are more.
    pub(crate) more_in: Duration,
    /// Until there are all.
    pub(crate) all_in: Duration,
}

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
        let now = governor.limiter.clock().now();
        let wait = |not_until: NotUntil<Duration>| not_until.wait_time_from(now);
        governor.limiter.check_key(cell).map_err(wait)
    }

    /// What is left; `None` where the requests are not limited.
    pub(super) fn left(&self, cell: &Cell, now: Instant) -> Option<RequestsLeft> {
        let governor = self.governor.as_ref()?;
        let passed = now.saturating_duration_since(governor.start).as_nanos();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        // What the caller has used up already of the time to come.
        let used = cell.used_up_to().saturating_sub(passed);
        let interval = governor.interval;
        let burst = u64::from(governor.burst.get());
        let taken = used.div_ceil(interval).min(burst);
        let more_in = used - used.saturating_sub(1) / interval * interval;
        Some(RequestsLeft {
            limit: self.limit,
            now: burst - taken,
            wait: Duration::from_nanos(used.saturating_sub((burst - 1) * interval)),
            more_in: Duration::from_nanos(more_in),
            all_in: Duration::from_nanos(used),
        })
    }
}

impl Governor {
    fn new(quota: &Quota, burst: NonZeroU32, epoch: Instant) -> Option<Self> {
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
}

impl Cell {
    /// The instant up to which the caller has used its quota, in nanoseconds since the limiter's start.
    fn used_up_to(&self) -> u64 {
        let look = |at: Option<Nanos>| Err::<((), Nanos), _>(at.map_or(0, Nanos::as_u64));
        match self.0.measure_and_replace(&NotKeyed::NonKey, look) {
            Ok(()) => 0,
            Err(at) => at,
        }
    }
}

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

#[cfg(test)]
mod tests;
