//! The handle of the server.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;

use crate::account::Account;
use crate::answer;
use crate::batch::Store;
use crate::clock::Clock;
use crate::config::Config;
use crate::handler;
use crate::stats::Stats;
use crate::wire::Profile;

/// A server with its quotas and its statistics. Clones share them.
#[derive(Debug, Clone)]
pub struct MockQwen {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    account: Mutex<Account>,
    /// A leaf: nothing is locked while this is held.
    batches: Mutex<Store>,
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl MockQwen {
    /// Starts a server; its time begins when this returns. The first in a process loads the
    /// vocabulary.
    ///
    /// What cannot be is taken for the nearest that can: a window is between a millisecond and a
    /// year, and so is a period of growth, whose factor and floor are at least 1; an answer is
    /// between 1 and 10 million tokens, an event at least one token, and shares are between 0
    /// and 1.
    #[must_use]
    pub fn new(mut config: Config) -> Self {
        config.window = config.window.clamp(Duration::from_millis(1), YEAR);
        if let Some(growth) = &mut config.growth {
            growth.period = growth.period.clamp(Duration::from_millis(1), YEAR);
            growth.factor = growth.factor.max(1.0);
            growth.floor = growth.floor.max(1);
        }
        config.ttft = config.ttft.min(YEAR);
        config.tpot = config.tpot.min(YEAR);
        config.chunk_tokens = config.chunk_tokens.max(1);
        config.max_output = config.max_output.clamp(1, 10_000_000);
        config.jitter = config.jitter.clamp(0.0, 1.0);
        config.cached_share = config.cached_share.clamp(0.0, 1.0);
        config.thought_share = config.thought_share.clamp(0.0, 1.0);
        answer::load();
        let clock = Clock::start();
        let account = Account::new(&config, clock.wall(Duration::ZERO));
        let batches = Store::new(&config.batches);
        Self {
            inner: Arc::new(Inner {
                config,
                clock,
                account: Mutex::new(account),
                batches: Mutex::new(batches),
            }),
        }
    }

    /// The endpoints. All routers of one server share its account.
    pub fn router(&self) -> Router {
        handler::router(self.clone())
    }

    /// What the server has seen so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = self.inner.account().stats(&self.inner.config);
        stats.batches = self.inner.batches().stats();
        stats
    }

    /// Goes on under other limits, as when the provider grants more or less. Statistics and the list of quotas keep to the
    /// limits that the server began with.
    pub fn set_limits(&self, rpm: u64, tpm: u64) {
        let mut account = self.inner.account();
        account.set_limits(&self.inner.config, self.inner.clock.now(), rpm, tpm);
    }

    /// Starts the statistics anew. The quotas stay, and so do the calls in flight.
    pub fn reset_stats(&self) {
        let mut account = self.inner.account();
        account.reset(self.inner.clock.now());
        drop(account);
        self.inner.batches().reset_stats();
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }
}

impl Inner {
    /// How its host answers.
    pub(crate) fn profile(&self) -> &'static Profile {
        self.config.host.profile()
    }

    /// The part of a prompt that is reported as cached.
    pub(crate) fn cached(&self, prompt: u64) -> u64 {
        (prompt as f64 * self.config.cached_share) as u64
    }

    /// Read the clock only under this lock, so that no two calls are dated in the wrong order.
    pub(crate) fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn batches(&self) -> MutexGuard<'_, Store> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
