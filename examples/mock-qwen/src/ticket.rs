//! A call that was let in: it is settled exactly once, at the latest when it is dropped.

use crate::account::{Admitted, End};
use crate::server::MockQwen;

#[derive(Debug)]
pub(crate) struct Ticket {
    mock: MockQwen,
    call: Admitted,
    /// Tokens delivered so far.
    delivered: u64,
    settled: bool,
}

impl Ticket {
    pub(crate) fn new(mock: MockQwen, call: Admitted) -> Self {
        Self {
            mock,
            call,
            delivered: 0,
            settled: false,
        }
    }

    pub(crate) fn deliver(&mut self, tokens: u64) {
        self.delivered += tokens;
    }

    /// Settles the call. Only the first time counts.
    pub(crate) fn end(&mut self, end: End) {
        if self.settled {
            return;
        }
        self.settled = true;
        let inner = self.mock.inner();
        let mut account = inner.account();
        let now = inner.clock.now();
        account.settle(&inner.config, now, &self.call, self.delivered, end);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.end(End::Aborted);
    }
}
