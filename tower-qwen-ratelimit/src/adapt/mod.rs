//! What the provider's answers teach an account.

mod output;
mod rate_share;
mod slow_start;

pub(crate) use output::Expect;
pub(crate) use rate_share::{Blame, FULL, Pause, Share};
pub(crate) use slow_start::Ramp;
