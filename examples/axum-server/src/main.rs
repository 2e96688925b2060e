//! `cargo run --release -p axum-server`: a gateway in front of Qwen. See `README.md`.

use std::time::Duration;

use axum_server::{Args, start};
use clap::Parser;
use tracing_subscriber::EnvFilter;

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let runtime = tokio::runtime::Runtime::new()?;
    let gateway = runtime.block_on(start(args))?;
    // Calls that outlived their grace are cut here, and booked as far as they came.
    runtime.shutdown_timeout(Duration::from_secs(5));
    gateway.flush()
}
