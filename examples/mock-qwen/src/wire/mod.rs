//! Bodies as they are on the wire.

mod compatible;
mod dialect;
mod native;
mod problem;
mod reply;

pub(crate) use self::dialect::Dialect;
pub(crate) use self::problem::Problem;
pub(crate) use self::reply::{Part, Reply, Usage};
