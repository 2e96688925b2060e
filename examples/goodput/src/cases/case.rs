//! One case.

use std::fmt;
use std::sync::Arc;

use mock_qwen::Faults;
use tower_qwen_ratelimit::{Limiter, Quota};

use crate::bound::{Bound, CaseRun};
use crate::paused;
use crate::setup::Setup;

/// Makes the limiter of a process.
pub type MakeLimiter = Arc<dyn Fn() -> Limiter + Send + Sync>;

/// A setup, what the limiter is given, and the bounds that the medians of all seeds must keep to.
#[derive(Clone)]
pub struct Case {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, in some words.
    pub about: &'static str,
    /// What the provider does.
    pub setup: Setup,
    /// Makes the limiter of each process.
    pub limiter: MakeLimiter,
    /// What is expected.
    pub bounds: Vec<Bound>,
    /// Whether it takes many seconds, and so runs only when asked for by name.
    pub is_slow: bool,
}

impl Case {
    /// A case whose limiter is given this quota.
    #[must_use]
    pub fn with_quota(
        name: &'static str,
        about: &'static str,
        setup: Setup,
        quota: Quota,
        bounds: Vec<Bound>,
    ) -> Self {
        Self {
            name,
            about,
            setup,
            limiter: Arc::new(move || Limiter::new(quota)),
            bounds,
            is_slow: false,
        }
    }

    /// A case whose limiter is given `times` the quota of the provider's first window.
    #[must_use]
    pub fn with_times(
        name: &'static str,
        about: &'static str,
        setup: Setup,
        times: u64,
        bounds: Vec<Bound>,
    ) -> Self {
        let provider = &setup.provider;
        let quota = Quota::per_minute(provider.rpm * times, provider.tpm * times);
        let quota = quota.window(provider.window);
        Self::with_quota(name, about, setup, quota, bounds)
    }

    /// Whether it is about faults: no quota is near then.
    #[must_use]
    pub fn is_about_faults(&self) -> bool {
        let compares = |bound: &Bound| matches!(bound, Bound::Throughput(_));
        self.bounds.iter().any(compares)
    }

    /// Runs a client in it, with time paused, that has exponential backoff and nothing else.
    #[must_use]
    pub fn run_backoff(&self, seed: u64) -> CaseRun {
        CaseRun {
            figures: paused::run_backoff(&self.setup, seed),
            done_without_faults: None,
        }
    }

    /// Runs it with time paused.
    #[must_use]
    pub fn run(&self, seed: u64) -> CaseRun {
        let without_faults = self.is_about_faults().then(|| {
            let mut setup = self.setup.clone();
            setup.provider.faults = Faults::default();
            setup
        });
        let run = |setup: &Setup| paused::run(setup, &*self.limiter, seed);
        CaseRun {
            figures: run(&self.setup),
            done_without_faults: without_faults.map(|setup| run(&setup).done),
        }
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case")
            .field("name", &self.name)
            .field("setup", &self.setup)
            .field("bounds", &self.bounds)
            .finish_non_exhaustive()
    }
}
