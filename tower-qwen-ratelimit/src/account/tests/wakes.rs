//! Who is woken, who holds a timer, and when it fires.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Wake, Waker},
    time::{Duration, SystemTime},
};

use http::{HeaderMap, StatusCode};
use proptest::prelude::*;
use tower_qwen_tokens::{
    Verdict,
    internal::clock::{self, Instant},
    ledger::Tenant,
};

use super::{Finish, WINDOW, quotas};
use crate::{
    account::{Account, Ask, Charge, Entered, Latest, Manner, Outcome, Turn},
    cost::{Cost, OutputLimit},
    error::RejectKind,
    key::Key,
    observe::Observers,
    queue::{Discipline, FlowKey, Ticket},
};

/// A waiter: what it last learned, and whether it was woken since.
#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    ask: Ask,
    woken: Arc<AtomicBool>,
    /// When its timer fires; nothing where it is to be woken.
    timer: Option<Instant>,
}

#[derive(Debug, Default)]
struct Flag(Arc<AtomicBool>);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[derive(Debug, Clone)]
enum Event {
    Join {
        flow: u8,
        earlier: u64,
        tokens: u64,
        patience: Option<u64>,
    },
    Leave {
        which: usize,
    },
    Settle {
        which: usize,
        outcome: Finish,
    },
    Throttle {
        which: usize,
    },
    Pass {
        nanos: u64,
    },
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let patience = prop::option::of(0..WINDOW);
    let join =
        (0..4u8, 0..WINDOW, 0..900u64, patience).prop_map(|(flow, earlier, tokens, patience)| {
            Event::Join {
                flow,
                earlier,
                tokens,
                patience,
            }
        });
    let settle = (any::<usize>(), 0..1_500u64).prop_map(|(which, input)| Event::Settle {
        which,
        outcome: match input % 4 {
            0 => Finish::NeverSent,
            1 => Finish::Refused,
            _ => Finish::Known { input, output: 0 },
        },
    });
    let event = prop_oneof![
        4 => join,
        1 => any::<usize>().prop_map(|which| Event::Leave { which }),
        3 => settle,
        1 => any::<usize>().prop_map(|which| Event::Throttle { which }),
        2 => (0..WINDOW / 4).prop_map(|nanos| Event::Pass { nanos }),
    ];
    prop::collection::vec(event, 1..80)
}

/// Lets everybody look who was woken or whose timer has fired, until nobody is left who should.
fn let_look(
    account: &Account,
    waiting: &mut Vec<Waiting>,
    running: &mut Vec<Charge>,
    now: Instant,
) {
    while let Some(at) = waiting.iter().position(|waiter| {
        waiter.woken.swap(false, Ordering::Relaxed) || waiter.timer.is_some_and(|at| at <= now)
    }) {
        let waiter = &mut waiting[at];
        let waker = Waker::from(Arc::new(Flag(waiter.woken.clone())));
        match account.turn(waiter.ticket, &waiter.ask, now, &waker) {
            Turn::Admitted(charge) => {
                running.push(charge);
                waiting.remove(at);
            }
            Turn::Until(at) => waiter.timer = Some(at),
            Turn::Behind => waiter.timer = None,
            Turn::Refused(rejected) => {
                let latest = waiter.ask.latest.expect("only for whoever has a deadline");
                let wait = rejected.predicted_wait().expect("it is no matter of size");
                assert!(latest.at <= now || latest.at < now + wait, "{rejected}");
                waiting.remove(at);
            }
        }
    }
}

proptest! {
    /// However calls come, go, end and fail: timed are the head and whoever has a deadline. The head's timer fires no later
    /// than it may go, so no wakeup is lost; and nobody waits beyond its deadline.
    #[test]
    fn the_head_is_timed_and_whoever_has_a_deadline(quota in quotas(), fair: bool, events in events()) {
        let discipline = if fair { Discipline::Fair } else { Discipline::Fifo };
        let epoch = clock::now();
        let key = Key::new("http://host", "model");
        let manner = Manner {
            max_queued: usize::MAX,
            discipline,
            observers: Observers::default(),
            fleet: None,
        };
        let account = Account::new(key, quota, manner, epoch, epoch);
        let verdict = Verdict::of_response(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), b"", SystemTime::UNIX_EPOCH);
        let mut now = epoch;
        let (mut waiting, mut running) = (Vec::new(), Vec::new());
        for event in events {
            match event {
                Event::Join { flow, earlier, tokens, patience } => {
                    let ask = Ask {
                        label: None,
                        cost: Cost::new(tokens, OutputLimit::NoOutput),
                        arrived: now.checked_sub(Duration::from_nanos(earlier)),
                        flow: FlowKey { tenant: Some(Tenant::new(flow.to_string())), ..FlowKey::default() },
                        latest: patience.map(|longest| Latest {
                            at: now + Duration::from_nanos(longest),
                            kind: RejectKind::Deadline,
                        }),
                    };
                    let woken = Arc::new(AtomicBool::new(false));
                    let waker = Waker::from(Arc::new(Flag(woken.clone())));
                    match account.enter(&ask, now, &waker) {
                        Ok(Entered::Admitted(charge)) => running.push(charge),
                        Ok(Entered::Queued(ticket, turn)) => {
                            let timer = match turn {
                                Turn::Until(at) => Some(at),
                                _ => None,
                            };
                            waiting.push(Waiting { ticket, ask, woken, timer });
                        }
                        Err(_) => {}
                    }
                }
                Event::Leave { which } if !waiting.is_empty() => {
                    let waiter = waiting.swap_remove(which % waiting.len());
                    account.leave(waiter.ticket);
                }
                Event::Settle { which, outcome } if !running.is_empty() => {
                    let charge = running.swap_remove(which % running.len());
                    let outcome = match outcome {
                        Finish::Known { input, output } => Outcome::Known { input, output },
                        Finish::Refused => Outcome::Refused,
                        _ => Outcome::NeverSent,
                    };
                    account.settle(charge, outcome, now);
                }
                Event::Throttle { which } if !running.is_empty() => {
                    let charge = running.swap_remove(which % running.len());
                    account.settle(charge, Outcome::Refused, now);
                    account.throttled(charge, &verdict, now);
                }
                Event::Pass { nanos } => now += Duration::from_nanos(nanos),
                _ => {}
            }
            let_look(&account, &mut waiting, &mut running, now);
            prop_assert_eq!(account.snapshot(now).queued, waiting.len());
            let is_head = |waiter: &&Waiting| account.lock().queue.is_head(waiter.ticket);
            let head = waiting.iter().find(is_head);
            prop_assert_eq!(head.is_some(), !waiting.is_empty());
            for waiter in &waiting {
                prop_assert_eq!(waiter.timer.is_some(), is_head(&waiter) || waiter.ask.latest.is_some());
                prop_assert!(waiter.ask.latest.is_none_or(|latest| latest.at > now && waiter.timer <= Some(latest.at)));
            }
            if let Some(head) = head {
                prop_assert!(head.timer > Some(now), "what may go has gone");
                let state = account.advanced(now);
                let at = account.instant(state.ready_at(state.estimate(head.ask.cost, None)));
                // A gate that recovers from a throttle may let it go somewhat earlier than its timer knows.
                prop_assert!(head.timer <= Some(at) || !state.throttled.is_empty());
            }
        }
    }
}
