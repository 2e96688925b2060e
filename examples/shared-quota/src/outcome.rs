//! What becomes of a worker's calls.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

use serde::{Deserialize, Serialize};
use tower_qwen_ratelimit::{BoxError, LimiterEvent, RejectKind, Rejected};
use tower_qwen_tokens::Deadline;

/// The calls of a worker, counted by how they ended. Unit of times: milliseconds.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(crate) struct Outcomes {
    pub(crate) calls: u64,
    /// Of these, in the last window.
    pub(crate) calls_at_end: u64,
    pub(crate) failed: u64,
    /// Refused since the store was away.
    pub(crate) away: u64,
    /// Refused, or left with a throttle, for the sake of their deadlines.
    pub(crate) late: u64,
    /// The furthest beyond its deadline that a call was sent or refused.
    pub(crate) overrun: f64,
    /// Calls that went while the store was away, until the provider throttled one.
    pub(crate) went_away: u64,
    /// The longest wait of those of them that had come since.
    pub(crate) waited_away: f64,
    /// Throttles in the last window.
    pub(crate) throttled_at_end: u64,
}

/// Counts them. Clones share the counts.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    last_window: Instant,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    outcomes: Outcomes,
    /// Since when the store has been away, with no throttle since.
    away_since: Option<Instant>,
}

impl Watch {
    pub(crate) fn new(last_window: Instant) -> Self {
        Self {
            last_window,
            state: Arc::default(),
        }
    }

    pub(crate) fn outcomes(&self) -> Outcomes {
        self.lock().outcomes.clone()
    }

    /// Something that happened at the account.
    pub(crate) fn see(&self, event: &LimiterEvent<'_>) {
        let now = Instant::now();
        let state = &mut *self.lock();
        match *event {
            LimiterEvent::StoreAway { .. } => state.away_since = Some(now),
            LimiterEvent::StoreBack { .. } => state.away_since = None,
            LimiterEvent::Throttled { .. } => {
                state.away_since = None;
                state.outcomes.throttled_at_end += u64::from(now >= self.last_window);
            }
            LimiterEvent::Admitted { waited, .. } => {
                if let Some(since) = state.away_since {
                    state.outcomes.went_away += 1;
                    if now.duration_since(since) >= waited {
                        raise(&mut state.outcomes.waited_away, waited);
                    }
                }
            }
            _ => {}
        }
    }

    /// A request goes out, or comes to nothing.
    pub(crate) fn reaches(&self, deadline: Option<&Deadline>) {
        if let Some(deadline) = deadline {
            let beyond = Instant::now().saturating_duration_since(deadline.instant());
            raise(&mut self.lock().outcomes.overrun, beyond);
        }
    }

    /// A call has ended; says whether it was answered.
    pub(crate) fn ended(
        &self,
        answer: &Result<http::StatusCode, BoxError>,
        deadline: Option<&Deadline>,
    ) -> bool {
        let refused = match answer {
            Ok(_) => None,
            Err(error) => error.downcast_ref().map(Rejected::kind),
        };
        if refused.is_some() {
            self.reaches(deadline);
        }
        let is_last = Instant::now() >= self.last_window;
        let outcomes = &mut self.lock().outcomes;
        match (answer, refused) {
            (Ok(status), _) if status.is_success() => {
                outcomes.calls += 1;
                outcomes.calls_at_end += u64::from(is_last);
                return true;
            }
            (_, Some(RejectKind::StoreAway)) => outcomes.away += 1,
            (_, Some(RejectKind::Deadline)) => outcomes.late += 1,
            (Ok(http::StatusCode::TOO_MANY_REQUESTS), _) if deadline.is_some() => {
                outcomes.late += 1;
            }
            _ => outcomes.failed += 1,
        }
        false
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn raise(longest: &mut f64, time: Duration) {
    *longest = longest.max(time.as_secs_f64() * 1_000.0);
}
