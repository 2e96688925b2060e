use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tower_qwen_tokens::ledger::Day;

use super::{Driver, FleetLedger, ReadUsage, RedisOptions, StoreError, connection::Connection};
use crate::fleet::{FlushProgress, Handle, Link, link::StoreSnapshot};

/// The accounts of a fleet, at a Redis or Valkey server; see the [module](super). Clones share the
/// connection.
#[derive(Clone)]
pub struct RedisStore {
    link: Handle,
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
    /// [`StoreError`]: the server cannot be reached, refuses (it wants a password, for one), or takes too
    /// long.
    pub async fn with_options(options: RedisOptions) -> Result<(Self, Driver), StoreError> {
        let mut connection = Connection::open(&options, &options.server).await?;
        connection.check(&options).await?;
        let link = Link::new(options.terms());
        let store = Self {
            link: Handle::new(link.clone()),
        };
        Ok((store, Driver::new(link, options, connection)))
    }

    /// Waits until everything that has happened so far is reported to the server. For the end of a
    /// program: the cost of a call that is not reported stays at its estimate.
    ///
    /// Budgets are apart. What the process holds of them and has not used comes back some seconds after its last use, or
    /// at the end of a program as [`BudgetsBuilder::store`](crate::budget::BudgetsBuilder::store) says: not by a flush.
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
        self.link.snapshot()
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
