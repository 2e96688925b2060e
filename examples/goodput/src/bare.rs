//! A client that only tries again, and our stack: the same jobs, the same quota, minute by minute. With time paused.

use tower_qwen_ratelimit::{Limiter, Quota};

use crate::measure::Figures;
use crate::paused;
use crate::setup::Setup;

/// Requests a minute that the provider grants, and 1,000 tokens for each.
const REQUESTS: u64 = 800;
/// Enough to see that it stays so, and few enough for a small picture.
const MINUTES: u32 = 12;
/// Of one run: a picture is of one, and seeds differ by less than a line of it is thick.
const SEED: u64 = 1;

/// What both clients came to.
#[derive(Debug)]
pub struct Comparison {
    /// What the provider grants.
    pub setup: Setup,
    /// Exponential backoff and nothing else.
    pub bare: Figures,
    /// `Retry > Admission > Meter`, given the quota.
    pub ours: Figures,
}

/// Runs both.
///
/// # Panics
///
/// Where no runtime can be had.
#[must_use]
pub fn run() -> Comparison {
    let mut setup = Setup::new(REQUESTS);
    setup.windows = MINUTES;
    let quota = Quota::per_minute(setup.provider.rpm, setup.provider.tpm);
    Comparison {
        bare: paused::run_backoff(&setup, SEED),
        ours: paused::run(&setup, &|| Limiter::new(quota), SEED),
        setup,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_serves_as_much_of_the_quota_without_throttles() {
        let Comparison { setup, bare, ours } = run();
        assert_eq!((ours.throttled, ours.failed), (0, 0));
        assert!(ours.used(2..=MINUTES) > 0.94, "{}", ours.used(2..=MINUTES));
        assert!(
            bare.throttled > bare.admitted,
            "{} {}",
            bare.throttled,
            bare.admitted
        );
        for figures in [&bare, &ours] {
            assert_eq!(figures.counted.len(), MINUTES as usize);
            let requests: u64 = figures.counted.iter().map(|window| window.requests).sum();
            assert_eq!(requests, figures.admitted);
            // A sliding window is no clock's minute, but over all of them no more than the quota is let in.
            assert!(requests <= setup.provider.rpm * u64::from(MINUTES));
        }
    }
}
