//! The same policy in other people's retriers.

mod tower;

pub use tower::TowerPolicy;
