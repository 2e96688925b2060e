use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use redis::ConnectionInfo;
use tokio::time::sleep;

use super::{
    RedisOptions,
    command::Commands,
    connection::Connection,
    names::DayNames,
    session::{Ended, Session},
};
use crate::fleet::Link;

/// Carries everything between a store's accounts and its server. To be run by the application,
/// spawned or in a `select`.
///
/// It reconnects by itself and ends when the store and all limiters over it are gone. Dropped
/// before that, the store counts as away for good.
#[must_use = "nothing reaches the server unless the driver is run"]
pub struct Driver {
    // Boxed, since a connection's own future has no name.
    running: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Driver {
    pub(super) fn new(link: Arc<Link>, options: RedisOptions, connection: Connection) -> Self {
        // Made here, so that a driver counts as gone too that is dropped before it is first polled.
        let gone = Gone(link);
        Self {
            running: Box::pin(run(gone, options, connection)),
        }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.running.as_mut().poll(cx)
    }
}

opaque_debug!(Driver, impl std::fmt::Debug for Driver);

async fn run(gone: Gone, options: RedisOptions, connection: Connection) {
    let link = &*gone.0;
    let commands = Commands {
        namespace: options.namespace.clone(),
        process: format!("{:016x}", fastrand::u64(..)),
        days: DayNames::new(&options.namespace),
    };
    let mut connection = Some(connection);
    while let Some(mut open) = connection {
        let addresses = std::mem::take(&mut open.addresses);
        match Session::new(link, &options, &commands, open).run().await {
            Ended::Abandoned => return,
            Ended::Lost(reason) => link.went_away(&reason),
        }
        connection = reconnect(link, &options, &addresses).await;
    }
}

/// Tries until it succeeds or the store is gone: one after the other at the server that was named,
/// which may have left its cluster, and at the nodes known last.
async fn reconnect(
    link: &Link,
    options: &RedisOptions,
    addresses: &[ConnectionInfo],
) -> Option<Connection> {
    // A return is noticed within a second, and a dead server costs one attempt a second.
    const LONGEST: Duration = Duration::from_secs(1);
    // Short: most lost connections were only dropped, and the server is there.
    let mut pause = Duration::from_millis(20);
    let named = std::iter::once(&options.server);
    for server in named.chain(addresses).cycle() {
        if link.is_abandoned() {
            break;
        }
        sleep(pause).await;
        if let Ok(connection) = Connection::open(options, server).await {
            return Some(connection);
        }
        pause = (pause * 2).min(LONGEST);
    }
    None
}

/// Tells the accounts when the driver is gone, whether it has ended or was dropped.
struct Gone(Arc<Link>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.end();
    }
}
