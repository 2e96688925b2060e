//! What an account does as a member of a fleet.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tower_qwen_tokens::internal::clock::{self, Instant};

use super::{
    Account, Ask, Manner,
    charge::{Charge, Outcome},
    grants::{Booking, Fleet, Place, Turns, nanos},
    head::Look,
    state::State,
};
use crate::{
    fleet::{Booked, CallId, Handle, Heard, Op, Sharing, Standing},
    gate::Nanos,
    key::Key,
    observe::{LimiterEvent, emit},
    queue::Ticket,
    quota::Quota,
    snapshot::FleetSnapshot,
};

/// Binds an account to its fleet.
#[derive(Debug)]
pub(super) struct Member {
    link: Handle,
    me: Weak<Account>,
    /// Others share the account under other terms.
    is_refused: AtomicBool,
}

impl Account {
    /// An account that a fleet shares.
    pub(crate) fn in_fleet(
        link: &Handle,
        key: Key,
        quota: Quota,
        manner: Manner,
        epoch: Instant,
        now: Instant,
    ) -> Arc<Self> {
        let account = Arc::new_cyclic(|me| {
            let mut account = Self::new(key, quota, manner, epoch, now);
            account.member = Some(Member {
                link: link.clone(),
                me: me.clone(),
                is_refused: AtomicBool::new(false),
            });
            let patience = account.patience(now);
            let mut state = account.lock();
            state.turns = match link.terms().sharing {
                Sharing::Booking => Turns::Booked(Booking::Nothing),
                Sharing::Lease => Turns::Unleased(patience),
            };
            state.fleet.members = link.members();
            if quota.most_running() < u64::MAX {
                state.running.set_limit(0);
            }
            drop(state);
            account
        });
        link.enter(Arc::downgrade(&account));
        if link.is_away() {
            account.store_away();
        }
        account
    }

    /// What the head of a fleet's account is to do; what has to be told to the store comes with it.
    pub(super) fn look_in_fleet(
        &self,
        member: &Member,
        state: &mut State,
        ticket: Ticket,
        ask: &Ask,
        estimate: Charge,
    ) -> (Look, Vec<Op>) {
        let mut ops = Vec::new();
        let patience = nanos(member.link.terms().timeout) * 2;
        loop {
            match state.look(ticket, estimate, ask.latest, self.latest_at(ask)) {
                Look::Ask(given_up) => {
                    let Some(account) = member.me.upgrade() else {
                        return (Look::At(state.now), ops);
                    };
                    ops.extend(given_up.map(|id| never_sent(account.clone(), id)));
                    let place = Place {
                        id: member.link.next_id(),
                        ticket: Some(ticket),
                        input: estimate.input,
                        output: estimate.output,
                    };
                    state.ask(place, patience);
                    ops.push(Op::Book {
                        account,
                        id: place.id,
                        input: place.input,
                        output: place.output,
                        latest: ask.latest.map(|latest| latest.at),
                    });
                }
                Look::Lease => {
                    state.turns = Turns::Unleased(state.now.saturating_add(patience));
                    ops.push(Op::Beat);
                }
                Look::Away => {
                    let booked =
                        state.store_away(member.link.terms().outage, member.link.members());
                    let account = member.me.upgrade();
                    ops.extend(
                        account
                            .zip(booked)
                            .map(|(account, id)| never_sent(account, id)),
                    );
                }
                look => {
                    if state.asks_for_slots() {
                        ops.push(Op::Beat);
                    }
                    return (look, ops);
                }
            }
        }
    }

    /// Tells the store. Not under the account's lock, since it may wake somebody.
    pub(super) fn push(&self, ops: impl IntoIterator<Item = Op>) {
        if let Some(member) = &self.member {
            ops.into_iter().for_each(|op| member.link.push(op));
        }
    }

    /// Gives a call that goes by the account's own gates a number, so that the store can be told what it cost.
    #[inline]
    pub(super) fn number(&self, charge: &mut Charge) {
        if let Some(member) = &self.member
            && charge.id == 0
            && member.link.terms().sharing == Sharing::Booking
        {
            charge.id = member.link.next_id();
        }
    }

    /// The call goes out later than it was booked.
    pub(super) fn tell_sent(&self, charge: Charge) {
        if let Some(account) = self.shared(charge) {
            let id = charge.id;
            self.push([Op::Send { account, id }]);
        }
    }

    /// Tells the store what became of a charge.
    pub(super) fn tell_outcome(&self, charge: Charge, outcome: Outcome) {
        let Some(account) = self.shared(charge) else {
            return;
        };
        let (input, output) = match outcome {
            Outcome::Known { input, output } => (input, output),
            Outcome::EstimateStands => (charge.input, charge.output),
            Outcome::PromptOnly => (charge.input, 0),
            Outcome::Refused | Outcome::NeverSent => (0, 0),
        };
        self.push([Op::Settle {
            account,
            id: charge.id,
            charged_at: self.instant(charge.at),
            ended_at: clock::now(),
            input,
            output,
            counts: outcome != Outcome::NeverSent,
        }]);
    }

    /// Tells the others that the provider has throttled a call.
    pub(super) fn tell_pause(&self, until: Instant) {
        let account = self.member.as_ref().and_then(|member| member.me.upgrade());
        if let Some(account) = account {
            let shares = {
                let state = self.lock();
                (state.requests.share(), state.tokens.share())
            };
            self.push([Op::Pause {
                account,
                until,
                shares,
            }]);
        }
    }

    /// Gives up what was booked.
    pub(super) fn give_back(&self, id: CallId) {
        let account = self.member.as_ref().and_then(|member| member.me.upgrade());
        self.push(account.map(|account| never_sent(account, id)));
    }

    fn shared(&self, charge: Charge) -> Option<Arc<Self>> {
        let member = self.member.as_ref().filter(|_| charge.id != 0)?;
        member.me.upgrade()
    }

    /// The store's answer to the head.
    pub(crate) fn booked(&self, id: CallId, reply: Booked) {
        self.change(clock::now(), |state| state.booked(id, reply));
    }

    /// What the store says of the others, to what was told it at `asked`.
    pub(crate) fn heard(&self, heard: Heard, asked: Instant, term: Duration) {
        let Some(member) = &self.member else {
            return;
        };
        let is_lease = member.link.terms().sharing == Sharing::Lease;
        let until = self.nanos(asked).saturating_add(nanos(term));
        self.change(clock::now(), |state| state.heard(heard, is_lease, until));
    }

    pub(crate) fn standing(&self) -> Option<Standing> {
        let member = self.member.as_ref()?;
        let is_lease = member.link.terms().sharing == Sharing::Lease;
        self.advanced(clock::now()).standing(is_lease)
    }

    pub(crate) fn store_away(&self) {
        let Some(member) = &self.member else {
            return;
        };
        let (outage, processes) = (member.link.terms().outage, member.link.members());
        let booked = self.change(clock::now(), |state| state.store_away(outage, processes));
        if let Some(id) = booked {
            self.give_back(id);
        }
    }

    /// The store refuses this account alone: for it, it is away. Told once, until it is accepted.
    pub(crate) fn store_refused(&self, reason: &str) {
        let Some(member) = &self.member else {
            return;
        };
        if !member.is_refused.swap(true, Ordering::Relaxed) {
            emit(
                &self.manner.observers,
                &LimiterEvent::StoreRejected {
                    key: &self.key,
                    outage: member.link.terms().outage,
                    reason,
                },
            );
        }
        self.store_away();
    }

    /// The store has taken this account's own kind of sharing.
    pub(crate) fn store_accepted(&self) {
        if let Some(member) = &self.member {
            member.is_refused.store(false, Ordering::Relaxed);
        }
    }

    pub(crate) fn is_refused(&self) -> bool {
        let member = self.member.as_ref();
        member.is_some_and(|member| member.is_refused.load(Ordering::Relaxed))
    }

    /// The store is back: the driver has had an answer already or asks soon.
    pub(crate) fn store_back(&self) {
        let Some(member) = &self.member else {
            return;
        };
        let now = clock::now();
        let patience = self.patience(now);
        let sharing = member.link.terms().sharing;
        self.change(now, |state| match (sharing, state.turns) {
            (_, Turns::Booked(_) | Turns::Leased(_) | Turns::Unleased(_)) => {}
            (Sharing::Booking, _) => state.book_again(),
            (Sharing::Lease, _) => state.turns = Turns::Unleased(patience),
        });
    }

    fn patience(&self, now: Instant) -> Nanos {
        let timeout = self
            .member
            .as_ref()
            .map_or(Duration::ZERO, |member| member.link.terms().timeout);
        self.nanos(now).saturating_add(nanos(timeout) * 2)
    }

    pub(crate) fn quota(&self) -> Quota {
        self.lock().quota
    }

    pub(super) fn fleet_snapshot(&self, state: &State) -> Option<FleetSnapshot> {
        self.member.as_ref()?;
        let Fleet {
            members,
            part,
            largest,
            ..
        } = state.fleet;
        let burst = state.quota.burst_of(state.tokens.usable());
        let may_overshoot = match state.turns {
            Turns::Booked(_) | Turns::Closed => 0,
            Turns::Open => u64::MAX,
            Turns::Own | Turns::Leased(_) | Turns::Unleased(_) => {
                burst.saturating_add(members.saturating_mul(largest))
            }
        };
        Some(FleetSnapshot {
            members,
            part_percent: u8::try_from(u64::from(part) * 100 / u64::from(crate::adapt::FULL))
                .unwrap_or(100),
            is_store_away: matches!(state.turns, Turns::Own | Turns::Open | Turns::Closed),
            may_overshoot_tokens: may_overshoot,
        })
    }
}

fn never_sent(account: Arc<Account>, id: CallId) -> Op {
    let now = clock::now();
    Op::Settle {
        account,
        id,
        charged_at: now,
        ended_at: now,
        input: 0,
        output: 0,
        counts: false,
    }
}
