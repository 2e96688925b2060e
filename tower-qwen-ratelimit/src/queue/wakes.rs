use std::task::Waker;

/// Wakers to be woken, and one to be dropped, once the account's lock is given up: both may run code of others.
#[derive(Debug, Default)]
#[must_use = "to be woken once the lock is given up"]
pub(crate) struct Wakes {
    /// Who was the head and is it no longer.
    pub(super) displaced: Option<Waker>,
    pub(super) head: Option<Waker>,
    /// Of a waiter that has left.
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
        drop(left);
        if let Some(waker) = displaced {
            waker.wake();
        }
        if let Some(waker) = head {
            waker.wake();
        }
    }
}
