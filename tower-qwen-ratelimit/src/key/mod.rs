//! The key of an account: which account a call is charged to.

mod digest;
mod key;
mod key_of;
mod peer;
mod request_head;

pub use key::Key;
pub use key_of::KeyOf;
pub use request_head::RequestHead;

#[cfg(feature = "redis")]
pub(crate) use digest::FleetSalt;
pub(crate) use digest::{Digest, Salt};
pub(crate) use key::{KeyRef, NameRef};
pub(crate) use peer::Peer;
