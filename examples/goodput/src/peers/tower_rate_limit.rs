//! tower's own layers: Retry > Buffer > `RateLimit`. It counts requests only.

use tower::{BoxError, ServiceBuilder, ServiceExt, retry::RetryLayer};

use super::{Told, again::Again, hyper, waits};
use crate::stack::Client;

/// More than all callers: none is turned away.
const QUEUE: usize = 1_024;

pub(super) fn client(told: Told) -> Client {
    let limited = ServiceBuilder::new()
        .buffer(QUEUE)
        .rate_limit(told.rpm, told.window)
        .service(hyper());
    let retried = ServiceBuilder::new()
        .layer(RetryLayer::new(Again::new(waits(told.window))))
        .service(limited);
    Client::new(retried.map_err(BoxError::from))
}
