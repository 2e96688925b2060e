//! Who lets the head of a fleet's account go, and what this process knows of its fleet there.

use std::{mem, time::Duration};

use tower_qwen_tokens::internal::clock::Instant;

use super::Charge;
use crate::{
    fleet::{BookingReply, CallId, Used},
    queue::Ticket,
    units::{Fraction, Nanos, nanos},
};

/// What a fleet grants this process at an account: the whole, where the account is its own.
#[derive(Debug)]
pub(super) struct Grants {
    pub(super) by: GrantedBy,
    /// Processes that share the account (0: it is this process's own), and those of them that have
    /// something to send.
    pub(super) members: u64,
    pub(super) busy: u64,
    /// When the latest call goes that the fleet has booked.
    pub(super) booked_until: Nanos,
    /// The part of the account that is this process's own.
    pub(super) part: Fraction,
    /// What the others have used within the latest window, as far as is known.
    pub(super) others: Used,
    /// The tokens of the largest call in the fleet so far, as far as is known.
    pub(super) largest_call: u64,
    /// Whether more slots were requested since their number last changed.
    pub(super) has_requested_slots: bool,
    /// How long the store has left to answer, after the call has left that asked it.
    // Else impatient calls, each of which waits a little, would never find out that the store is
    // silent.
    pub(super) patience_left: Option<u64>,
    outbox: Outbox,
}

/// Who lets the head go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GrantedBy {
    /// The account's own gates, at this process's part of the quota: no fleet shares it, or the
    /// store is away.
    Own,
    /// The account's own gates, at a part that is leased until this instant.
    Lease(Nanos),
    /// The store is asked for a lease, and counts as away if it does not answer by this instant.
    NoLease(Nanos),
    /// The store, which books one call after the other.
    Booking(Booking),
    /// No limit but pauses and calls at one time: the store is away.
    Unlimited,
    /// The store is away, and calls are rejected.
    Nobody,
}

/// How far the booking of the head's call is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Booking {
    #[default]
    None,
    /// The store is asked, and counts as away if it does not answer by this instant.
    Requested(BookedCall, Nanos),
    /// The call goes at this instant.
    Granted(BookedCall, Nanos),
    /// Rejected by the store: the call would go at this instant (`None`: never), which is after its
    /// limit.
    TooLate(BookedCall, Option<Nanos>),
    /// The booking may be tried again at this instant.
    RetryAfter(BookedCall, Nanos),
}

/// A call that is booked, or whose booking is requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BookedCall {
    pub(super) id: CallId,
    /// The waiter that booked it. If it leaves, a waiter of equal or lower cost may use the
    /// booking.
    pub(super) ticket: Option<Ticket>,
    pub(super) input: u64,
    pub(super) output: u64,
}

/// What the account reports to the store when its lock is released.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Outbox {
    pub(super) give_back: Option<CallId>,
    /// With the latest instant at which the call may go.
    pub(super) book: Option<(BookedCall, Option<Instant>)>,
    pub(super) wants_heartbeat: bool,
}

impl Grants {
    pub(super) fn new(by: GrantedBy, members: u64) -> Self {
        Self {
            by,
            members,
            busy: 1,
            booked_until: 0,
            part: Fraction::WHOLE,
            others: Used::default(),
            largest_call: 0,
            has_requested_slots: false,
            patience_left: None,
            outbox: Outbox::default(),
        }
    }

    #[inline]
    pub(super) fn is_booked(&self) -> bool {
        matches!(self.by, GrantedBy::Booking(_))
    }

    #[inline]
    pub(super) fn on_charge(&mut self, tokens: u64) {
        self.largest_call = self.largest_call.max(tokens);
    }

    /// Asks the store to book a call, in place of what is booked.
    pub(super) fn book(
        &mut self,
        call: BookedCall,
        latest: Option<Instant>,
        now: Nanos,
        patience: u64,
    ) {
        if let Some(id) = self.booked_id() {
            self.outbox.give_back(id);
        }
        let patience = self.patience_left.take().unwrap_or(patience);
        let until = now.saturating_add(patience);
        self.by = GrantedBy::Booking(Booking::Requested(call, until));
        self.outbox.book = Some((call, latest));
    }

    /// Asks the store for a lease.
    pub(super) fn request_lease(&mut self, until: Nanos) {
        self.by = GrantedBy::NoLease(until);
        self.outbox.wants_heartbeat = true;
    }

    pub(super) fn request_slots(&mut self) {
        self.has_requested_slots = true;
        self.outbox.wants_heartbeat = true;
    }

    /// What the head is charged: what was booked, or its estimate.
    pub(super) fn take_booking(&mut self, estimate: Charge) -> Charge {
        let GrantedBy::Booking(Booking::Granted(call, at)) = self.by else {
            return estimate;
        };
        self.by = GrantedBy::Booking(Booking::None);
        Charge {
            input: call.input,
            output: call.output,
            id: call.id,
            at,
            ..estimate
        }
    }

    /// Gives back what is booked.
    pub(super) fn give_back(&mut self, now: Nanos) {
        if let GrantedBy::Booking(Booking::Requested(_, until)) = self.by {
            self.patience_left = Some(until.saturating_sub(now));
        }
        if let Some(id) = self.booked_id() {
            self.outbox.give_back(id);
        }
        if self.is_booked() {
            self.by = GrantedBy::Booking(Booking::None);
        }
    }

    /// The waiter has left; another one may use its booking.
    // Tickets are used again: a newcomer with the same ticket must not be taken for the waiter.
    pub(super) fn forget_ticket(&mut self, left: Ticket) {
        if let GrantedBy::Booking(
            Booking::Requested(call, _)
            | Booking::Granted(call, _)
            | Booking::TooLate(call, _)
            | Booking::RetryAfter(call, _),
        ) = &mut self.by
            && call.ticket == Some(left)
        {
            call.ticket = None;
        }
    }

    /// The store has answered a booking.
    pub(super) fn on_booking(&mut self, id: CallId, reply: BookingReply, now: Nanos) {
        // Any answer shows that the store is there, also one to an old question.
        self.patience_left = None;
        // An answer to a call that was given back, or that came after the store was given up.
        let GrantedBy::Booking(Booking::Requested(call, _)) = self.by else {
            return;
        };
        if call.id != id {
            return;
        }
        let after = |wait: Duration| now.saturating_add(nanos(wait));
        self.by = GrantedBy::Booking(match reply {
            BookingReply::In(wait) => {
                self.booked_until = after(wait);
                Booking::Granted(call, after(wait))
            }
            BookingReply::TooLate(wait) => Booking::TooLate(call, Some(after(wait))),
            BookingReply::RetryAfter(wait) => Booking::RetryAfter(call, after(wait)),
            BookingReply::Never => Booking::TooLate(call, None),
        });
    }

    /// Calls are booked from here on; nothing is booked so far.
    pub(super) fn begin_booking(&mut self) {
        self.by = GrantedBy::Booking(Booking::None);
        self.patience_left = None;
    }

    pub(super) fn take_outbox(&mut self) -> Outbox {
        mem::take(&mut self.outbox)
    }

    fn booked_id(&self) -> Option<CallId> {
        match self.by {
            GrantedBy::Booking(Booking::Requested(call, _) | Booking::Granted(call, _)) => {
                Some(call.id)
            }
            _ => None,
        }
    }
}

impl BookedCall {
    pub(super) fn is_for(&self, ticket: Ticket, estimate: Charge) -> bool {
        self.ticket == Some(ticket) || estimate.total() <= self.input.saturating_add(self.output)
    }
}

impl Outbox {
    fn give_back(&mut self, id: CallId) {
        // The store has not heard of the booking yet: it need not hear of either.
        match self.book {
            Some((call, _)) if call.id == id => self.book = None,
            _ => self.give_back = Some(id),
        }
    }
}
