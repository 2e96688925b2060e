use std::time::Duration;

use tower_qwen_tokens::Cause;

use crate::Backoff;

/// The backoff of each cause.
///
/// What a cause needs differs by orders of magnitude: a broken connection is there again at once, a minute's tokens are
/// not, and a hundred milliseconds are wasted on them.
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
    pub(crate) fn of(&self, cause: Cause) -> &Backoff {
        match cause {
            Cause::RequestRate => &self.requests,
            Cause::TokenRate => &self.tokens,
            Cause::Growth => &self.growth,
            Cause::Concurrency => &self.concurrency,
            Cause::Capacity => &self.capacity,
            Cause::Throttled => &self.throttled,
            Cause::Transport => &self.transport,
            _ => &self.error,
        }
    }

    pub(crate) fn set(&mut self, cause: Cause, backoff: Backoff) {
        let of_this_cause = match cause {
            Cause::RequestRate => &mut self.requests,
            Cause::TokenRate => &mut self.tokens,
            Cause::Growth => &mut self.growth,
            Cause::Concurrency => &mut self.concurrency,
            Cause::Capacity => &mut self.capacity,
            Cause::Throttled => &mut self.throttled,
            Cause::Transport => &mut self.transport,
            _ => &mut self.error,
        };
        *of_this_cause = backoff;
    }

    /// The backoff after errors, where nothing more is known of the wait.
    pub(crate) fn error(&self) -> &Backoff {
        &self.error
    }
}

impl Default for Backoffs {
    fn default() -> Self {
        let backoff = |least, first, max| {
            let [least, first, max] = [least, first, max].map(Duration::from_millis);
            Backoff::new(first, max).at_least(least)
        };
        Self {
            requests: backoff(1_000, 8_000, 60_000),
            tokens: backoff(5_000, 15_000, 60_000),
            growth: backoff(2_000, 10_000, 60_000),
            concurrency: backoff(500, 4_000, 30_000),
            capacity: backoff(1_000, 8_000, 60_000),
            throttled: backoff(1_000, 8_000, 60_000),
            transport: backoff(50, 500, 8_000),
            error: backoff(100, 500, 8_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_a_wait_of_its_own() {
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
            backoffs.set(cause, Backoff::new(second, second));
        }
        for (second, cause) in (1..).zip(own) {
            let second = Duration::from_secs(second);
            assert_eq!(backoffs.of(cause), &Backoff::new(second, second), "{cause}");
        }
        for cause in [Cause::Timeout, Cause::Unavailable, Cause::Other] {
            assert_eq!(backoffs.of(cause), backoffs.error(), "{cause}");
        }
    }
}
