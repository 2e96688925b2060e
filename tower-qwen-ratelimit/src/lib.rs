#![doc = include_str!("../README.md")]

mod account;
mod acquire;
pub mod admission;
mod cost;
mod error;
mod expect;
mod feedback;
mod gate;
mod key;
mod limiter;
mod queue;
mod quota;
mod reservation;
mod snapshot;

pub use acquire::Acquire;
pub use admission::AdmissionLayer;
pub use cost::{Cost, Output};
pub use error::{RejectKind, Rejected};
pub use key::Key;
pub use limiter::Limiter;
pub use quota::{Pacing, Quota, Reserve};
pub use reservation::Reservation;
pub use snapshot::{AccountSnapshot, GateSnapshot};
pub use tower_qwen_tokens::call::BoxError;
