//! What the head of an account does that a fleet shares.

use tower_qwen_tokens::internal::clock::Instant;

use super::{
    Charge, WaitLimit,
    grants::{BookedCall, Booking, GrantedBy},
    head::HeadAction,
    state::State,
};
use crate::{
    error::{RejectKind, Rejected},
    fleet::AccountLink,
    queue::{Ahead, Ticket},
    units::{NEVER, Nanos, nanos},
};

/// What the head of a fleet's account needs next.
enum Step {
    Act(HeadAction),
    /// A booking for itself.
    Book,
    /// A lease for the account.
    Lease,
    /// A way to go without the store, which does not answer.
    GiveUpStore,
}

impl State {
    /// What the head is to do. What has to be reported to the store lies in the outbox.
    pub(super) fn action_in_fleet(
        &mut self,
        link: &AccountLink,
        head: Ticket,
        estimate: Charge,
        limit: Option<WaitLimit<Nanos>>,
        latest: Option<Instant>,
    ) -> HeadAction {
        // Twice: the driver takes one timeout to find out that the server is silent. A driver that
        // is not run never does.
        let patience = nanos(link.terms().timeout).saturating_mul(2);
        // Each step but the last changes who lets the head go, and none leads back: after the store
        // is given up, the head acts.
        loop {
            match self.next_step(head, estimate, limit) {
                Step::Act(action) => {
                    if self.lacks_slots() {
                        self.grants.request_slots();
                    }
                    return action;
                }
                Step::Book => {
                    let call = BookedCall {
                        id: link.next_id(),
                        ticket: Some(head),
                        input: estimate.input,
                        output: estimate.output,
                    };
                    self.grants.book(call, latest, self.now, patience);
                }
                Step::Lease => self.grants.request_lease(self.now.saturating_add(patience)),
                Step::GiveUpStore => self.on_store_away(link.terms().outage, link.processes()),
            }
        }
    }

    fn next_step(&self, head: Ticket, estimate: Charge, limit: Option<WaitLimit<Nanos>>) -> Step {
        if let Some(at) = self.granted_at(estimate) {
            return Step::Act(HeadAction::GoAt(at));
        }
        let wait_for_store = |until: Nanos| match self.now >= until {
            true => Step::GiveUpStore,
            false => Step::Act(HeadAction::WaitUntil(until)),
        };
        match self.grants.by {
            GrantedBy::Booking(booking) => match booking {
                Booking::None => Step::Book,
                Booking::Requested(call, _) | Booking::Granted(call, _)
                    if !call.is_for(head, estimate) =>
                {
                    Step::Book
                }
                Booking::Requested(_, until) => wait_for_store(until),
                Booking::Granted(_, at) => Step::Act(HeadAction::GoAt(at.max(self.unbooked_at()))),
                // The answer was about another call, of another limit.
                Booking::TooLate(call, _) | Booking::RetryAfter(call, _)
                    if call.ticket != Some(head) =>
                {
                    Step::Book
                }
                Booking::TooLate(_, None) => {
                    let rejected = Rejected::new(RejectKind::TooLarge, None);
                    Step::Act(HeadAction::Reject(rejected))
                }
                Booking::TooLate(_, Some(at)) => {
                    self.rejects_beyond(limit, at).unwrap_or(Step::Book)
                }
                Booking::RetryAfter(_, at) if self.now >= at => Step::Book,
                Booking::RetryAfter(_, at) => self
                    .rejects_beyond(limit, at)
                    .unwrap_or(Step::Act(HeadAction::WaitUntil(at))),
            },
            GrantedBy::NoLease(until) => wait_for_store(until),
            GrantedBy::Lease(_) => Step::Lease,
            GrantedBy::Nobody => {
                let rejected = Rejected::new(RejectKind::StoreAway, None);
                Step::Act(HeadAction::Reject(rejected))
            }
            GrantedBy::Own | GrantedBy::Unlimited => Step::Act(HeadAction::GoAt(self.now)),
        }
    }

    fn rejects_beyond(&self, limit: Option<WaitLimit<Nanos>>, at: Nanos) -> Option<Step> {
        let limit = limit.filter(|limit| limit.until < at)?;
        Some(Step::Act(HeadAction::Reject(self.rejected(limit.kind, at))))
    }

    /// When a call may go if no waiter is ahead of it. `None`: the store has to be asked, or calls
    /// are rejected while it is away.
    pub(super) fn ready_in_fleet(&self, estimate: Charge) -> Option<Nanos> {
        match self.grants.by {
            GrantedBy::Own => Some(self.ready_at(estimate)),
            GrantedBy::Lease(until) if self.now < until => Some(self.ready_at(estimate)),
            GrantedBy::Unlimited => Some(self.unbooked_at()),
            _ => None,
        }
    }

    /// When a newcomer behind all this will go, as far as the bookings so far and the rate say, the
    /// busy processes going in turns. Now, where the latest booking did not have to wait: only the
    /// store knows more, and says so once it is asked.
    pub(super) fn predicted_in_fleet(&self, ahead: Ahead) -> Nanos {
        let open_at = self.now.max(self.breaker.opens_at());
        let grants = &self.grants;
        if grants.booked_until <= open_at {
            return open_at;
        }
        let each = |ahead: u64, quota: u64| {
            let all = u128::from(ahead) * u128::from(grants.busy.max(1));
            let time = all * u128::from(self.quota.window_nanos()) / u128::from(quota.max(1));
            u64::try_from(time).unwrap_or(NEVER)
        };
        let requests = each(ahead.requests, self.requests.allowed());
        let tokens = each(ahead.tokens, self.tokens.allowed());
        grants.booked_until.saturating_add(requests.max(tokens))
    }

    /// When the store answers that was asked, or counts as away.
    pub(super) fn store_answers_by(&self) -> Nanos {
        match self.grants.by {
            GrantedBy::Booking(Booking::Requested(_, until)) | GrantedBy::NoLease(until) => until,
            _ => self.now,
        }
    }

    /// Whether an admitted call was due so much earlier that its send has to be reported.
    pub(super) fn is_late_for(&self, due: Charge, charge: Charge) -> bool {
        due.id != 0 && charge.at.saturating_sub(due.at) >= self.tokens.slot_width()
    }

    /// A waiter has left. The last one gives back what is booked; of another, the next head may use
    /// it.
    pub(super) fn leave_booking(&mut self, left: Ticket) {
        self.grants.forget_ticket(left);
        if self.queue.len() == 0 {
            self.grants.give_back(self.now);
        }
    }

    pub(super) fn is_unlimited(&self) -> bool {
        self.grants.by == GrantedBy::Unlimited
    }

    /// When the gates allow a call that no booking covers.
    fn unbooked_at(&self) -> Nanos {
        self.concurrency
            .ready_at(self.now)
            .max(self.breaker.opens_at())
    }

    /// Whether the head, which waits for the end of another call, should request more slots: once
    /// for each number of slots.
    fn lacks_slots(&self) -> bool {
        let may_have_more = self.concurrency.limit() < self.quota.most_running();
        let is_full = self.concurrency.ready_at(self.now) == NEVER;
        may_have_more && is_full && !self.grants.has_requested_slots
    }
}
