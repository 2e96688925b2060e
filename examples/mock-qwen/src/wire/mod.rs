//! Bodies as they are on the wire.

mod chat;
mod chunk;
mod dialect;
mod embeddings;
mod hosts;
mod messages;
mod native;
mod problem;
mod profile;
mod quota_list;
mod reply;
mod responses;
mod template;
mod usage;

pub(crate) use self::dialect::Dialect;
pub(crate) use self::embeddings::{embeddings, models};
pub(crate) use self::messages::error as messages_error;
pub(crate) use self::problem::{Kind, Problem};
pub(crate) use self::profile::{EarlyUsage, Profile, Range};
pub(crate) use self::quota_list::{QuotaPage, quota_list, quota_list_forbidden};
pub(crate) use self::reply::{Part, Reply, Written, error_event, message_of, native_error};
pub(crate) use self::template::{Facts, fill};
pub(crate) use self::usage::Usage;
