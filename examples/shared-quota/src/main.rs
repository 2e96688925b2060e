//! `cargo run --release -p shared-quota`: processes that share one quota through Redis.
//!
//! Starts a `redis-server` of its own where none is named, a mock of the provider, and workers that each call as fast as
//! they may; then prints what each got, how much of the quota was used, and what the provider throttled.
//!
//! `.. -- servers --kill --outage`: the server's side. Servers share the quotas and the budgets of 200 tenants; of a storm of
//! calls it prints the most that a tenant got in a window, what the budgets spent, and what the ledgers hold of it.

mod args;
mod fleet;
mod outcome;
mod redis_server;
mod report;
mod servers;
mod speed;
mod worker;

use args::{Args, Role};
use clap::Parser;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match args.role {
        Some(Role::Worker(args)) => worker::run(args).await,
        Some(Role::Speed(args)) => speed::run(args).await,
        Some(Role::Servers(args)) => servers::run(args).await,
        Some(Role::Server(args)) => servers::serve(args).await,
        None => fleet::run(&args.fleet).await,
    }
}
