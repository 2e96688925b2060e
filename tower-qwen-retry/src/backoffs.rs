use std::time::Duration;

use tower_qwen_tokens::Cause;

use crate::Backoff;

/// The backoff of each cause.
///
/// Causes differ by orders of magnitude: a broken connection can be replaced at once, while the
/// tokens of a minute come back within a minute, and a retry after 100 ms is wasted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Backoffs {
    requests: Backoff,
    tokens: Backoff,
    growth: Backoff,
    concurrency: Backoff,
    capacity: Backoff,
    throttled: Backoff,
    transport: Backoff,
    error: Backoff,
}

impl Backoffs {
    pub(crate) fn of(&self, cause: Cause) -> Backoff {
        // A copy of some hundred bytes before a wait of 50 ms at least is cheaper to maintain than
        // a second table.
        let mut copy = *self;
        *copy.of_mut(cause)
    }

    pub(crate) fn of_mut(&mut self, cause: Cause) -> &mut Backoff {
        match cause {
            Cause::RequestRate => &mut self.requests,
            Cause::TokenRate => &mut self.tokens,
            Cause::Growth => &mut self.growth,
            Cause::Concurrency => &mut self.concurrency,
            Cause::Capacity => &mut self.capacity,
            Cause::Throttled => &mut self.throttled,
            Cause::Transport => &mut self.transport,
            _ => &mut self.error,
        }
    }
}

impl Default for Backoffs {
    fn default() -> Self {
        let backoff = |least, first, max| {
            let [least, first, max] = [least, first, max].map(Duration::from_millis);
            Backoff::new(first, max).at_least(least)
        };
        // Quotas count by the minute, so no wait after a throttle need be longer than one. The four
        // waits of a throttled call take a minute together on average (a test in schedule.rs), so
        // its last attempt finds a new minute.
        Self {
            requests: backoff(1_000, 8_000, 60_000),
            // One call may take a good part of a minute's tokens, so these come back more slowly
            // than a request.
            tokens: backoff(5_000, 15_000, 60_000),
            // The provider limits how fast the load may grow: the sooner the retry, the steeper the
            // growth.
            growth: backoff(2_000, 10_000, 60_000),
            // A place is free as soon as any call ends.
            concurrency: backoff(500, 4_000, 30_000),
            // One busy server of many is left behind at once; an Admission inside waits out what lasts.
            capacity: backoff(500, 4_000, 60_000),
            throttled: backoff(1_000, 8_000, 60_000),
            // Nothing has to recover: a new connection is enough, mostly.
            transport: backoff(50, 500, 8_000),
            // Short, since many such errors do not last; for the others it doubles.
            error: backoff(100, 500, 8_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_own_backoff() {
        let mut backoffs = Backoffs::default();
        let own = [
            Cause::RequestRate,
            Cause::TokenRate,
            Cause::Growth,
            Cause::Concurrency,
            Cause::Capacity,
            Cause::Throttled,
            Cause::Transport,
            Cause::ServerError,
        ];
        for (second, cause) in (1..).zip(own) {
            let second = Duration::from_secs(second);
            *backoffs.of_mut(cause) = Backoff::new(second, second);
        }
        for (second, cause) in (1..).zip(own) {
            let second = Duration::from_secs(second);
            assert_eq!(backoffs.of(cause), Backoff::new(second, second), "{cause}");
        }
        for cause in [Cause::Timeout, Cause::Unavailable, Cause::Other] {
            assert_eq!(
                backoffs.of(cause),
                backoffs.of(Cause::ServerError),
                "{cause}"
            );
        }
    }
}
