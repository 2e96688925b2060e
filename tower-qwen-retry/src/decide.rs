use std::time::Duration;

use fastrand::Rng;
use tower_qwen_tokens::{Cause, PacedUntil, internal::clock::Instant};

use crate::{GiveUp, RetryPolicy, jitter::between};

/// The most that own backoff adds up to beside a wait named by the server: it only keeps a hint of next to nothing from
/// becoming a hot loop.
const BESIDE_A_HINT: Duration = Duration::from_secs(1);

/// Callers that were told the same instant come back spread over a quarter of the wait, within these bounds.
const LEAST_SPREAD: Duration = Duration::from_millis(50);
const MOST_SPREAD: Duration = Duration::from_secs(5);

/// How long a retry stays away that an account inside holds until its time has come.
const PACED: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(250));

/// A failure that may go away by itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failure {
    pub(crate) cause: Cause,
    /// The wait that the server named.
    pub(crate) hint: Option<Duration>,
    /// Whether an account inside is closed because of it, and until when.
    pub(crate) paced: Option<PacedUntil>,
}

/// What earlier attempts of a call leave behind.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Past {
    /// Attempts that count towards the most that a call may have.
    attempts: u32,
    /// The latest wait.
    wait: Duration,
    /// Whether an account inside held the attempt before.
    was_paced: bool,
    /// Since when the call waits for a provider that is away for all.
    away_since: Option<Instant>,
    /// What the retry under way has taken out of the budget.
    paid: u32,
}

impl Past {
    /// An attempt goes out.
    pub(crate) fn sent(&mut self) {
        self.attempts = self.attempts.saturating_add(1);
    }

    /// What a success gives back to the budget.
    pub(crate) fn refund(&mut self) -> u32 {
        std::mem::take(&mut self.paid)
    }
}

impl RetryPolicy {
    /// The wait before the next attempt.
    ///
    /// Takes the retry out of the budget, unless an account inside paces it; does so last, when nothing else speaks
    /// against it.
    pub(crate) fn next_wait(
        &self,
        failure: Failure,
        past: &mut Past,
        now: Instant,
        deadline: Option<Instant>,
        rng: &mut Rng,
    ) -> Result<Duration, GiveUp> {
        past.paid = 0;
        let was_paced = std::mem::replace(&mut past.was_paced, failure.paced.is_some());
        let away = failure.paced.filter(|paced| paced.outage);
        match away {
            // The provider refuses whatever is sent, so this says nothing of the call.
            Some(_) => past.attempts = past.attempts.saturating_sub(1),
            None => past.away_since = None,
        }
        if past.attempts >= self.max_attempts {
            return Err(GiveUp::Attempts);
        }
        if failure.hint.is_some_and(|hint| hint > self.max_retry_after) {
            return Err(GiveUp::RetryAfter);
        }
        let wait = match failure.paced {
            // From the second time on back after the account has opened, so that another call feels the way, not always the
            // one with the first place: should the fault be its own, the others go on.
            Some(paced) if paced.outage || was_paced => paced
                .until
                .saturating_duration_since(now)
                .saturating_add(between(rng, PACED.0, PACED.1)),
            Some(_) => between(rng, PACED.0, PACED.1),
            None => self.wait(failure, past, rng),
        };
        let held = failure.paced.map(|paced| paced.until);
        let earliest = now.checked_add(wait).max(held);
        if deadline.is_some_and(|deadline| earliest.is_none_or(|earliest| earliest > deadline)) {
            return Err(GiveUp::Deadline);
        }
        if away.is_some() {
            let since = *past.away_since.get_or_insert(now);
            let patience = since.checked_add(self.patience);
            if patience.is_some_and(|end| earliest.is_none_or(|earliest| earliest > end)) {
                return Err(GiveUp::Patience);
            }
        }
        if failure.paced.is_none() {
            let cost = self.budget.cost(failure.cause);
            if !self.budget.withdraw(cost) {
                return Err(GiveUp::RetryBudget);
            }
            past.paid = cost;
        }
        past.wait = wait;
        Ok(wait)
    }

    fn wait(&self, failure: Failure, past: &Past, rng: &mut Rng) -> Duration {
        let retries = past.attempts.saturating_sub(1);
        // A server that asks for no wait at all has not told how long it takes.
        if let Some(hint) = failure.hint.filter(|hint| !hint.is_zero()) {
            let own = self.waits.error().wait(retries, past.wait, rng);
            let spread = (hint / 4).clamp(LEAST_SPREAD, MOST_SPREAD);
            return hint.max(own.min(BESIDE_A_HINT)).saturating_add(between(
                rng,
                Duration::ZERO,
                spread,
            ));
        }
        let backoff = self.waits.of(failure.cause);
        backoff.wait(retries, past.wait, rng)
    }
}

#[cfg(test)]
mod tests;
