//! An account that a fleet shares: what it reports to the store, and what the store answers.

use std::{
    sync::{Arc, MutexGuard, Weak},
    time::Duration,
};

use tower_qwen_tokens::internal::clock::{self, Instant};

use super::{Account, AccountConfig, Charge, Outcome, grants::Outbox, state::State};
use crate::{
    fleet::{
        AccountLink, BookingReply, CallId, Handle, Heartbeat, HeartbeatReply, Op, SharedAccount,
        Terms,
    },
    key::Key,
    observe::LimiterEvent,
    quota::Quota,
    sharing::Sharing,
    units::{Nanos, nanos},
};

impl Account {
    /// An account that a fleet shares.
    pub(crate) fn in_fleet(
        link: &Handle,
        key: Key,
        quota: Quota,
        config: AccountConfig,
        epoch: Instant,
        now: Instant,
    ) -> Arc<Self> {
        let account = Arc::new_cyclic(|me: &Weak<Self>| {
            let mut account = Self::new(key, quota, config, epoch, now);
            account.link = Some(AccountLink::new(link.clone(), me.clone()));
            let until = account.patience(link.terms(), now);
            let sharing = link.terms().sharing;
            let members = link.counted_members().max(1);
            account.lock().join_fleet(sharing, members, until);
            account
        });
        let me: Weak<Self> = Arc::downgrade(&account);
        link.add_account(me);
        // The store went away before the account joined: the driver will not say so again.
        if link.is_away() {
            account.on_store_away();
        }
        account
    }

    /// Gives a call that goes by the account's own gates a number, under which its cost is
    /// reported.
    #[inline]
    pub(super) fn number(&self, charge: &mut Charge) {
        if let Some(link) = &self.link
            // A booked call has its number already.
            && charge.id == 0
            && link.terms().sharing == Sharing::Booking
        {
            charge.id = link.next_id();
        }
    }

    /// Reports that a call goes out later than it was booked.
    pub(super) fn report_send(&self, charge: Charge) {
        if let Some((link, account)) = self.numbered(charge) {
            let id = charge.id;
            link.push(Op::Send { account, id });
        }
    }

    /// Reports what became of a charge.
    pub(super) fn report_outcome(&self, charge: Charge, outcome: Outcome) {
        let Some((link, account)) = self.numbered(charge) else {
            return;
        };
        let (input, output) = charge.cost(outcome);
        link.push(Op::Settle {
            account,
            id: charge.id,
            charged_at: self.instant(charge.at),
            ended_at: clock::now(),
            input,
            output,
            counts: outcome != Outcome::NeverSent,
        });
    }

    /// Reports that the provider has throttled a call, so that the others pause too.
    pub(super) fn report_throttle(&self, until: Instant) {
        if let Some(link) = &self.link
            && let Some(account) = link.account()
        {
            let beliefs = self.lock().beliefs();
            link.push(Op::Throttle {
                account,
                until,
                beliefs,
                noted_at: clock::now(),
            });
        }
    }

    /// Releases the account's lock. Returns what has to be reported, if a fleet shares the account.
    #[inline]
    pub(super) fn release_with_outbox(&self, mut state: MutexGuard<'_, State>) -> Option<Outbox> {
        self.link.as_ref().map(|_| state.grants.take_outbox())
    }

    /// Reports what was noted under the account's lock.
    pub(super) fn deliver(&self, outbox: Outbox) {
        let Outbox {
            give_back,
            book,
            wants_heartbeat,
        } = outbox;
        let Some(link) = &self.link else { return };
        if let Some(id) = give_back {
            link.give_back(id);
        }
        if let Some((call, latest)) = book
            && let Some(account) = link.account()
        {
            link.push(Op::Book {
                account,
                id: call.id,
                input: call.input,
                output: call.output,
                latest,
            });
        }
        if wants_heartbeat {
            link.push(Op::Heartbeat);
        }
    }

    /// The link and the account as the store knows it, for a call that has a number.
    fn numbered(&self, charge: Charge) -> Option<(&AccountLink, Arc<dyn SharedAccount>)> {
        let link = self.link.as_ref().filter(|_| charge.id != 0)?;
        Some((link, link.account()?))
    }

    /// By when a store that is asked now has to answer.
    fn patience(&self, terms: &Terms, now: Instant) -> Nanos {
        let timeout = nanos(terms.timeout);
        self.nanos(now).saturating_add(timeout.saturating_mul(2))
    }
}

impl SharedAccount for Account {
    fn key(&self) -> &Key {
        &self.key
    }

    fn quota(&self) -> Quota {
        self.lock().quota
    }

    fn heartbeat(&self) -> Option<Heartbeat> {
        let sharing = self.link.as_ref()?.terms().sharing;
        self.advanced(clock::now()).heartbeat(sharing)
    }

    fn on_heartbeat(&self, reply: HeartbeatReply, sent_at: Instant, term: Duration) {
        let Some(link) = &self.link else { return };
        let sharing = link.terms().sharing;
        // From the send on, not from the answer: the store counts from an instant between the two.
        if let Some((own, other)) = reply.formats
            && link.report_format()
        {
            let key = &self.key;
            self.emit(&LimiterEvent::StoreFormat { key, own, other });
        }
        let sent_at = self.nanos(sent_at);
        let until = sent_at.saturating_add(nanos(term));
        self.change(clock::now(), |state| {
            state.believe(reply.beliefs, sent_at);
            state.on_heartbeat(reply, sharing, until);
        });
    }

    fn on_booking(&self, id: CallId, reply: BookingReply) {
        self.change(clock::now(), |state| {
            state.grants.on_booking(id, reply, state.now);
        });
    }

    fn on_store_away(&self) {
        let Some(link) = &self.link else { return };
        let (outage, processes) = (link.terms().outage, link.processes());
        self.change(clock::now(), |state| state.on_store_away(outage, processes));
    }

    fn on_store_back(&self) {
        let Some(link) = &self.link else { return };
        let now = clock::now();
        let until = self.patience(link.terms(), now);
        let sharing = link.terms().sharing;
        self.change(now, |state| state.on_store_back(sharing, until));
    }

    fn on_rejection(&self, reason: &str) {
        let Some(link) = &self.link else { return };
        // Each heartbeat is rejected again; observers get one event.
        if link.reject() {
            self.emit(&LimiterEvent::StoreRejected {
                key: &self.key,
                outage: link.terms().outage,
                reason,
            });
        }
        self.on_store_away();
    }

    fn on_acceptance(&self) {
        if let Some(link) = &self.link {
            link.accept();
        }
    }

    fn is_rejected(&self) -> bool {
        self.link.as_ref().is_some_and(AccountLink::is_rejected)
    }
}
