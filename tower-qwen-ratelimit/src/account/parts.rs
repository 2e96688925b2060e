//! What an account does with its part of a fleet's quota.

use super::{
    grants::{GrantedBy, Grants},
    state::State,
};
use crate::{
    adapt::{Beliefs, SlowStart},
    fleet::{Heartbeat, HeartbeatReply, Used},
    sharing::{OutagePolicy, Sharing},
    snapshot::{FleetSnapshot, GateSnapshot},
    units::{Fraction, Nanos, nanos},
};

/// What a process asks for beyond 1.25 times its use, so that an idle one can send a first call at
/// once.
// 1/64 is a choice: 64 idle processes hold the whole at most, and only until the next heartbeat.
const SPARE: Fraction = Fraction::one_of(64);

impl State {
    /// The account is shared from here on.
    pub(super) fn join_fleet(&mut self, sharing: Sharing, members: u64, patience: Nanos) {
        let by = match sharing {
            Sharing::Booking => GrantedBy::Booking(Default::default()),
            Sharing::Lease => GrantedBy::NoLease(patience),
        };
        self.grants = Grants::new(by, members);
        // It saves as one of many from the beginning: how many come is not known.
        self.requests.set_part(Fraction::WHOLE, self.now);
        self.tokens.set_part(Fraction::WHOLE, self.now);
        // Slots are always leased: until the store has granted some there are none.
        if self.quota.most_running() < u64::MAX {
            self.concurrency.set_limit(0);
        }
    }

    /// The store has answered a heartbeat. A lease ends at `until`.
    pub(super) fn on_heartbeat(&mut self, reply: HeartbeatReply, sharing: Sharing, until: Nanos) {
        let now = self.now;
        if !reply.closed_for.is_zero() {
            self.breaker
                .close_until(now.saturating_add(nanos(reply.closed_for)));
            self.close_gates();
        }
        let has_slots = self.quota.most_running() < u64::MAX;
        let grants = &mut self.grants;
        if has_slots && reply.slots != self.concurrency.limit() {
            self.concurrency.set_limit(reply.slots);
            grants.has_requested_slots = false;
        }
        grants.members = reply.members.max(1);
        grants.busy = reply.busy.max(1);
        grants.booked_until = now.saturating_add(nanos(reply.booked_ahead));
        grants.largest_call = grants.largest_call.max(reply.largest_call);
        grants.patience_left = None;
        grants.others = reply.others;
        // Who books takes from the store's buckets, and its own are hardly ever used.
        let is_used = (sharing == Sharing::Booking).then_some(reply.is_used);
        self.set_used(is_used);
        if sharing == Sharing::Lease && !reply.is_new {
            self.begin_empty();
        }
        let grants = &mut self.grants;
        match sharing {
            Sharing::Lease => {
                grants.by = match reply.granted {
                    Fraction::ZERO => GrantedBy::NoLease(until),
                    _ => GrantedBy::Lease(until),
                };
                self.run_on(reply.granted);
            }
            // What is booked stays booked.
            Sharing::Booking if grants.is_booked() => {}
            Sharing::Booking => self.book_again(),
        }
    }

    /// The store is away, and so many processes live in the fleet.
    pub(super) fn on_store_away(&mut self, outage: OutagePolicy, processes: u64) {
        self.begin_empty();
        let grants = &mut self.grants;
        grants.give_back(self.now);
        // Idle processes may have calls at any time, so they count too.
        let members = grants.members.max(processes).max(1);
        grants.by = match outage {
            OutagePolicy::LocalShare => GrantedBy::Own,
            OutagePolicy::Unlimited => GrantedBy::Unlimited,
            OutagePolicy::Reject => GrantedBy::Nobody,
        };
        if self.quota.most_running() < u64::MAX {
            self.concurrency
                .set_limit((self.quota.most_running() / members).max(1));
        }
        self.set_used(None);
        if outage == OutagePolicy::LocalShare {
            self.run_on(Fraction::one_of(members));
        }
    }

    /// The store is back. A lease that has not ended stays; the rest has to ask again.
    pub(super) fn on_store_back(&mut self, sharing: Sharing, patience: Nanos) {
        match (self.grants.by, sharing) {
            (GrantedBy::Booking(_) | GrantedBy::Lease(_) | GrantedBy::NoLease(_), _) => {}
            (_, Sharing::Booking) => self.book_again(),
            (_, Sharing::Lease) => self.grants.by = GrantedBy::NoLease(patience),
        }
    }

    /// Without a part, nothing has flowed in for this process that it could have saved: others had it.
    // Else each process that starts, or returns, would bring a burst of its own.
    fn begin_empty(&mut self) {
        let is_without = match self.grants.by {
            GrantedBy::Lease(until) => self.now >= until,
            GrantedBy::NoLease(_) => true,
            _ => false,
        };
        if is_without {
            self.requests.drain();
            self.tokens.drain();
        }
    }

    fn book_again(&mut self) {
        self.run_on(Fraction::WHOLE);
        self.grants.begin_booking();
    }

    /// What this process has of `most` calls at one time, the account's new limit: a fleet's goes
    /// on with its slots, as far as there are so many.
    pub(super) fn own_slots(&mut self, most: u64) -> u64 {
        self.grants.has_requested_slots = false;
        match (self.grants.members, self.quota.most_running()) {
            _ if most == u64::MAX => most,
            (0, _) => most,
            // There was no limit, so nothing was divided: an even part, until the store says more.
            (members, u64::MAX) => (most / members).max(1),
            _ => self.concurrency.limit().min(most),
        }
    }

    fn run_on(&mut self, part: Fraction) {
        if part == self.grants.part {
            return;
        }
        self.grants.part = part;
        self.requests.set_part(part, self.now);
        self.tokens.set_part(part, self.now);
        self.tokens_of_day
            .set_limit(self.own_tokens_of_day(&self.quota));
        // Slow start measures use against this process's own rate.
        if let Some(share) = self.slow_start.as_ref().map(SlowStart::share) {
            self.start_slowly(Some(share));
        }
    }

    /// What this process reports of itself; `None` where it has had nothing to do here for a
    /// window.
    pub(super) fn heartbeat(&self, sharing: Sharing) -> Option<Heartbeat> {
        let grants = &self.grants;
        let (requests, tokens) = (self.requests.snapshot(), self.tokens.snapshot());
        let waiting = self.queue.len() as u64;
        if waiting == 0 && self.in_flight == 0 && requests.used == 0 && tokens.used == 0 {
            return None;
        }
        let most_running = self.quota.most_running();
        let running = self.concurrency.running();
        let held = match (grants.by, sharing) {
            (GrantedBy::Lease(until), _) if self.now < until => grants.part,
            // It goes on with that until it is granted another one.
            (GrantedBy::Own, Sharing::Lease) => grants.part,
            _ => Fraction::ZERO,
        };
        let wanted = match (sharing, waiting) {
            (Sharing::Lease, 0) => wanted(&requests).max(wanted(&tokens)),
            (Sharing::Lease, _) => Fraction::WHOLE,
            // Where calls are booked, anything says that the process is busy.
            (Sharing::Booking, _) => Fraction::from_parts(u32::from(waiting > 0)),
        };
        Some(Heartbeat {
            held,
            wanted,
            beliefs: self.beliefs(),
            most_running,
            slots_held: running.max(self.concurrency.limit().min(most_running)),
            slots_wanted: running
                .saturating_add(waiting)
                .saturating_add(1)
                .min(most_running),
            largest_call: grants.largest_call,
            used: Used {
                requests: requests.used.saturating_sub(self.throttled_requests()),
                tokens: tokens.used,
            },
        })
    }

    /// What this process has learned of the provider's limits.
    pub(super) fn beliefs(&self) -> Beliefs {
        Beliefs {
            requests: self.requests.belief(self.now),
            tokens: self.tokens.belief(self.now),
        }
    }

    /// Takes over what the fleet has learned, as the answer to what was sent at `sent_at`.
    pub(super) fn believe(&mut self, beliefs: Beliefs, sent_at: Nanos) {
        let Beliefs { requests, tokens } = beliefs;
        self.requests.take_over(requests, sent_at, self.now);
        self.tokens.take_over(tokens, sent_at, self.now);
    }

    /// What of the quota all processes have used, where this one has used so much of it.
    // The limit that a throttle shows is that of all. While the store is away, all have equal parts,
    // and each is taken to have used as much of its own.
    pub(super) fn used_by_all(&self, own: Used) -> Used {
        let Grants {
            members, others, ..
        } = self.grants;
        match self.grants.by {
            GrantedBy::Own => Used {
                requests: own.requests.saturating_mul(members.max(1)),
                tokens: own.tokens.saturating_mul(members.max(1)),
            },
            _ => Used {
                requests: own.requests.saturating_add(others.requests),
                tokens: own.tokens.saturating_add(others.tokens),
            },
        }
    }

    fn set_used(&mut self, is_used: Option<(bool, bool)>) {
        self.requests
            .set_used(is_used.map(|(requests, _)| requests));
        self.tokens.set_used(is_used.map(|(_, tokens)| tokens));
    }

    pub(super) fn fleet_snapshot(&self) -> FleetSnapshot {
        let grants = &self.grants;
        let beyond = self.tokens.most_beyond_quota(self.quota.tokens());
        let may_overshoot_tokens = match grants.by {
            GrantedBy::Booking(_) | GrantedBy::Nobody => 0,
            GrantedBy::Unlimited => u64::MAX,
            GrantedBy::Own | GrantedBy::Lease(_) | GrantedBy::NoLease(_) => {
                beyond.saturating_add(grants.members.saturating_mul(grants.largest_call))
            }
        };
        let is_store_away = matches!(
            grants.by,
            GrantedBy::Own | GrantedBy::Unlimited | GrantedBy::Nobody
        );
        FleetSnapshot {
            members: grants.members,
            part_percent: grants.part.percent(),
            is_store_away,
            may_overshoot_tokens,
        }
    }
}

/// A quarter more than was used, and a little to spare.
fn wanted(gate: &GateSnapshot) -> Fraction {
    let used = Fraction::ratio(gate.used, gate.quota).parts();
    Fraction::from_parts(used * 5 / 4 + SPARE.parts())
}
