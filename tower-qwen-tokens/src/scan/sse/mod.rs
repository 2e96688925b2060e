//! Scans a stream of server-sent events, with a fast path for events that match a template.

mod framing;
mod line;
mod progress;
mod stream;

pub(crate) use progress::{EventKind, EventProgress};
pub(super) use stream::Sse;
