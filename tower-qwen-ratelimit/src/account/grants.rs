use std::time::Duration;

use super::{
    charge::Charge,
    state::{State, part_of_day},
};
use crate::{
    adapt::FULL,
    adapt::Ramp,
    fleet::{Booked, CallId, Heard, OutagePolicy, Standing},
    gate::{NEVER, Nanos},
    queue::Ticket,
};

/// Who says when the head may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turns {
    /// The account's own gates.
    Own,
    /// The same, as a part of a fleet's account, until this instant.
    Leased(Nanos),
    /// The store is asked for a part, and counts as away if it does not answer by this instant.
    Unleased(Nanos),
    /// The store books one call after the other.
    Booked(Booking),
    /// Nobody: the store is away.
    Open,
    /// Nobody goes: the store is away.
    Closed,
}

/// How far the booking of the head's turn is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Booking {
    #[default]
    Nothing,
    /// The store is asked, and counts as away if it does not answer by this instant.
    Asked(Place, Nanos),
    /// The turn comes at this instant.
    At(Place, Nanos),
    /// It would come at this instant (at none: never), which was too late for whoever asked.
    TooLate(Place, Option<Nanos>),
    /// The store is to be asked again at this instant.
    Later(Place, Nanos),
}

/// What is booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) id: CallId,
    /// Whose it is; whoever costs no more can have it after him.
    pub(super) ticket: Option<Ticket>,
    pub(super) input: u64,
    pub(super) output: u64,
}

/// What this process knows of its fleet at this account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fleet {
    pub(super) members: u64,
    pub(super) busy: u64,
    /// The instant of the latest booking.
    tail: Nanos,
    /// The part of the account that is this process's own, of [`FULL`].
    pub(super) part: u32,
    /// What throttles have left the fleet of requests and tokens, of [`FULL`].
    cap: (u32, u32),
    cap_in_force: (u32, u32),
    /// The tokens of the largest call in the fleet so far, as far as is known.
    pub(super) largest: u64,
    /// Whether the store was asked for more slots since they last changed.
    asked_for_slots: bool,
    /// What is left of the patience with a store that has not answered whoever asked and left.
    patience_left: Option<u64>,
}

impl Default for Fleet {
    fn default() -> Self {
        Self {
            members: 1,
            busy: 1,
            tail: 0,
            part: FULL,
            cap: (FULL, FULL),
            cap_in_force: (FULL, FULL),
            largest: 0,
            asked_for_slots: false,
            patience_left: None,
        }
    }
}

impl State {
    /// When a call may go that nobody is ahead of, where that is known here.
    #[inline]
    pub(super) fn turn_at(&self, estimate: Charge) -> Option<Nanos> {
        match self.turns {
            Turns::Own => Some(self.ready_at(estimate)),
            Turns::Leased(until) if self.now < until => Some(self.ready_at(estimate)),
            Turns::Open => Some(self.unbooked_at()),
            _ => None,
        }
    }

    /// When the gates allow it that are not booked.
    pub(super) fn unbooked_at(&self) -> Nanos {
        self.running.ready_at(self.now).max(self.pause.until())
    }

    /// Whether a call that was due at an instant has been charged so late that it is dated otherwise.
    pub(super) fn is_late_for(&self, due: Charge, charge: Charge) -> bool {
        due.id != 0 && charge.at.saturating_sub(due.at) >= self.tokens.slot_width()
    }

    /// The head asks the store for this turn, which has so long to answer, and longer than that not for all who ask.
    pub(super) fn ask(&mut self, place: Place, patience: u64) {
        let patience = self.fleet.patience_left.take().unwrap_or(patience);
        let until = self.now.saturating_add(patience);
        self.turns = Turns::Booked(Booking::Asked(place, until));
    }

    /// Whether the head, which waits for the end of another call, may ask the store for more slots: once for as many as
    /// there are.
    pub(super) fn asks_for_slots(&mut self) -> bool {
        let may_have_more = self.running.limit() < self.quota.most_running();
        let is_full = self.running.ready_at(self.now) == NEVER;
        may_have_more && is_full && !std::mem::replace(&mut self.fleet.asked_for_slots, true)
    }

    /// What the head pays whose turn has come.
    pub(super) fn take_booking(&mut self, estimate: Charge) -> Charge {
        match self.turns {
            Turns::Booked(Booking::At(place, at)) => {
                self.turns = Turns::Booked(Booking::Nothing);
                Charge {
                    input: place.input,
                    output: place.output,
                    id: place.id,
                    at,
                    ..estimate
                }
            }
            _ => estimate,
        }
    }

    /// Gives up what is booked; says what it was.
    pub(super) fn unbook(&mut self) -> Option<CallId> {
        let Turns::Booked(booking) = self.turns else {
            return None;
        };
        self.turns = Turns::Booked(Booking::Nothing);
        if let Booking::Asked(_, until) = booking {
            self.fleet.patience_left = Some(until.saturating_sub(self.now));
        }
        match booking {
            Booking::Asked(place, _) | Booking::At(place, _) => Some(place.id),
            Booking::Nothing | Booking::TooLate(..) | Booking::Later(..) => None,
        }
    }

    /// Its waiter has gone; others may want what is booked.
    pub(super) fn forget_ticket(&mut self, left: Ticket) {
        if let Turns::Booked(
            Booking::Asked(place, _)
            | Booking::At(place, _)
            | Booking::TooLate(place, _)
            | Booking::Later(place, _),
        ) = &mut self.turns
            && place.ticket == Some(left)
        {
            place.ticket = None;
        }
    }

    /// The store has answered.
    pub(super) fn booked(&mut self, id: CallId, reply: Booked) {
        self.fleet.patience_left = None;
        let Turns::Booked(Booking::Asked(place, _)) = self.turns else {
            return;
        };
        if place.id != id {
            return;
        }
        let later = |wait: Duration| self.now.saturating_add(nanos(wait));
        let booking = match reply {
            Booked::In(wait) => {
                self.fleet.tail = later(wait);
                Booking::At(place, later(wait))
            }
            Booked::TooLate(wait) => Booking::TooLate(place, Some(later(wait))),
            Booked::Later(wait) => Booking::Later(place, later(wait)),
            Booked::Never => Booking::TooLate(place, None),
        };
        self.turns = Turns::Booked(booking);
    }

    /// The instant at which a newcomer's turn will come, as far as the bookings so far, the queue ahead and the rate tell,
    /// each busy process having its turn after the other. Where the latest booking did not have to wait, now: only the
    /// store knows more, and says so once it is asked.
    pub(super) fn predicted_in_fleet(&self, requests: u64, tokens: u64) -> Nanos {
        let open_at = self.now.max(self.pause.until());
        if self.fleet.tail <= open_at {
            return open_at;
        }
        let each = |ahead: u64, quota: u64| {
            let all = u128::from(ahead) * u128::from(self.fleet.busy.max(1));
            let time = all * u128::from(self.quota.window_nanos()) / u128::from(quota.max(1));
            u64::try_from(time).unwrap_or(NEVER)
        };
        let requests = each(requests, self.requests.allowed());
        let tokens = each(tokens, self.tokens.allowed());
        self.fleet.tail.saturating_add(requests.max(tokens))
    }

    /// Hears of the others. A part is this process's own until `until`.
    pub(super) fn heard(&mut self, heard: Heard, is_lease: bool, until: Nanos) {
        self.fleet.members = heard.members.max(1);
        self.fleet.busy = heard.busy.max(1);
        self.fleet.tail = self.now.saturating_add(nanos(heard.booked_ahead));
        self.pause
            .extend(self.now.saturating_add(nanos(heard.closed_for)));
        self.fleet.largest = self.fleet.largest.max(heard.largest);
        self.fleet.patience_left = None;
        if self.quota.most_running() < u64::MAX && heard.slots != self.running.limit() {
            self.running.set_limit(heard.slots);
            self.fleet.asked_for_slots = false;
        }
        if is_lease {
            self.fleet.cap = heard.shares;
            self.run_on(heard.granted);
            self.turns = match heard.granted {
                0 => Turns::Unleased(until),
                _ => Turns::Leased(until),
            };
        } else if !matches!(self.turns, Turns::Booked(_)) {
            self.book_again();
        }
    }

    /// The store is away, and so many processes live at whatever account. Says what was booked.
    pub(super) fn store_away(&mut self, outage: OutagePolicy, processes: u64) -> Option<CallId> {
        let booked = self.unbook();
        let members = self.fleet.members.max(processes).max(1);
        if self.quota.most_running() < u64::MAX {
            self.running
                .set_limit((self.quota.most_running() / members).max(1));
        }
        self.turns = match outage {
            OutagePolicy::LocalShare => {
                let part = u64::from(FULL) / members;
                self.run_on(u32::try_from(part).unwrap_or(FULL).max(1));
                Turns::Own
            }
            OutagePolicy::Unlimited => Turns::Open,
            OutagePolicy::Reject => Turns::Closed,
        };
        booked
    }

    /// The store is back, and books again.
    pub(super) fn book_again(&mut self) {
        self.run_on(FULL);
        self.fleet.patience_left = None;
        self.turns = Turns::Booked(Booking::Nothing);
    }

    /// The whole fleet may run other calls at one time than before.
    pub(super) fn set_slots(&mut self, before: u64, most: u64) {
        let part = match before {
            u64::MAX => (most / self.fleet.members.max(1)).max(1),
            _ => self.running.limit().min(most),
        };
        self.running
            .set_limit(if most == u64::MAX { most } else { part });
        self.fleet.asked_for_slots = false;
    }

    fn run_on(&mut self, part: u32) {
        if part != self.fleet.part || self.fleet.cap != self.fleet.cap_in_force {
            self.fleet.part = part;
            self.fleet.cap_in_force = self.fleet.cap;
            let (requests, tokens) = self.fleet.cap;
            self.requests.set_part(part, requests, self.now);
            self.tokens.set_part(part, tokens, self.now);
            self.tokens_of_day.set_limit(part_of_day(&self.quota, part));
            if let Some(share) = self.ramp.as_ref().map(Ramp::share) {
                self.start_slowly(Some(share));
            }
        }
    }

    /// How this process stands at the account; `None` where it has had nothing to do here for a window.
    pub(super) fn standing(&self, is_lease: bool) -> Option<Standing> {
        let (requests, tokens) = (self.requests.snapshot(), self.tokens.snapshot());
        let waiting = self.queue.len() as u64;
        if waiting == 0 && self.in_flight == 0 && requests.used == 0 && tokens.used == 0 {
            return None;
        }
        let most_running = self.quota.most_running();
        let running = self.running.running();
        let held = match self.turns {
            Turns::Leased(until) if self.now < until => self.fleet.part,
            // Until it is granted another one.
            Turns::Own if is_lease => self.fleet.part,
            _ => 0,
        };
        Some(Standing {
            held,
            want: match (is_lease, waiting) {
                (true, 0) => self.wanted(),
                (true, _) => FULL,
                (false, _) => u32::from(waiting > 0),
            },
            shares: (self.requests.share(), self.tokens.share()),
            most_running,
            slots_held: running.max(self.running.limit().min(most_running)),
            slots_wanted: running
                .saturating_add(waiting)
                .saturating_add(1)
                .min(most_running),
            largest: self.fleet.largest,
        })
    }

    /// A quarter more than was used, and never so little that a first call would have to wait for a part.
    fn wanted(&self) -> u32 {
        let used = |snapshot: crate::snapshot::GateSnapshot| {
            u128::from(snapshot.used) * u128::from(FULL) / u128::from(snapshot.quota.max(1))
        };
        let most = used(self.requests.snapshot()).max(used(self.tokens.snapshot()));
        let wanted = most * 5 / 4 + u128::from(FULL / 64);
        u32::try_from(wanted).unwrap_or(FULL).min(FULL)
    }
}

impl Place {
    pub(super) fn is_for(&self, ticket: Ticket, estimate: Charge) -> bool {
        self.ticket == Some(ticket) || estimate.total() <= self.input.saturating_add(self.output)
    }
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
