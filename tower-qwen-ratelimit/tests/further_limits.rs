//! Further limits at a client, whose calls wait for them.

use std::time::Duration;

use tower_qwen_ratelimit::{
    Cost, Key, Limit, Limiter, OutputLimit, Quota, RejectKind,
    period::{Period, TimeZone},
};
use tower_qwen_tokens::internal::clock;

fn key() -> Key {
    Key::new("https://host", "qwen-plus")
}

fn cost(input: u64, output: u64) -> Cost {
    Cost::new(input, OutputLimit::AtMost(output))
}

/// Admits a call that costs what it reserves, and returns how long it waited. Unit: milliseconds.
async fn waited(limiter: &Limiter, cost: Cost) -> u128 {
    let before = clock::now();
    let reservation = limiter.acquire(&key(), cost).await.unwrap();
    reservation.mark_sent();
    reservation.settle(reservation.input_tokens(), reservation.output_tokens());
    before.elapsed().as_millis()
}

fn quota() -> Quota {
    Quota::per_minute(60_000, 60_000_000)
}

#[tokio::test(start_paused = true)]
async fn calls_wait_for_the_second() {
    let limiter = Limiter::new(quota().and(Limit::requests(2, Period::SECOND)));
    assert_eq!(waited(&limiter, cost(1, 0)).await, 0);
    assert_eq!(waited(&limiter, cost(1, 0)).await, 0);
    let wait = waited(&limiter, cost(1, 0)).await;
    // A ring of 127 parts: an amount leaves up to one of them late.
    assert!((1_000..=1_010).contains(&wait), "{wait}");
}

#[tokio::test(start_paused = true)]
async fn what_an_answer_did_not_bring_comes_back() {
    let limiter = Limiter::new(quota().and(Limit::output_tokens(1_000, Period::HOUR)));
    let used = || limiter.snapshot()[0].limits[0].used;
    let reservation = limiter.acquire(&key(), cost(5, 900)).await.unwrap();
    reservation.mark_sent();
    assert_eq!(used(), 900);
    let rejected = limiter.try_acquire(&key(), cost(5, 200)).unwrap_err();
    assert!(
        rejected
            .predicted_wait()
            .is_some_and(|wait| wait > Duration::from_secs(3_000))
    );
    reservation.settle(5, 100);
    assert_eq!(used(), 100);
    drop(limiter.try_acquire(&key(), cost(5, 900)).unwrap());
    assert_eq!(used(), 100, "dropped unsent");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_can_never_go_is_rejected_at_once() {
    let limiter = Limiter::new(quota().and(Limit::input_tokens(10, Period::total())));
    let too_large = limiter.acquire(&key(), cost(11, 0)).await.unwrap_err();
    assert_eq!(too_large.kind(), RejectKind::TooLarge);
    assert_eq!(waited(&limiter, cost(10, 50)).await, 0);
    // A ceiling alone never makes a call too large.
    let limiter = Limiter::new(quota().and(Limit::output_tokens(10, Period::MINUTE)));
    assert_eq!(waited(&limiter, cost(1, 1_000)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_month_of_tokens_ends_with_the_month() {
    let month = Period::month(TimeZone::UTC);
    let limiter = Limiter::new(quota().and(Limit::tokens(100, month)));
    assert_eq!(waited(&limiter, cost(60, 0)).await, 0);
    let limits = limiter.snapshot().remove(0).limits;
    let left = limits[0].resets_in.unwrap();
    assert!(left <= Duration::from_secs(31 * 86_400));
    let rejected = limiter
        .acquire(&key(), cost(60, 0))
        .max_wait(left - Duration::from_secs(1))
        .await;
    assert!(rejected.is_err());
    let wait = waited(&limiter, cost(60, 0)).await;
    assert!(
        wait >= left.as_millis() && wait <= left.as_millis() + 2,
        "{wait} of {left:?}"
    );
    assert_eq!(limiter.snapshot()[0].limits[0].used, 60);
}

#[tokio::test(start_paused = true)]
async fn another_window_and_pacing_keep_what_is_reserved() {
    let limiter = Limiter::new(Quota::per_minute(60_000, 1_000));
    let reservation = limiter.acquire(&key(), cost(600, 0)).await.unwrap();
    reservation.mark_sent();
    let hour = Quota::per_minute(60_000, 1_000)
        .window(Duration::from_secs(3_600))
        .pacing(tower_qwen_ratelimit::Pacing::Window)
        .headroom(0);
    limiter.set_quota(hour).unwrap();
    assert_eq!(limiter.snapshot()[0].tokens.used, 600);
    assert!(limiter.try_acquire(&key(), cost(500, 0)).is_err());
    reservation.settle(100, 0);
    assert_eq!(limiter.snapshot()[0].tokens.used, 100);
    limiter
        .try_acquire(&key(), cost(900, 0))
        .unwrap()
        .mark_sent();
    tokio::time::advance(Duration::from_secs(3_660)).await;
    assert_eq!(limiter.snapshot()[0].tokens.used, 0);
}
