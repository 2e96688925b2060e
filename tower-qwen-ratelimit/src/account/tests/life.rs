//! A reservation that several threads use at one time.

use std::{sync::Barrier, thread, time::Duration};

use tower_qwen_tokens::internal::clock;

use crate::{
    account::{Account, AccountConfig, AdmitRequest, Life, Outcome},
    cost::{Cost, OutputLimit},
    key::Key,
    observe::Observers,
    queue::{DEFAULT_AGEING, Discipline},
    quota::{Pacing, Quota},
};

const CALLS: u64 = 1_000;
/// What is reserved for a call, and what it costs. Unit: tokens.
const RESERVED: u64 = 10;
const COST: u64 = 7;

/// One thread sends each call half a window late, so that its charge moves to another slot, while two others settle it.
#[test]
fn a_call_that_is_sent_and_settled_at_one_time_is_charged_once() {
    let now = clock::now();
    let config = AccountConfig {
        max_queued: 0,
        discipline: Discipline::default(),
        ageing: DEFAULT_AGEING,
        observers: Observers::default(),
        plan_probe_interval: None,
    };
    let quota = Quota::per_minute(1 << 30, 1 << 40).pacing(Pacing::Window);
    let account = Account::new(Key::tenant("a"), quota, config, now, now);
    let cost = Cost::new(RESERVED, OutputLimit::NoOutput);
    let admit = || Life::new(account.try_acquire(&AdmitRequest::new(cost), now).unwrap());
    let calls: Vec<Life> = (0..CALLS).map(|_| admit()).collect();

    let later = now + Duration::from_secs(30);
    let outcome = Outcome::Known {
        input: COST,
        output: 0,
    };
    let together = Barrier::new(3);
    let settle_all = || {
        for life in &calls {
            together.wait();
            account.settle(life, outcome, later);
        }
    };
    let send_all = || {
        for life in &calls {
            together.wait();
            if life.begin_send() {
                account.send(life, later);
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(settle_all);
        scope.spawn(settle_all);
        scope.spawn(send_all);
    });

    let used = |now| {
        let account = account.snapshot(now);
        (account.requests.used, account.tokens.used)
    };
    let snapshot = account.snapshot(later);
    assert_eq!((snapshot.in_flight, snapshot.reserved_tokens), (0, 0));
    assert_eq!(snapshot.settled_tokens, CALLS * COST);
    assert_eq!(used(later), (CALLS, CALLS * COST));
    // Nothing stays behind in another slot.
    assert_eq!(used(later + Duration::from_secs(62)), (0, 0));
}
