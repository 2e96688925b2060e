//! The limiter without tower: order, rejections, cancellation, in paused time.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::task::JoinSet;
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower_qwen_ratelimit::{
    AccountSnapshot, Cost, Key, Limiter, OutputLimit, Pacing, Quota, RejectKind, Reservation,
};
use tower_qwen_tokens::{Deadline, OnUsage, Report, Usage, Verdict, internal::clock};

fn key() -> Key {
    Key::new("https://host", "qwen-plus")
}

fn cost(tokens: u64) -> Cost {
    Cost::new(tokens, OutputLimit::NoOutput)
}

fn account(limiter: &Limiter) -> AccountSnapshot {
    limiter.snapshot().remove(0)
}

/// A quota whose whole window may go at once, without headroom.
fn at_once(requests: u64, tokens: u64) -> Limiter {
    Limiter::new(
        Quota::per_minute(requests, tokens)
            .headroom(0)
            .pacing(Pacing::Window),
    )
}

async fn sent(limiter: &Limiter, tokens: u64) -> Reservation {
    let reservation = limiter.acquire(&key(), cost(tokens)).await.unwrap();
    reservation.mark_sent();
    reservation
}

/// A throttle whose `Retry-After` states so many seconds.
fn throttle_for(seconds: u64) -> Verdict {
    Verdict::of_response(
        StatusCode::TOO_MANY_REQUESTS,
        &HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from(seconds))]),
        b"",
        SystemTime::UNIX_EPOCH,
    )
}

#[tokio::test(start_paused = true)]
async fn three_parked_callers_go_in_the_order_of_their_arrival() {
    let limiter = Limiter::new(Quota::per_minute(60, 1_000_000).headroom(0));
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut callers = JoinSet::new();
    for caller in 0..3 {
        let (limiter, order) = (limiter.clone(), order.clone());
        callers.spawn(async move {
            drop(sent(&limiter, 1).await);
            order.lock().unwrap().push(caller);
        });
        tokio::task::yield_now().await;
    }
    callers.join_all().await;
    assert_eq!(*order.lock().unwrap(), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn an_earlier_arrival_goes_before_those_who_wait() {
    let limiter = at_once(1, 1_000);
    let first_arrival = clock::now();
    drop(sent(&limiter, 1).await);
    tokio::time::advance(Duration::from_secs(1)).await;
    let mut waiting = task::spawn(limiter.acquire(&key(), cost(1)));
    assert_pending!(waiting.poll());
    let mut retried = task::spawn(limiter.acquire(&key(), cost(1)).arrived(first_arrival));
    assert_pending!(retried.poll());
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_pending!(waiting.poll());
    drop(assert_ready_ok!(retried.poll()));
}

#[tokio::test(start_paused = true)]
async fn a_refund_helps_the_head_at_once() {
    let limiter = at_once(100, 1_000);
    let reservation = sent(&limiter, 1_000).await;
    let mut waiting = task::spawn(limiter.acquire(&key(), cost(600)));
    assert_pending!(waiting.poll());
    reservation.settle(400, 0);
    assert!(waiting.is_woken());
    drop(assert_ready_ok!(waiting.poll()));
}

#[tokio::test(start_paused = true)]
async fn an_under_estimate_becomes_debt() {
    let limiter = Limiter::new(Quota::per_minute(6_000, 6_000).headroom(0));
    let start = clock::now();
    sent(&limiter, 50).await.settle(1_050, 0);
    assert_eq!(account(&limiter).tokens.level, Some(-1_000));
    drop(sent(&limiter, 100).await);
    let waited = clock::now() - start;
    // 1,000 that are owed and one burst, half a second of the quota, at 100 a second.
    assert_eq!(waited.as_millis(), 10_500);
}

#[tokio::test(start_paused = true)]
async fn dropped_before_the_send_everything_comes_back() {
    let limiter = at_once(10, 1_000);
    drop(limiter.acquire(&key(), cost(700)).await.unwrap());
    let state = account(&limiter);
    assert_eq!((state.requests.used, state.tokens.used), (0, 0));
    assert_eq!((state.in_flight, state.reserved_tokens), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn dropped_after_the_send_the_estimate_stands() {
    let limiter = at_once(10, 1_000);
    drop(sent(&limiter, 700).await);
    let state = account(&limiter);
    assert_eq!((state.requests.used, state.tokens.used), (1, 700));
    assert_eq!((state.in_flight, state.settled_tokens), (0, 700));
}

#[tokio::test(start_paused = true)]
async fn settles_once_whatever_comes_after() {
    let limiter = at_once(10, 1_000);
    let reservation = sent(&limiter, 700).await;
    reservation.settle(100, 0);
    reservation.settle(900, 0);
    drop(reservation);
    assert_eq!(account(&limiter).tokens.used, 100);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_leaves_lets_the_next_look() {
    let limiter = at_once(10, 1_000);
    let _held = sent(&limiter, 600).await;
    let mut large = task::spawn(limiter.acquire(&key(), cost(900)));
    assert_pending!(large.poll());
    let mut small = task::spawn(limiter.acquire(&key(), cost(300)));
    assert_pending!(small.poll());
    drop(large);
    assert!(small.is_woken());
    drop(assert_ready_ok!(small.poll()));
    assert_eq!(account(&limiter).queued, 0);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_dropped_waiters_leave_nothing_behind() {
    let limiter = at_once(1, 1_000);
    let _held = sent(&limiter, 1).await;
    let mut waiters: Vec<_> = (0..1_000)
        .map(|_| task::spawn(limiter.acquire(&key(), cost(1))))
        .collect();
    for waiter in &mut waiters {
        assert_pending!(waiter.poll());
    }
    assert_eq!(account(&limiter).queued, 1_000);
    let last = waiters.pop();
    waiters.clear();
    assert_eq!(account(&limiter).queued, 1);
    let mut last = last.unwrap();
    assert!(last.is_woken());
    assert_pending!(last.poll());
    tokio::time::advance(Duration::from_secs(62)).await;
    drop(assert_ready_ok!(last.poll()));
}

#[tokio::test(start_paused = true)]
async fn what_no_window_can_hold_is_rejected_at_once() {
    let limiter = at_once(10, 1_000);
    let rejected = limiter.acquire(&key(), cost(1_001)).await.unwrap_err();
    assert_eq!(rejected.kind(), RejectKind::TooLarge);
    assert_eq!(rejected.predicted_wait(), None);
    assert!(limiter.acquire(&key(), cost(1_000)).await.is_ok());
    let retired = at_once(0, 0);
    let rejected = retired.acquire(&key(), cost(0)).await.unwrap_err();
    assert_eq!(rejected.kind(), RejectKind::TooLarge);
}

#[tokio::test(start_paused = true)]
async fn a_ceiling_above_the_window_is_no_reason_to_reject() {
    let limiter = at_once(10, 1_000);
    let call = Cost::new(400, OutputLimit::AtMost(32_768));
    for _ in 0..8 {
        let reservation = limiter.acquire(&key(), call).await.unwrap();
        assert_eq!(reservation.output_tokens(), 1_000 / 16, "nothing is known");
        reservation.mark_sent();
        reservation.on_usage(&Report::reported(Usage::new(1, 900)));
        drop(reservation);
        tokio::time::advance(Duration::from_secs(62)).await;
    }
    let reservation = limiter.acquire(&key(), call).await.unwrap();
    assert_eq!(reservation.output_tokens(), 600, "what the window leaves");
}

#[tokio::test(start_paused = true)]
async fn a_wait_longer_than_allowed_is_rejected_at_once_with_that_wait() {
    let limiter = at_once(1, 1_000);
    drop(sent(&limiter, 1).await);
    let start = clock::now();
    let rejected = limiter
        .acquire(&key(), cost(1))
        .max_wait(Duration::from_secs(30))
        .await
        .unwrap_err();
    assert_eq!(rejected.kind(), RejectKind::MaxWait);
    assert_eq!(clock::now(), start, "rejected without waiting");
    let wait = rejected.predicted_wait().unwrap();
    assert!((60..62).contains(&wait.as_secs()), "{wait:?}");

    let deadline = Deadline::after(Duration::from_secs(59));
    let rejected = limiter
        .acquire(&key(), cost(1))
        .deadline(deadline)
        .await
        .unwrap_err();
    assert_eq!(rejected.kind(), RejectKind::Deadline);

    let patient = limiter
        .acquire(&key(), cost(1))
        .max_wait(Duration::from_secs(62));
    assert!(patient.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_rejects() {
    let limiter = Limiter::with_max_queued(Quota::per_minute(1, 1_000).pacing(Pacing::Window), 1);
    drop(sent(&limiter, 1).await);
    let mut first = task::spawn(limiter.acquire(&key(), cost(1)));
    assert_pending!(first.poll());
    let mut second = task::spawn(limiter.acquire(&key(), cost(1)));
    let rejected = assert_ready!(second.poll()).unwrap_err();
    assert_eq!(rejected.kind(), RejectKind::QueueFull);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_says_how_long_the_wait_would_be() {
    let limiter = Limiter::with_max_queued(Quota::per_minute(60, 60_000).headroom(0), 5);
    // Goes at once.
    drop(sent(&limiter, 1).await);
    let mut waiting: Vec<_> = (0..5)
        .map(|_| task::spawn(limiter.acquire(&key(), cost(1))))
        .collect();
    for call in &mut waiting {
        assert_pending!(call.poll());
    }
    let rejected = limiter.acquire(&key(), cost(1)).await.unwrap_err();
    assert_eq!(rejected.kind(), RejectKind::QueueFull);
    let wait = rejected.predicted_wait().unwrap();
    assert!((6_000..6_100).contains(&wait.as_millis()), "{wait:?}");
    waiting.pop();
    let mut room = task::spawn(limiter.acquire(&key(), cost(1)));
    assert_pending!(room.poll());
}

/// Whatever goes ahead, and whatever is short.
#[tokio::test(start_paused = true)]
async fn the_predicted_wait_comes_true() {
    let smooth = Quota::per_minute(600, 60_000).headroom(0);
    for (quota, tokens) in [
        (smooth, 1),
        (smooth, 700),
        (smooth.pacing(Pacing::Window), 1_000),
    ] {
        let limiter = Limiter::new(quota);
        let mut callers = JoinSet::new();
        for caller in 0..150 {
            let limiter = limiter.clone();
            callers.spawn(async move { drop(sent(&limiter, tokens + caller % 3).await) });
            tokio::task::yield_now().await;
        }
        let acquire = || limiter.acquire(&key(), cost(tokens));
        let rejected = acquire().max_wait(Duration::ZERO).await.unwrap_err();
        let predicted = rejected.predicted_wait().unwrap();
        let start = clock::now();
        acquire().await.unwrap().mark_sent();
        let waited = clock::now() - start;
        assert!(
            predicted.abs_diff(waited) <= waited / 50 + Duration::from_millis(500),
            "{quota:?} {tokens}: {predicted:?} {waited:?}"
        );
        callers.join_all().await;
    }
}

#[tokio::test(start_paused = true)]
async fn of_those_without_a_deadline_only_the_head_is_timed() {
    let limiter = Limiter::new(Quota::per_minute(60, 60_000).headroom(0));
    // Goes at once.
    drop(sent(&limiter, 1).await);
    let first_arrival = clock::now();
    tokio::time::advance(Duration::from_millis(100)).await;
    let mut waiting = task::spawn(limiter.acquire(&key(), cost(1)));
    assert_pending!(waiting.poll());
    let mut retried = task::spawn(limiter.acquire(&key(), cost(1)).arrived(first_arrival));
    assert_pending!(retried.poll());
    assert!(
        waiting.is_woken(),
        "it learns that it is the head no longer"
    );
    assert_pending!(waiting.poll());
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(retried.is_woken() && !waiting.is_woken());
    drop(retried);
    assert!(waiting.is_woken(), "the head by now");
    drop(assert_ready_ok!(waiting.poll()));
}

#[tokio::test(start_paused = true)]
async fn a_pause_moves_the_heads_timer() {
    let limiter = Limiter::new(Quota::per_minute(1_200, 60_000).headroom(0));
    // More than a burst, so that others wait behind it.
    let throttled = sent(&limiter, 5_000).await;
    let mut waiting = task::spawn(limiter.acquire(&key(), cost(1)));
    assert_pending!(waiting.poll());
    throttled.throttle(&throttle_for(30));
    assert!(waiting.is_woken());
    assert_pending!(waiting.poll());
    tokio::time::advance(Duration::from_secs(29)).await;
    assert!(
        !waiting.is_woken(),
        "it does not look before the pause is over"
    );
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(waiting.is_woken());
    drop(assert_ready_ok!(waiting.poll()));
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_nobody_beyond_a_deadline() {
    let limiter = Limiter::new(Quota::per_minute(1_200, 60_000).headroom(0));
    // More than a burst, so that others wait behind it.
    let throttled = sent(&limiter, 5_000).await;
    let acquire = || limiter.acquire(&key(), cost(1));
    let longest = Duration::from_secs(10);
    let mut head = task::spawn(acquire().max_wait(longest));
    let mut patient = task::spawn(acquire());
    let mut behind = task::spawn(acquire().deadline(Deadline::after(longest)));
    assert_pending!(head.poll());
    assert_pending!(patient.poll());
    assert_pending!(behind.poll());
    throttled.throttle(&throttle_for(30));

    let rejected = assert_ready_err!(head.poll());
    assert_eq!(rejected.kind(), RejectKind::MaxWait);
    let wait = rejected.predicted_wait().unwrap();
    assert!((29..=31).contains(&wait.as_secs()), "{wait:?}");
    assert!(patient.is_woken(), "the head by now");
    assert_pending!(patient.poll());

    tokio::time::advance(longest - Duration::from_millis(1)).await;
    assert!(!behind.is_woken());
    tokio::time::advance(Duration::from_millis(2)).await;
    let rejected = assert_ready_err!(behind.poll());
    assert_eq!(rejected.kind(), RejectKind::Deadline);
    assert_eq!(account(&limiter).queued, 1);
    assert!(!patient.is_woken());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_runs_for_long_holds_nobody_beyond_a_deadline() {
    let quota = Quota::per_minute(1_000, 60_000).concurrency(1);
    let limiter = Limiter::new(quota.pacing(Pacing::Window));
    let running = sent(&limiter, 1).await;
    let mut head = task::spawn(
        limiter
            .acquire(&key(), cost(1))
            .max_wait(Duration::from_secs(5)),
    );
    assert_pending!(head.poll());
    tokio::time::advance(Duration::from_millis(4_999)).await;
    assert!(!head.is_woken());
    tokio::time::advance(Duration::from_millis(2)).await;
    let rejected = assert_ready_err!(head.poll());
    assert_eq!(rejected.kind(), RejectKind::MaxWait);
    assert_eq!(account(&limiter).queued, 0);
    drop(running);
    drop(sent(&limiter, 1).await);
}

#[tokio::test(start_paused = true)]
async fn keys_have_accounts_of_their_own_and_clones_share_them() {
    let limiter = at_once(1, 1_000);
    let other = Key::new("https://host", "qwen-max");
    drop(sent(&limiter.clone(), 1).await);
    let mut same = task::spawn(limiter.acquire(&key(), cost(1)));
    assert_pending!(same.poll());
    assert!(limiter.acquire(&other, cost(1)).await.is_ok());
    assert_eq!(limiter.snapshot().len(), 2);
}

/// A large call waits no longer than its neighbours and its own cost at the rate.
#[tokio::test(start_paused = true)]
async fn a_large_call_is_not_overtaken_for_ever() {
    const MEAN: u64 = 500;
    let limiter = Limiter::new(Quota::per_minute(6_000, 60_000));
    let waits = Arc::new(Mutex::new(vec![Duration::ZERO; 120]));
    let mut callers = JoinSet::new();
    for caller in 0..120 {
        let (limiter, waits) = (limiter.clone(), waits.clone());
        let tokens = if caller == 60 { 10 * MEAN } else { MEAN };
        callers.spawn(async move {
            let start = clock::now();
            drop(sent(&limiter, tokens).await);
            waits.lock().unwrap()[caller] = clock::now() - start;
        });
        tokio::task::yield_now().await;
    }
    callers.join_all().await;
    let waits = waits.lock().unwrap();
    let neighbours = waits[50..71].iter().enumerate().filter(|(n, _)| *n != 10);
    let longest = neighbours.map(|(_, wait)| *wait).max().unwrap();
    let own_cost = Duration::from_secs(60) * 10 * u32::try_from(MEAN).unwrap() / 58_800;
    assert!(
        waits[60] <= longest + own_cost,
        "{:?} {longest:?}",
        waits[60]
    );
    assert!(waits[60] < waits[70], "those behind it go after it");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_callers_at_once_are_all_served_and_paced() {
    let limiter = Limiter::new(Quota::per_minute(6_000, 1_000_000).headroom(0));
    let start = clock::now();
    let mut callers = JoinSet::new();
    for _ in 0..1_000 {
        let limiter = limiter.clone();
        callers.spawn(async move { sent(&limiter, 100).await.settle(100, 0) });
    }
    callers.join_all().await;
    let took = clock::now() - start;
    // 50 at once, which is the burst, and the others at 100 a second.
    assert_eq!(took.as_millis(), 9_500);
    let state = account(&limiter);
    assert_eq!(
        (state.queued, state.in_flight, state.settled_tokens),
        (0, 0, 100_000)
    );
}

#[tokio::test(start_paused = true)]
async fn polled_after_it_was_ready_it_panics() {
    let limiter = at_once(1, 1_000);
    let mut admitted = task::spawn(limiter.acquire(&key(), cost(100)));
    let held = assert_ready_ok!(admitted.poll());
    let mut rejected = task::spawn(limiter.acquire(&key(), cost(100)).max_wait(Duration::ZERO));
    assert_ready_err!(rejected.poll());
    let mut waited = task::spawn(limiter.acquire(&key(), cost(100)));
    assert_pending!(waited.poll());
    tokio::time::advance(Duration::from_secs(70)).await;
    drop(assert_ready_ok!(waited.poll()));
    for mut call in [admitted, rejected, waited] {
        assert!(catch_unwind(AssertUnwindSafe(|| call.poll())).is_err());
    }
    drop(held);
    assert_eq!(limiter.snapshot()[0].queued, 0, "nobody has queued again");
}
