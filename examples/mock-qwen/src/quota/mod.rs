//! The arithmetic of quotas. Nothing here reads a clock: time is an argument, counted from the
//! start of the server.

mod bucket;
mod counter;
mod dimension;
mod fixed;
mod gate;
mod growth;
mod plan;
mod sliding;
#[cfg(test)]
mod tests;

pub(crate) use self::dimension::{Dimension, Mark, Room, Scope};
pub(crate) use self::growth::GrowthGate;
pub(crate) use self::plan::PlanGate;
