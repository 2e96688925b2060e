//! A `redis-server` of the program's own.

use std::{net::Ipv4Addr, process::Stdio, time::Duration};

use anyhow::{Context, bail};
use tokio::{
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    time::sleep,
};

/// Ends with the program.
#[derive(Debug)]
pub(crate) struct RedisServer {
    _child: Child,
    url: String,
}

impl RedisServer {
    /// Starts one on a free port of this machine, which keeps nothing on disk.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = free.local_addr()?;
        drop(free);
        let mut child = Command::new("redis-server")
            .args(["--port", &address.port().to_string()])
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context(
                "no redis-server starts: install one (Debian: apt-get install redis-server), or name one (--redis URL)",
            )?;
        for _ in 0..200 {
            if TcpStream::connect(address).await.is_ok() {
                let url = format!("redis://{address}");
                return Ok(Self { _child: child, url });
            }
            if let Some(status) = child.try_wait()? {
                bail!("redis-server ended: {status}");
            }
            sleep(Duration::from_millis(25)).await;
        }
        bail!("redis-server does not answer")
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}
