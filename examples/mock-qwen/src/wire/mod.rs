//! Bodies as they are on the wire.

mod compatible;
mod dialect;
mod native;
mod problem;
mod quota_list;
mod reply;

pub(crate) use self::dialect::Dialect;
pub(crate) use self::problem::Problem;
pub(crate) use self::quota_list::{QuotaPage, quota_list};
pub(crate) use self::reply::{Part, Reply, Usage};
