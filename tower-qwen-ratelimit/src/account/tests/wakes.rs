//! Which waiters are woken, which hold a timer, and when it fires.

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
    account::{
        Account, AccountConfig, AdmitRequest, Charge, Life, Outcome, WaitLimit, WaitOutcome,
    },
    cost::{Cost, OutputLimit},
    error::RejectKind,
    key::Key,
    observe::Observers,
    queue::{Discipline, FlowKey, Priority, Ticket},
};

/// Short, so that calls age while they wait.
const AGEING: Duration = Duration::from_nanos(WINDOW / 4);

/// A waiter: its timer after the last poll, and whether it was woken since.
#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    request: AdmitRequest,
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
enum Step {
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

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let patience = prop::option::of(0..WINDOW);
    let join =
        (0..4u8, 0..WINDOW, 0..900u64, patience).prop_map(|(flow, earlier, tokens, patience)| {
            Step::Join {
                flow,
                earlier,
                tokens,
                patience,
            }
        });
    let settle = (any::<usize>(), 0..1_500u64).prop_map(|(which, input)| Step::Settle {
        which,
        outcome: match input % 4 {
            0 => Finish::NeverSent,
            1 => Finish::Rejected,
            _ => Finish::Known { input, output: 0 },
        },
    });
    let step = prop_oneof![
        4 => join,
        1 => any::<usize>().prop_map(|which| Step::Leave { which }),
        3 => settle,
        1 => any::<usize>().prop_map(|which| Step::Throttle { which }),
        2 => (0..WINDOW / 4).prop_map(|nanos| Step::Pass { nanos }),
    ];
    prop::collection::vec(step, 1..80)
}

/// Polls all waiters that were woken or whose timer has fired, until there are none.
fn poll_woken(
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
        let mut ticket = Some(waiter.ticket);
        match account.poll_head(&waiter.request, &mut ticket, now, &waker) {
            WaitOutcome::Admitted(charge) => {
                running.push(charge);
                waiting.remove(at);
            }
            WaitOutcome::WaitUntil(at) => waiter.timer = Some(at),
            WaitOutcome::WaitForWake => waiter.timer = None,
            WaitOutcome::Rejected(rejected) => {
                let limit = waiter.request.limit.expect("only with a deadline");
                let wait = rejected.predicted_wait().expect("it is no matter of size");
                assert!(limit.until <= now || limit.until < now + wait, "{rejected}");
                waiting.remove(at);
            }
        }
    }
}

proptest! {
    /// However calls come, go, end and fail: the head has a timer, and so has each waiter with a
    /// deadline. The head's timer fires no later than it may go, so no wakeup is lost; and nobody
    /// waits beyond its deadline.
    #[test]
    fn the_head_is_timed_and_whoever_has_a_deadline(quota in quotas(), fair: bool, steps in steps()) {
        let discipline = if fair { Discipline::Fair } else { Discipline::Fifo };
        let epoch = clock::now();
        let key = Key::new("http://host", "model");
        let config = AccountConfig {
            max_queued: usize::MAX,
            discipline,
            ageing: AGEING,
            observers: Observers::default(),            plan_probe_interval: None,
        };
        let account = Account::new(key, quota, config, epoch, epoch);
        let verdict = Verdict::of_response(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), b"", SystemTime::UNIX_EPOCH);
        let mut now = epoch;
        let (mut waiting, mut running) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Join { flow, earlier, tokens, patience } => {
                    let request = AdmitRequest {
                        label: None,
                        cost: Cost::new(tokens, OutputLimit::NoOutput),
                        arrived: now.checked_sub(Duration::from_nanos(earlier)),
                        flow: FlowKey { tenant: Some(Tenant::new(flow.to_string())), ..FlowKey::default() },
                        priority: Priority::IN_ORDER[flow as usize % Priority::CLASSES],
                        limit: patience.map(|longest| WaitLimit {
                            until: now + Duration::from_nanos(longest),
                            kind: RejectKind::Deadline,
                        }),
                        ..AdmitRequest::new(Cost::request())
                    };
                    let woken = Arc::new(AtomicBool::new(false));
                    let waker = Waker::from(Arc::new(Flag(woken.clone())));
                    let mut ticket = None;
                    let outcome = account.poll_head(&request, &mut ticket, now, &waker);
                    if let WaitOutcome::Admitted(charge) = outcome {
                        running.push(charge);
                    }
                    if let Some(ticket) = ticket {
                        let timer = match outcome {
                            WaitOutcome::WaitUntil(at) => Some(at),
                            _ => None,
                        };
                        waiting.push(Waiting { ticket, request, woken, timer });
                    }
                }
                Step::Leave { which } if !waiting.is_empty() => {
                    let waiter = waiting.swap_remove(which % waiting.len());
                    account.leave(waiter.ticket);
                }
                Step::Settle { which, outcome } if !running.is_empty() => {
                    let charge = running.swap_remove(which % running.len());
                    let outcome = match outcome {
                        Finish::Known { input, output } => Outcome::Known { input, output },
                        Finish::Rejected => Outcome::Rejected,
                        _ => Outcome::NeverSent,
                    };
                    account.settle(&Life::new(charge), outcome, now);
                }
                Step::Throttle { which } if !running.is_empty() => {
                    let charge = running.swap_remove(which % running.len());
                    account.settle(&Life::new(charge), Outcome::Rejected, now);
                    account.on_throttle(charge, &verdict, now);
                }
                Step::Pass { nanos } => now += Duration::from_nanos(nanos),
                _ => {}
            }
            poll_woken(&account, &mut waiting, &mut running, now);
            prop_assert_eq!(account.snapshot(now).queued, waiting.len());
            let is_head = |waiter: &&Waiting| account.lock().queue.is_head(waiter.ticket);
            let head = waiting.iter().find(is_head);
            prop_assert_eq!(head.is_some(), !waiting.is_empty());
            for waiter in &waiting {
                prop_assert_eq!(waiter.timer.is_some(), is_head(&waiter) || waiter.request.limit.is_some());
                prop_assert!(waiter.request.limit.is_none_or(|limit| limit.until > now && waiter.timer <= Some(limit.until)));
            }
            if let Some(head) = head {
                prop_assert!(head.timer > Some(now), "what may go has gone");
                let state = account.advanced(now);
                let at = account.instant(state.ready_at(state.estimate(head.request.cost, None)));
                // A gate that recovers from a throttle may let it go somewhat earlier than its
                // timer knows.
                prop_assert!(head.timer <= Some(at) || !state.throttled.is_empty());
            }
        }
    }
}
