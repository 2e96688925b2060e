//! Paths of the head that time alone does not end, and calls that do not wait.

use std::{sync::Arc, time::Duration};

use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower_qwen_tokens::{internal::clock, ledger::Tenant};

use crate::{
    account::{Account, AccountConfig},
    acquire::Acquire,
    cost::{Cost, OutputLimit},
    error::RejectKind,
    key::Key,
    observe::Observers,
    queue::{DEFAULT_AGEING, Discipline},
    quota::{Pacing, Quota},
};

const YEAR: Duration = Duration::from_secs(86_400 * 366);

fn account(quota: Quota, discipline: Discipline) -> Arc<Account> {
    let config = AccountConfig {
        max_queued: usize::MAX,
        discipline,
        ageing: DEFAULT_AGEING,
        observers: Observers::default(),
        plan_probe_interval: None,
    };
    let now = clock::now();
    Arc::new(Account::new(Key::tenant("a"), quota, config, now, now))
}

fn acquire(account: &Arc<Account>, tokens: u64) -> Acquire {
    let cost = Cost::new(tokens, OutputLimit::NoOutput);
    Acquire::new(account.clone(), cost)
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_older_than_a_year_waits_without_spinning() {
    let quota = Quota::per_minute(100, 1_000).pacing(Pacing::Window);
    let account = account(quota.concurrency(1), Discipline::Fifo);
    advance(YEAR).await;
    let running = assert_ready_ok!(task::spawn(acquire(&account, 1)).poll());
    running.mark_sent();
    let mut head = task::spawn(acquire(&account, 1));
    let mut impatient = task::spawn(acquire(&account, 1).max_wait(Duration::from_secs(1)));
    assert_pending!(head.poll());
    assert_pending!(impatient.poll());
    advance(YEAR).await;
    assert!(!head.is_woken(), "no timer ends the wait for another call");
    let rejected = assert_ready_err!(impatient.poll());
    assert_eq!(rejected.kind(), RejectKind::MaxWait);
    drop(running);
    assert!(head.is_woken());
    drop(assert_ready_ok!(head.poll()));
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_without_waiting_is_charged_to_its_flow() {
    let quota = Quota::per_minute(1_000, 1_000)
        .pacing(Pacing::Window)
        .headroom(0);
    let modest = Tenant::new("modest");
    for greedy in [None, Some(Tenant::new("greedy"))] {
        let account = account(quota, Discipline::Fair);
        let of_greedy = |tokens| match &greedy {
            Some(tenant) => acquire(&account, tokens).tenant(tenant.clone()),
            None => acquire(&account, tokens),
        };
        let take = |tokens| {
            let reservation = of_greedy(tokens).try_now().unwrap();
            reservation.mark_sent();
            reservation
        };
        let ends_later = [take(100), take(100)];
        let small: Vec<_> = (0..8).map(|_| take(10)).collect();
        // They cost more than was estimated, and nothing is left.
        small.iter().for_each(|call| call.settle(100, 0));
        let rejected = of_greedy(10).try_now().unwrap_err();
        assert_eq!(rejected.kind(), RejectKind::MaxWait);

        let mut first = task::spawn(acquire(&account, 100).tenant(modest.clone()));
        let mut other = task::spawn(of_greedy(100));
        let mut second = task::spawn(acquire(&account, 100).tenant(modest.clone()));
        assert_pending!(first.poll());
        assert_pending!(other.poll());
        assert_pending!(second.poll());
        ends_later[0].settle(0, 0);
        let _first = assert_ready_ok!(first.poll());
        ends_later[1].settle(0, 0);
        assert_pending!(other.poll(), "it has had ten calls already");
        let _second = assert_ready_ok!(second.poll());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_without_waiting_overtakes_no_waiter() {
    let quota = Quota::per_minute(1_000, 1_000).pacing(Pacing::Window);
    let account = account(quota.headroom(0), Discipline::Fair);
    let taken = acquire(&account, 900).try_now().unwrap();
    taken.mark_sent();
    taken.settle(900, 0);
    let mut large = task::spawn(acquire(&account, 500));
    assert_pending!(large.poll());
    let rejected = acquire(&account, 10).tenant(Tenant::new("b")).try_now();
    let wait = rejected.unwrap_err().predicted_wait().unwrap();
    assert!(!wait.is_zero() && wait <= 2 * Duration::from_secs(60));
}
