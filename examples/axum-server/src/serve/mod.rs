//! The gateway on a socket, until it is told to stop.
//!
//! `axum::serve` has no limits of time and number, so the loop is here: HTTP/1.1 and HTTP/2 on one port, with or without TLS,
//! each connection under a watch.

mod body;
mod connection;
mod service;
mod spare;
mod stop;
mod strangers;
#[cfg(test)]
mod tests;
mod tls;
mod unread;
mod watch;

use std::{convert::Infallible, future::pending, io, pin::pin, time::Duration};

use axum::{extract::Request, response::Response};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch as watched},
    task::JoinSet,
    time::{sleep, timeout},
};
use tower::util::BoxCloneSyncService;
use tracing::{info, warn};

use self::{
    connection::{Connections, builder},
    strangers::Strangers,
};
pub use self::{
    stop::{outlive_file_limits, reloads, stops},
    strangers::{of_admin, of_anybody},
    tls::Tls,
};
use crate::{limits::Limits, readiness::Readiness, tries::Peer};

/// What answers requests, and is ready at any time.
pub type Answers = BoxCloneSyncService<Request, Response, Infallible>;

/// How a socket is served.
#[derive(Debug, Clone)]
pub struct Serve {
    /// Bounds of time, memory and number.
    pub limits: Limits,
    /// With this certificate; `None` without TLS.
    pub tls: Option<Tls>,
    /// How long to go on when told to stop, until no further connections are taken.
    pub drain: Duration,
    /// How long calls under way may go on after that.
    pub grace: Duration,
    /// What `/readyz` says.
    pub readiness: Readiness,
}

/// Answers on a listener until it is told to stop.
///
/// The first word in `stops` begins the drain and then the grace; after these, or at a second word, this returns, and what is
/// still under way is cut. A channel that closes says nothing.
///
/// # Errors
///
/// When the listener's address is gone.
pub async fn serve(
    listener: TcpListener,
    answers: Answers,
    settings: Serve,
    mut stops: mpsc::Receiver<()>,
) -> io::Result<()> {
    let (ends, ending) = watched::channel(false);
    let shared = Connections {
        builder: builder(),
        answers,
        limits: settings.limits.clone(),
        readiness: settings.readiness.clone(),
        strangers: Strangers::default(),
        ending,
    };
    let beyond = Connections {
        answers: spare::answers(shared.answers.clone()),
        ..shared.clone()
    };
    let most = settings.limits.connections();
    let mut connections = JoinSet::new();
    let mut spares = JoinSet::new();
    settings.readiness.open();

    let mut drained = pin!(None);
    loop {
        let drain_is_over = async {
            match drained.as_mut().as_pin_mut() {
                Some(sleep) => sleep.await,
                None => pending().await,
            }
        };
        tokio::select! {
            socket = accept(&listener) => {
                let tls = settings.tls.as_ref().map(Tls::acceptor);
                let peer = socket.peer_addr().ok().map(|peer| Peer(peer.ip()));
                if connections.len() < most {
                    connections.spawn(shared.clone().run(socket, peer, tls));
                } else if spares.len() < spare::MAX {
                    let spare = beyond.clone().run(socket, peer, tls);
                    spares.spawn(timeout(spare::LIFETIME, spare));
                }
            }
            Some(_) = connections.join_next() => {}
            Some(_) = spares.join_next() => {}
            () = drain_is_over => break,
            () = next(&mut stops) => {
                if drained.is_some() {
                    connections.shutdown().await;
                    return Ok(());
                }
                settings.readiness.drain();
                drained.set(Some(sleep(settings.drain)));
            }
        }
    }
    drop(listener);
    let _ = ends.send(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    tokio::select! {
        () = ended => {}
        () = sleep(settings.grace) => info!("calls under way have outlived their grace"),
        () = next(&mut stops) => {}
    }
    // Awaited, so that what was cut is booked before anybody sums up.
    connections.shutdown().await;
    Ok(())
}

/// The next word; never if none can come any more.
async fn next(stops: &mut mpsc::Receiver<()>) {
    if stops.recv().await.is_none() {
        pending().await
    }
}

/// The next connection. One that failed before it was taken is not the listener's fault; where the system has no room for
/// more, it waits.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                // A socket that cannot be told so is only slower.
                let _ = socket.set_nodelay(true);
                return socket;
            }
            Err(error) if is_of_connection(&error) => {}
            Err(error) => {
                warn!(%error, "no connection can be taken");
                sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}
