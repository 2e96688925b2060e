//! The Batch API: files, and the jobs that work through them.

mod input;
mod job;
mod object;
mod store;
mod work;

pub(crate) use self::input::dialect;
pub(crate) use self::job::Job;
use self::job::Status;
pub(crate) use self::object::{file_object, job_object, list};
pub(crate) use self::store::{NewJob, Store, StoredFile};
pub(crate) use self::work::{second, short_id, work};
