//! Units that several modules reckon in.

mod fraction;
mod nanos;

pub(crate) use fraction::Fraction;
pub(crate) use nanos::{NEVER, Nanos, nanos};
