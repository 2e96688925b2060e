use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tower_qwen_tokens::ledger::Day;

use super::{Driver, FleetLedger, ReadUsage, RedisOptions, StoreError, connection::Connection};
use crate::fleet::{FlushProgress, Handle, Link};

/// The accounts of a fleet, at a Redis or Valkey server; see the [module](super). Clones share the
/// connection.
#[derive(Clone)]
pub struct RedisStore {
    link: Handle,
}

/// What has become of a store so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreSnapshot {
    /// Whether the server is away.
    pub is_away: bool,
    /// How often it went away.
    pub outages: u64,
    /// Round trips to the server.
    pub round_trips: u64,
    /// Operations that went along.
    pub operations: u64,
    /// Operations that found the queue full, no driver, or an account that the server refuses.
    pub dropped: u64,
    /// Processes that live and have the same namespace, as the latest heartbeat counted them.
    pub members: u64,
}

impl RedisStore {
    /// Connects to a server by its address, under the default settings; see [`RedisOptions::new`].
    ///
    /// # Errors
    ///
    /// [`StoreError`]: it is no address, or there is no such server.
    pub async fn connect(address: &str) -> Result<(Self, Driver), StoreError> {
        Self::with_options(RedisOptions::new(address)?).await
    }

    /// Connects to a server. The driver has to be run.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: the server cannot be reached, refuses, or takes too long.
    pub async fn with_options(options: RedisOptions) -> Result<(Self, Driver), StoreError> {
        let connection = Connection::open(&options, &options.server).await?;
        let link = Link::new(options.terms());
        let store = Self {
            link: Handle::new(link.clone()),
        };
        Ok((store, Driver::new(link, options, connection)))
    }

    /// Waits until everything that has happened so far is reported to the server. For the end of a
    /// program: the cost of a call that is not reported stays at its estimate.
    pub fn flush(&self) -> Flush {
        Flush {
            progress: self.link.begin_flush(),
            link: self.link.clone(),
        }
    }

    /// A sink for this process's ledger, that sums up what the fleet uses.
    #[must_use]
    pub fn ledger(&self) -> FleetLedger {
        FleetLedger::new(self.link.clone())
    }

    /// What the whole fleet has used on a day (UTC), by tenant and model: as far as the processes
    /// have reported it.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: the server is away.
    pub fn usage(&self, day: Day) -> ReadUsage {
        ReadUsage::new(&self.link, day)
    }

    /// What has become of it so far.
    #[must_use]
    pub fn snapshot(&self) -> StoreSnapshot {
        let counts = self.link.counts();
        StoreSnapshot {
            is_away: self.link.is_away(),
            outages: counts.outages,
            round_trips: counts.round_trips,
            operations: counts.operations,
            dropped: counts.dropped,
            members: counts.members,
        }
    }

    pub(crate) fn link(&self) -> &Handle {
        &self.link
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("snapshot", &self.snapshot())
            .finish()
    }
}

/// Waits until everything is reported to the server; see [`RedisStore::flush`].
///
/// While the server is away it waits for its return: put a timeout around it. Without a driver it
/// is ready at once.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Flush {
    link: Handle,
    progress: FlushProgress,
}

impl Future for Flush {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { link, progress } = self.get_mut();
        link.poll_flush(progress, cx)
    }
}
