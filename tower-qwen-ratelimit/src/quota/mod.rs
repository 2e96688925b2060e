//! The limits of a provider, or of a server of your own.

mod invalid;
mod pacing;
mod quota;
mod reserve;

pub use invalid::InvalidQuota;
pub use pacing::Pacing;
pub use quota::Quota;
pub use reserve::Reserve;
