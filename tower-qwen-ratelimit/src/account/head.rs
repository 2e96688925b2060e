//! What a waiter is to do.

use std::time::Duration;

use tower_qwen_tokens::internal::clock::Instant;

use super::{
    Account, Ask, Latest, Turn,
    charge::Charge,
    grants::{Booking, Turns},
    state::State,
};
use crate::{
    error::{RejectKind, Rejected},
    fleet::{CallId, Op},
    gate::{NEVER, Nanos},
    queue::Ticket,
};

/// What a waiter is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// To look again at this instant, or to go when it has come.
    At(Nanos),
    /// To wait for the store's answer, or behind others, though not after this instant.
    Await(Nanos),
    /// To wait behind others.
    Behind,
    /// To ask the store for a turn, having given this up.
    Ask(Option<CallId>),
    /// To ask the store for a part.
    Lease,
    /// The store does not answer.
    Away,
    Refused(Rejected),
}

impl Account {
    /// What a waiter is to do; what has to be told to the store comes with it.
    pub(super) fn look(
        &self,
        state: &mut State,
        ticket: Ticket,
        ask: &Ask,
        estimate: Charge,
    ) -> (Look, Vec<Op>) {
        let latest_at = self.latest_at(ask);
        if !state.queue.is_head(ticket) {
            let look = state.look_from_behind(estimate, ask.latest, latest_at);
            return (look, Vec::new());
        }
        let (look, ops) = match &self.member {
            Some(member) => self.look_in_fleet(member, state, ticket, ask, estimate),
            None => {
                let look = state.look(ticket, estimate, ask.latest, latest_at);
                (look, Vec::new())
            }
        };
        (state.in_time(look, ask.latest, latest_at), ops)
    }

    pub(super) fn latest_at(&self, ask: &Ask) -> Nanos {
        ask.latest
            .map_or(Nanos::MAX, |latest| self.nanos(latest.at))
    }
}

impl State {
    /// What the head is to do that holds this ticket.
    pub(super) fn look(
        &self,
        ticket: Ticket,
        estimate: Charge,
        latest: Option<Latest>,
        latest_at: Nanos,
    ) -> Look {
        if let Some(at) = self.turn_at(estimate) {
            return Look::At(at);
        }
        match self.turns {
            Turns::Booked(booking) => match booking {
                Booking::Nothing => Look::Ask(None),
                Booking::Asked(place, _) | Booking::At(place, _)
                    if !place.is_for(ticket, estimate) =>
                {
                    Look::Ask(Some(place.id))
                }
                Booking::Asked(_, until) if self.now >= until => Look::Away,
                Booking::Asked(_, until) => Look::Await(until),
                Booking::At(_, at) => Look::At(at.max(self.unbooked_at())),
                Booking::TooLate(place, _) if place.ticket != Some(ticket) => Look::Ask(None),
                Booking::TooLate(_, None) => {
                    Look::Refused(Rejected::new(RejectKind::TooLarge, None))
                }
                Booking::TooLate(_, Some(at)) => match latest {
                    Some(latest) if latest_at < at => {
                        let wait = Duration::from_nanos(at.saturating_sub(self.now));
                        Look::Refused(Rejected::new(latest.kind, Some(wait)))
                    }
                    _ => Look::Ask(None),
                },
                Booking::Later(place, _) if place.ticket != Some(ticket) => Look::Ask(None),
                Booking::Later(_, at) if self.now >= at => Look::Ask(None),
                Booking::Later(_, at) => match latest {
                    Some(latest) if latest_at < at => {
                        let wait = Duration::from_nanos(at.saturating_sub(self.now));
                        Look::Refused(Rejected::new(latest.kind, Some(wait)))
                    }
                    _ => Look::Await(at),
                },
            },
            Turns::Unleased(until) if self.now >= until => Look::Away,
            Turns::Unleased(until) => Look::Await(until),
            Turns::Leased(_) => Look::Lease,
            Turns::Closed => Look::Refused(Rejected::new(RejectKind::StoreAway, None)),
            Turns::Own | Turns::Open => Look::At(self.now),
        }
    }

    /// What a waiter is to do behind the head. It may have to wait for longer than was predicted: the provider throttles, a
    /// call costs more than was estimated or runs for longer, the store is silent.
    fn look_from_behind(&self, estimate: Charge, latest: Option<Latest>, latest_at: Nanos) -> Look {
        match latest {
            Some(latest) if latest_at <= self.now => {
                let silent = self.answered_by().saturating_sub(self.now);
                let wait = self.wait_of(estimate).ok();
                let wait = wait.map(|wait| wait.max(Duration::from_nanos(silent)));
                Look::Refused(Rejected::new(latest.kind, wait))
            }
            Some(_) => Look::Await(latest_at),
            None => Look::Behind,
        }
    }

    /// By when the store answers what it was asked, or counts as away.
    fn answered_by(&self) -> Nanos {
        match self.turns {
            Turns::Booked(Booking::Asked(_, until)) | Turns::Unleased(until) => until,
            _ => self.now,
        }
    }

    /// What the head is to do, for a call that does not go after `latest`.
    fn in_time(&self, look: Look, latest: Option<Latest>, latest_at: Nanos) -> Look {
        let Some(latest) = latest else {
            return look;
        };
        let refused = |at: Nanos| {
            let wait = Duration::from_nanos(at.saturating_sub(self.now));
            Look::Refused(Rejected::new(latest.kind, Some(wait)))
        };
        match look {
            // The end of another call is not foreseen.
            Look::At(NEVER) if latest_at <= self.now => {
                refused(self.running.predicted(self.now, 0))
            }
            Look::At(NEVER) => Look::Await(latest_at),
            Look::At(at) if at > self.now && at > latest_at => refused(at),
            Look::Await(until) if latest_at <= self.now => refused(until),
            Look::Await(until) => Look::Await(until.min(latest_at)),
            look => look,
        }
    }
}

/// What a look means to a waiter.
impl Look {
    pub(super) fn turn(self, instant: impl Fn(Nanos) -> Instant) -> Turn {
        match self {
            Self::At(at) | Self::Await(at) => Turn::Until(instant(at)),
            Self::Refused(rejected) => Turn::Refused(rejected),
            Self::Behind | Self::Ask(_) | Self::Lease | Self::Away => Turn::Behind,
        }
    }
}
