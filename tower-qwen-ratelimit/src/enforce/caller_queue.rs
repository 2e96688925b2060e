use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// How long and how many calls may wait at a server for their caller's quota; see
/// [`EnforceLayer::queue`](crate::EnforceLayer::queue).
///
/// ```
/// use std::time::Duration;
///
/// use tower_qwen_ratelimit::{EnforceLayer, KeyOf, Limiter, Quota, enforce::CallerQueue};
///
/// let queue = CallerQueue::new(Duration::from_secs(5)).max_queued(20);
/// let layer = EnforceLayer::new(Limiter::new(Quota::per_minute(60, 100_000)), KeyOf::api_key()).queue(queue);
/// # let _ = layer;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct CallerQueue {
    pub(super) max_wait: Duration,
    pub(super) max_queued: usize,
    pub(super) max_queued_in_all: usize,
}

/// The default of [`CallerQueue::max_queued`].
// Each of them holds its connection and its body: a caller that sends without end must not fill the server.
const DEFAULT_MAX_QUEUED: usize = 64;
/// The default of [`CallerQueue::max_queued_in_all`].
// Of bodies of 64 KiB, which is a long chat, 64 MiB.
const DEFAULT_MAX_QUEUED_IN_ALL: usize = 1_024;

/// The queue of a layer, with the number of those that wait at all callers together.
#[derive(Debug)]
pub(super) struct SharedQueue {
    pub(super) limits: CallerQueue,
    queued: AtomicUsize,
}

/// That one call waits; given back when it is dropped.
#[derive(Debug)]
pub(super) struct QueuedOne(Arc<SharedQueue>);

impl CallerQueue {
    /// A queue in which each call waits for at most `max_wait`: below the timeout of the callers.
    pub const fn new(max_wait: Duration) -> Self {
        Self {
            max_wait,
            max_queued: DEFAULT_MAX_QUEUED,
            max_queued_in_all: DEFAULT_MAX_QUEUED_IN_ALL,
        }
    }

    /// The most calls of one caller that wait. Default: 64.
    pub const fn max_queued(mut self, calls: usize) -> Self {
        self.max_queued = calls;
        self
    }

    /// The most calls of all callers together that wait. Default: 1,024.
    ///
    /// Each holds its request in memory.
    pub const fn max_queued_in_all(mut self, calls: usize) -> Self {
        self.max_queued_in_all = calls;
        self
    }
}

impl SharedQueue {
    pub(super) fn new(limits: CallerQueue) -> Self {
        Self {
            limits,
            queued: AtomicUsize::new(0),
        }
    }

    /// The most calls that may wait at a caller now.
    // A plain read: most calls do not wait, and must not share a line of memory that is written.
    pub(super) fn max_queued(&self) -> usize {
        match self.queued.load(Ordering::Relaxed) < self.limits.max_queued_in_all {
            true => self.limits.max_queued,
            false => 0,
        }
    }

    /// Counts one more, if there is room for it.
    pub(super) fn begin(self: &Arc<Self>) -> Option<QueuedOne> {
        let one_more = |queued| (queued < self.limits.max_queued_in_all).then_some(queued + 1);
        self.queued
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .ok()?;
        Some(QueuedOne(self.clone()))
    }
}

impl Drop for QueuedOne {
    fn drop(&mut self) {
        self.0.queued.fetch_sub(1, Ordering::Relaxed);
    }
}
