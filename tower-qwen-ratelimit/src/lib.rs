#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

#[macro_use(inner_accessors, opaque_debug)]
extern crate tower_qwen_tokens;

mod account;
mod acquire;
mod adapt;
pub mod admission;
pub mod budget;
mod cost;
pub mod enforce;
mod error;
#[cfg(feature = "axum-0-8")]
pub mod extract;
#[cfg(feature = "redis")]
pub mod fleet;
mod gate;
mod key;
#[cfg(feature = "redis")]
mod leased_amounts;
mod limit;
mod limiter;
pub mod observe;
pub mod period;
mod queue;
mod quota;
mod rejection;
mod reservation;
mod send_watch;
#[cfg(feature = "redis")]
mod sharing;
mod snapshot;
mod units;

pub use acquire::Acquire;
pub use admission::AdmissionLayer;
pub use budget::{Budget, BudgetLayer, Budgets};
pub use cost::{Cost, OutputLimit};
pub use enforce::EnforceLayer;
pub use error::{RejectKind, Rejected};
pub use key::{Key, KeyOf, RequestHead};
pub use limit::{Limit, LimitKind};
pub use limiter::{InvalidLimiter, Limiter, LimiterBuilder, Quotas};
pub use observe::{LimiterEvent, LimiterObserver};
pub use queue::{Discipline, Priority, Weight};
pub use quota::{InvalidQuota, Pacing, Quota, Reserve};
pub use reservation::Reservation;
#[cfg(feature = "redis")]
pub use sharing::{OutagePolicy, Sharing};
#[cfg(feature = "redis")]
pub use snapshot::FleetSnapshot;
pub use snapshot::{AccountSnapshot, GateSnapshot, LimitSnapshot};
pub use tower_qwen_tokens::call::BoxError;
