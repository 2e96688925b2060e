use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, Ordering},
};

use tower_qwen_tokens::internal::clock;

use super::{CallId, Handle, Op, SharedAccount, Terms};

/// What binds an account to its fleet: the account's end of the link.
#[derive(Debug)]
pub(crate) struct AccountLink {
    link: Handle,
    /// The account itself. Weak, or it would keep itself alive.
    account: Weak<dyn SharedAccount>,
    /// The store rejects the account: others share it under other terms.
    is_rejected: AtomicBool,
    /// Another format was reported: once is enough.
    has_reported_format: AtomicBool,
}

impl AccountLink {
    pub(crate) fn new(link: Handle, account: Weak<dyn SharedAccount>) -> Self {
        Self {
            link,
            account,
            is_rejected: AtomicBool::new(false),
            has_reported_format: AtomicBool::new(false),
        }
    }

    pub(crate) fn terms(&self) -> &Terms {
        self.link.terms()
    }

    /// Processes that live in the fleet, whether or not they use the account.
    pub(crate) fn processes(&self) -> u64 {
        self.link.members()
    }

    pub(crate) fn next_id(&self) -> CallId {
        self.link.next_id()
    }

    pub(crate) fn account(&self) -> Option<Arc<dyn SharedAccount>> {
        self.account.upgrade()
    }

    /// Tells the store. Not under the account's lock: it may wake the driver's task.
    pub(crate) fn push(&self, op: Op) {
        self.link.push(op);
    }

    /// Gives a booking back: its call is never sent.
    pub(crate) fn give_back(&self, id: CallId) {
        let Some(account) = self.account() else {
            return;
        };
        let now = clock::now();
        self.push(Op::Settle {
            account,
            id,
            charged_at: now,
            ended_at: now,
            input: 0,
            output: 0,
            counts: false,
        });
    }

    /// The store rejects the account. Returns whether that is news.
    // Relaxed, here and below: the flag guards no other data, and a report too many is only
    // rejected again.
    pub(crate) fn reject(&self) -> bool {
        !self.is_rejected.swap(true, Ordering::Relaxed)
    }

    /// The store has accepted the account.
    pub(crate) fn accept(&self) {
        self.is_rejected.store(false, Ordering::Relaxed);
    }

    /// The account is stored in another format too. Returns whether that is news.
    pub(crate) fn report_format(&self) -> bool {
        !self.has_reported_format.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn is_rejected(&self) -> bool {
        self.is_rejected.load(Ordering::Relaxed)
    }
}
