//! Dimensions beside requests and tokens of a window: calls at one time, tokens of a day.

use std::{
    collections::BTreeMap,
    time::{Duration, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};
use tower::{Layer, ServiceExt, service_fn};
use tower_qwen_ratelimit::{
    AdmissionLayer, Cost, Key, Limiter, OutputLimit, Pacing, Quota, RejectKind,
};
use tower_qwen_tokens::internal::clock::{self, WallClock};

fn key() -> Key {
    Key::new("https://host", "qwen-plus")
}

fn cost(tokens: u64) -> Cost {
    Cost::new(tokens, OutputLimit::NoOutput)
}

fn at_once(quota: Quota) -> Limiter {
    Limiter::new(quota.headroom(0).pacing(Pacing::Window))
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_run_than_may() {
    let limiter = at_once(Quota::per_minute(1_000, 1_000_000).concurrency(2));
    let first = limiter.acquire(&key(), cost(1)).await.unwrap();
    let second = limiter.acquire(&key(), cost(1)).await.unwrap();
    let mut third = task::spawn(limiter.acquire(&key(), cost(1)));
    assert_pending!(third.poll());
    tokio::time::advance(Duration::from_secs(3_600)).await;
    assert_pending!(third.poll(), "time alone makes no room");
    first.mark_sent();
    first.settle(1, 0);
    assert_pending!(third.poll(), "settled, but its body still runs");
    drop(first);
    assert!(third.is_woken());
    let third = assert_ready_ok!(third.poll());
    assert_eq!(limiter.snapshot()[0].running, 2);
    drop((second, third));
    assert_eq!(limiter.snapshot()[0].running, 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_runs_until_its_body_ends_or_is_dropped() {
    let limiter = at_once(Quota::per_minute(1_000, 1_000_000).concurrency(1));
    let service =
        AdmissionLayer::new(limiter.clone()).layer(service_fn(|_: Request<Full<Bytes>>| async {
            Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from_static(b"hi"))))
        }));
    let request = || {
        Request::get("https://host/v1/models")
            .body(Full::new(Bytes::new()))
            .unwrap()
    };
    let running = || limiter.snapshot()[0].running;

    let answer = service.clone().oneshot(request()).await.unwrap();
    assert_eq!(running(), 1);
    let mut next = task::spawn(service.clone().oneshot(request()));
    assert_pending!(next.poll());
    let mut body = answer.into_body();
    assert!(body.frame().await.is_some());
    assert_eq!(
        running(),
        0,
        "the last frame has passed, the body is still held"
    );
    let answer = assert_ready_ok!(next.poll());
    assert_eq!(running(), 1);
    drop(answer);
    assert_eq!(running(), 0);

    let mut cancelled = task::spawn(service.oneshot(request()));
    drop(assert_ready!(cancelled.poll()));
    assert_eq!(running(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_others_to_end_is_predicted_by_how_long_they_run() {
    let limiter = at_once(Quota::per_minute(1_000, 1_000_000).concurrency(1));
    let first = limiter.acquire(&key(), cost(1)).await.unwrap();
    first.mark_sent();
    tokio::time::advance(Duration::from_secs(20)).await;
    drop(first);
    let _running = limiter.acquire(&key(), cost(1)).await.unwrap();
    let hasty = limiter
        .acquire(&key(), cost(1))
        .max_wait(Duration::from_secs(10));
    let rejected = hasty.await.unwrap_err();
    assert_eq!(rejected.kind(), RejectKind::MaxWait);
    assert_eq!(rejected.predicted_wait(), Some(Duration::from_secs(20)));
}

#[tokio::test(start_paused = true)]
async fn no_day_of_the_provider_has_more_tokens_than_it_may() {
    const LIMIT: u64 = 1_000_000;
    let begins = Duration::from_secs(16 * 3_600);
    // A second on, since the account has an anchor of its own.
    let wall = WallClock::new();
    let limiter = at_once(
        Quota::per_minute(1_000, 100_000)
            .tokens_per_day(LIMIT)
            .day_begins(begins),
    );
    let start = clock::now();
    let mut days = BTreeMap::<u64, u64>::new();
    while start.elapsed() < Duration::from_secs(5 * 86_400) {
        let reservation = limiter.acquire(&key(), cost(90_000)).await.unwrap();
        reservation.mark_sent();
        reservation.settle(90_000, 0);
        let at = wall.now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(1) - begins;
        *days.entry(at.as_secs() / 86_400).or_default() += 90_000;
    }
    assert!(days.values().all(|tokens| *tokens <= LIMIT), "{days:?}");
    assert!(days.len() >= 6, "{days:?}");
    let full = days.values().filter(|tokens| **tokens == 990_000).count();
    assert!(full >= 5, "every whole day is used: {days:?}");
}

#[tokio::test(start_paused = true)]
async fn what_no_day_can_hold_is_rejected_at_once() {
    let limiter = at_once(Quota::per_minute(10, 100_000).tokens_per_day(5_000));
    let rejected = limiter.acquire(&key(), cost(5_001)).await.unwrap_err();
    assert_eq!(rejected.kind(), RejectKind::TooLarge);
    let _all = limiter.acquire(&key(), cost(5_000)).await.unwrap();
    let wait = limiter
        .acquire(&key(), cost(1))
        .max_wait(Duration::from_secs(1))
        .await;
    // A test that runs in the last second before midnight is let through.
    assert!(wait.is_err_and(|rejected| {
        rejected.kind() == RejectKind::MaxWait
            && rejected
                .predicted_wait()
                .is_some_and(|wait| wait <= Duration::from_secs(86_400))
    }));
}
