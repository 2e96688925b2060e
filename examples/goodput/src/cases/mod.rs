//! The cases: a setup, what the limiter is given, and the bounds.
//!
//! All quotas are 1,000 tokens a request. Bounds are shares of the provider's quota itself, nothing taken off for headroom.

mod case;
mod known;
mod moving;
mod unknown;

pub use self::case::{Case, MakeLimiter};

/// All cases in groups: of a known quota, of one that is not known, and of one that moves, is shared, or fails. Each group is a table
/// of `docs/performance.md`, by its name.
#[must_use]
pub fn groups() -> [(&'static str, Vec<Case>); 3] {
    [
        ("known", known::cases()),
        ("unknown", unknown::cases()),
        ("moving", moving::cases()),
    ]
}

/// All cases.
#[must_use]
pub fn all() -> Vec<Case> {
    groups().into_iter().flat_map(|(_, cases)| cases).collect()
}
