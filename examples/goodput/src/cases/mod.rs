//! The cases: a setup, what the limiter is given, and the bounds.
//!
//! All quotas are 1,000 tokens a request. Bounds are shares of the provider's quota itself, nothing taken off for headroom.

mod case;
mod known;
mod moving;
mod unknown;

pub use self::case::{Case, MakeLimiter};

/// All cases.
#[must_use]
pub fn all() -> Vec<Case> {
    [known::cases(), unknown::cases(), moving::cases()].concat()
}
