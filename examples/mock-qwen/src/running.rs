//! The server on a port of this machine, beside the program that calls it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::serve::serve_until;
use crate::server::MockQwen;
use crate::stats::Stats;

/// A server that answers on a free port of this machine until this is dropped.
#[derive(Debug)]
pub struct RunningMock {
    mock: MockQwen,
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl RunningMock {
    /// Starts a task that answers for this server.
    ///
    /// # Errors
    ///
    /// When no port can be had.
    pub async fn start(mock: MockQwen) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(serve_until(listener, mock.clone(), async {
            stopped.await.ok();
        }));
        Ok(Self {
            mock,
            address,
            _stop: stop,
        })
    }

    /// The base of the compatible dialect's addresses, without a slash at its end.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/compatible-mode/v1", self.address)
    }

    /// What the server has seen so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.mock.stats()
    }
}
