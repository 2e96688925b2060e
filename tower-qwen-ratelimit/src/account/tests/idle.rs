use std::{sync::Arc, time::Duration};

use http::{HeaderMap, StatusCode};
use tokio_test::{assert_pending, task};
use tower_qwen_tokens::{Cause, Verdict, internal::clock};

use super::account;
use crate::{
    account::{Account, AdmitRequest, Idle, idle::LEARNS},
    acquire::Acquire,
    cost::{Cost, OutputLimit},
    quota::{Pacing, Quota},
    reservation::Reservation,
};

const MINUTE: Duration = Duration::from_secs(60);

fn at_once() -> Arc<Account> {
    account(Quota::per_minute(100, 1_000).pacing(Pacing::Window))
}

fn reserve(account: &Arc<Account>, tokens: u64) -> Reservation {
    let cost = Cost::new(tokens, OutputLimit::NoOutput);
    let charge = account
        .try_acquire(&AdmitRequest::new(cost), clock::now())
        .unwrap();
    Reservation::new(account.clone(), charge, None)
}

#[tokio::test(start_paused = true)]
async fn a_new_account_is_level_and_one_that_is_charged_is_not() {
    let account = at_once();
    assert_eq!(account.idle(clock::now()), Idle::Level);
    for tokens in [0, 10] {
        let reservation = reserve(&account, tokens);
        assert_eq!(account.idle(clock::now()), Idle::Busy);
        reservation.mark_sent();
        drop(reservation);
        assert_eq!(account.idle(clock::now()), Idle::Busy, "its request counts");
        tokio::time::advance(2 * MINUTE).await;
        assert_eq!(account.idle(clock::now()), Idle::Level);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_under_way_is_not_forgotten_with_its_window() {
    let account = at_once();
    let reservation = reserve(&account, 10);
    reservation.mark_sent();
    tokio::time::advance(10 * MINUTE).await;
    assert_eq!(account.idle(clock::now()), Idle::Busy);
    reservation.settle(0, 500);
    drop(reservation);
    assert_eq!(
        account.idle(clock::now()),
        Idle::Busy,
        "the answer ended now"
    );
    tokio::time::advance(2 * MINUTE).await;
    assert_eq!(account.idle(clock::now()), Idle::Level);
}

#[tokio::test(start_paused = true)]
async fn nor_are_those_who_wait() {
    let account = at_once();
    reserve(&account, 1_000 - 20).mark_sent();
    let cost = Cost::new(500, OutputLimit::NoOutput);
    let mut waiting = task::spawn(Acquire::new(account.clone(), cost));
    assert_pending!(waiting.poll());
    tokio::time::advance(2 * MINUTE).await;
    assert_eq!(account.idle(clock::now()), Idle::Busy);
    drop(waiting);
    assert_eq!(account.idle(clock::now()), Idle::Level);
}

#[tokio::test(start_paused = true)]
async fn nor_is_a_throttle() {
    let mut minutes = HeaderMap::new();
    minutes.insert("retry-after", "300".parse().unwrap());
    let wall = clock::WallClock::new().now();
    let account = account(Quota::per_minute(100, 1_000));
    let reservation = reserve(&account, 10);
    reservation.mark_sent();
    let status = StatusCode::TOO_MANY_REQUESTS;
    reservation.throttle(&Verdict::of_response(status, &minutes, b"", wall));
    drop(reservation);
    tokio::time::advance(4 * MINUTE).await;
    assert_eq!(account.idle(clock::now()), Idle::Busy);
    tokio::time::advance(10 * MINUTE).await;
    assert_eq!(account.idle(clock::now()), Idle::Level);
}

#[tokio::test(start_paused = true)]
async fn nor_is_what_throttles_have_left_of_the_rate() {
    let account = account(Quota::per_minute(100, 1_000));
    // A large fall needs two proofs, of calls with an accepted one in between.
    let refusal = Verdict::of_cause(Cause::TokenRate);
    for is_refused in [false, false, false, true, false, true] {
        let reservation = reserve(&account, 10);
        reservation.mark_sent();
        match is_refused {
            true => drop(reservation.throttle(&refusal)),
            false => reservation.accepted(),
        }
        tokio::time::advance(Duration::from_secs(5)).await;
    }
    tokio::time::advance(2 * MINUTE).await;
    assert_eq!(account.idle(clock::now()), Idle::Busy);
    tokio::time::advance(10 * MINUTE).await;
    assert_eq!(
        account.idle(clock::now()),
        Idle::Busy,
        "the rate has just come back, and the burst has not"
    );
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(account.idle(clock::now()), Idle::Level);
}

#[tokio::test(start_paused = true)]
async fn that_a_window_must_not_go_at_once_is_learned() {
    let account = at_once();
    let reservation = reserve(&account, 10);
    reservation.mark_sent();
    // Our own count does not explain it, so the host counts shorter times too.
    reservation.throttle(&Verdict::of_cause(Cause::RequestRate));
    drop(reservation);
    tokio::time::advance(10 * MINUTE).await;
    assert_eq!(account.idle(clock::now()), Idle::Learned);
}

#[tokio::test(start_paused = true)]
async fn a_pause_alone_keeps_it() {
    let account = at_once();
    // Of a cause that lowers no rate, and closes the account only if it is met again and again.
    let verdict = Verdict::of_cause(Cause::Capacity).with_retry_after(Some(5 * MINUTE));
    for _ in 0..4 {
        let reservation = reserve(&account, 10);
        reservation.mark_sent();
        reservation.throttle(&verdict);
    }
    tokio::time::advance(4 * MINUTE).await;
    assert_eq!(account.idle(clock::now()), Idle::Busy);
    tokio::time::advance(2 * MINUTE).await;
    assert_eq!(account.idle(clock::now()), Idle::Level);
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_is_used_up_keeps_it() {
    let account = at_once();
    let reservation = reserve(&account, 10);
    reservation.mark_sent();
    let body = br#"{"error":{"type":"usage_limit_reached","resets_in_seconds":18000}}"#;
    let wall = clock::WallClock::new().now();
    let status = StatusCode::TOO_MANY_REQUESTS;
    reservation.fail(&Verdict::of_response(status, &HeaderMap::new(), body, wall));
    drop(reservation);
    tokio::time::advance(299 * MINUTE).await;
    assert_eq!(account.idle(clock::now()), Idle::Busy);
    tokio::time::advance(MINUTE).await;
    assert_eq!(account.idle(clock::now()), Idle::Level);
}

#[tokio::test(start_paused = true)]
async fn a_debt_keeps_it() {
    let account = account(Quota::per_minute(60, 6_000).burst(Duration::from_secs(30)));
    assert_eq!(account.idle(clock::now()), Idle::Level);
    let reservation = reserve(&account, 100);
    reservation.mark_sent();
    reservation.settle(60_000, 0);
    drop(reservation);
    tokio::time::advance(2 * MINUTE).await;
    assert_eq!(account.idle(clock::now()), Idle::Busy, "it owes");
    tokio::time::advance(MINUTE).await;
    assert_eq!(account.idle(clock::now()), Idle::Level);
}

#[tokio::test(start_paused = true)]
async fn eight_calls_teach_something() {
    let account = at_once();
    for _ in 0..LEARNS {
        assert_eq!(account.idle(clock::now()), Idle::Level);
        reserve(&account, 1).mark_sent();
        tokio::time::advance(2 * MINUTE).await;
    }
    assert_eq!(account.idle(clock::now()), Idle::Learned);
}
