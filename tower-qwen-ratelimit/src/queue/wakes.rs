use std::task::Waker;

/// Wakers to be woken, and one to be dropped, once the account's lock is released: both may run
/// code of the user's runtime.
#[derive(Debug, Default)]
#[must_use = "to be woken once the lock is released"]
pub(crate) struct Wakes {
    /// The waiter that was the head: it drops its timer.
    pub(super) displaced: Option<Waker>,
    pub(super) head: Option<Waker>,
    /// Of a waiter that has left: only dropped.
    pub(super) left: Option<Waker>,
}

impl Wakes {
    #[inline]
    pub(crate) fn wake(self) {
        let Self {
            displaced,
            head,
            left,
        } = self;
        // Dropping a waker may run code too, such as the end of a task.
        drop(left);
        if let Some(waker) = displaced {
            waker.wake();
        }
        if let Some(waker) = head {
            waker.wake();
        }
    }
}
