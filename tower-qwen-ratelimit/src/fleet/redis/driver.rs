use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use redis::ConnectionInfo;
use tokio::time::sleep;

use super::{
    RedisOptions,
    command::Commands,
    connection::Connection,
    leases::LimitNames,
    names::DayNames,
    pauses::Pauses,
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
        limits: LimitNames::new(&options.namespace),
    };
    let mut connection = Some(connection);
    let mut pauses = Pauses::default();
    while let Some(mut open) = connection {
        let addresses = std::mem::take(&mut open.addresses);
        match Session::new(link, &options, &commands, open).run().await {
            Ended::Abandoned => return,
            Ended::Lost { reason, has_worked } => {
                pauses.on_session_end(has_worked);
                link.went_away(&reason);
            }
        }
        connection = reconnect(link, &options, &addresses, &mut pauses).await;
    }
}

/// Tries until it succeeds or the store is gone: one after the other at the server that was named,
/// which may have left its cluster, and at the nodes known last.
async fn reconnect(
    link: &Link,
    options: &RedisOptions,
    addresses: &[ConnectionInfo],
    pauses: &mut Pauses,
) -> Option<Connection> {
    let named = std::iter::once(&options.server);
    for server in named.chain(addresses).cycle() {
        if link.is_abandoned() {
            break;
        }
        sleep(pauses.next()).await;
        if let Ok(connection) = Connection::open(options, server).await {
            pauses.on_connection();
            return Some(connection);
        }
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
