//! Redis and Valkey: the gates of an account, shared by a fleet of processes.
//!
//! A process keeps its accounts, with their queues and what they have learned; at the server lies
//! what all share. One script per operation takes from all gates of an account or from none, by the
//! server's clock. Redis 6.2 and later, and Valkey.
//!
//! ```no_run
//! use tower_qwen_ratelimit::{Limiter, Quota, fleet::redis::RedisStore};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let (store, driver) = RedisStore::connect("redis://127.0.0.1:6379").await?;
//! tokio::spawn(driver);
//! let limiter = Limiter::builder(Quota::per_minute(800, 800_000))
//!     .store(&store)
//!     .build()?;
//! // ... calls ...
//! store.flush().await;
//! # Ok(())
//! # }
//! ```
//!
//! # The driver
//!
//! The library spawns nothing: all that goes to the server goes through the [`Driver`], a future
//! that the application runs. Where it is not run, or has been dropped, the store counts as away.
//! It ends when the store and all limiters over it are gone and, unless the server is away, all
//! that they had to report is reported.
//!
//! # Two ways of sharing
//!
//! [`Sharing::Booking`]: the head of each process's queue asks the server for its turn, and one
//! script takes the cost and says when that is. Settlements ride along. [`Sharing::Lease`]: a
//! process has a part of the rate for some time and serves from memory; see
//! [`FleetSnapshot::may_overshoot_tokens`](crate::FleetSnapshot::may_overshoot_tokens) for what
//! that costs.
//!
//! # Budgets
//!
//! [`BudgetsBuilder::store`](crate::budget::BudgetsBuilder::store) shares budgets over the same store, always by
//! leases of amounts, under both ways of sharing. The accounts of a server's callers
//! ([`EnforceLayer`](crate::EnforceLayer)) are each process's own.
//!
//! # When the server is away
//!
//! Noticed within [`RedisOptions::timeout`] of an operation, reported to observers once, and mended
//! by itself. [`OutagePolicy`] says what becomes of calls meanwhile. What they cost is reported
//! when the server is back, each once; where more settlements wait for that than
//! [`RedisOptions::queue`] allows, those calls stay uncounted, and [`StoreSnapshot::dropped`] says
//! how many.
//!
//! # Cancel safety
//!
//! A call that is dropped while it waits gives its booking back. What a process has charged that
//! dies stands, and leaves with the window; parts and slots of calls at one time expire.

mod command;
mod connection;
mod driver;
mod error;
mod heartbeats;
mod leases;
mod ledger;
mod names;
mod options;
mod pauses;
mod presence;
mod replies;
mod reply;
mod script;
mod session;
mod slots;
mod store;
#[cfg(test)]
mod tests;
#[cfg(feature = "redis-tls")]
mod tls;

pub use super::{
    link::StoreSnapshot,
    usage::{UsageOfDay, UsageSums},
};
pub use crate::sharing::{OutagePolicy, Sharing};
pub use driver::Driver;
pub use error::StoreError;
pub use ledger::{FleetLedger, ReadUsage};
pub use options::RedisOptions;
pub use store::{Flush, RedisStore};
