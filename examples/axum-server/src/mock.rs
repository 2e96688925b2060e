//! The provider inside the process.

use std::{io, net::Ipv4Addr};

use mock_qwen::{Config, MockQwen, serve};
use tokio::net::TcpListener;

use crate::target::Target;

/// Starts the mock on a free port of this machine, for as long as the runtime runs.
///
/// # Errors
///
/// When no port can be had.
pub async fn start() -> io::Result<Target> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let target = format!("http://{}/compatible-mode/v1", listener.local_addr()?)
        .parse()
        .map_err(io::Error::other)?;
    tokio::spawn(serve(listener, MockQwen::new(Config::default())));
    Ok(target)
}
