#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

#[macro_use(inner_accessors, opaque_debug)]
extern crate tower_qwen_tokens;

mod account;
mod acquire;
mod adapt;
pub mod admission;
mod cost;
pub mod enforce;
mod error;
#[cfg(feature = "axum-0-8")]
pub mod extract;
#[cfg(feature = "redis")]
pub mod fleet;
mod gate;
mod key;
mod limiter;
pub mod observe;
mod queue;
mod quota;
mod rejection;
mod reservation;
#[cfg(feature = "redis")]
mod sharing;
mod snapshot;
mod units;

pub use acquire::Acquire;
pub use admission::AdmissionLayer;
pub use cost::{Cost, OutputLimit};
pub use enforce::EnforceLayer;
pub use error::{RejectKind, Rejected};
pub use key::{Key, KeyOf, RequestHead};
pub use limiter::{InvalidLimiter, Limiter, LimiterBuilder};
pub use observe::{LimiterEvent, LimiterObserver};
pub use queue::{Discipline, Weight};
pub use quota::{InvalidQuota, Pacing, Quota, Reserve};
pub use reservation::Reservation;
#[cfg(feature = "redis")]
pub use sharing::{OutagePolicy, Sharing};
#[cfg(feature = "redis")]
pub use snapshot::FleetSnapshot;
pub use snapshot::{AccountSnapshot, GateSnapshot};
pub use tower_qwen_tokens::call::BoxError;
