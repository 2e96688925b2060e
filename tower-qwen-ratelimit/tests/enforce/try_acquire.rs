//! The core without tower.

use std::time::Duration;

use tokio_test::{assert_pending, task};
use tower_qwen_ratelimit::{Cost, Key, Limiter, OutputLimit, Pacing, Quota, RejectKind};

fn cost(tokens: u64) -> Cost {
    Cost::new(tokens, OutputLimit::NoOutput)
}

fn limiter(requests: u64, tokens: u64) -> Limiter {
    let quota = Quota::per_minute(requests, tokens);
    Limiter::new(quota.headroom(0).pacing(Pacing::Window))
}

#[tokio::test(start_paused = true)]
async fn takes_what_is_there_and_never_waits() {
    let (limiter, key) = (limiter(2, 1_000), Key::tenant("a"));
    let first = limiter.try_acquire(&key, cost(600)).unwrap();
    first.mark_sent();
    let rejected = limiter.try_acquire(&key, cost(600)).unwrap_err();
    assert_eq!(rejected.kind(), RejectKind::MaxWait);
    let wait = rejected.predicted_wait().unwrap();
    assert!(wait > Duration::from_secs(59) && wait < Duration::from_secs(61));
    limiter.try_acquire(&key, cost(400)).unwrap().mark_sent();
    assert!(
        limiter.try_acquire(&key, cost(0)).is_err(),
        "no request is left"
    );
    assert!(limiter.try_acquire(&Key::tenant("b"), cost(600)).is_ok());
    tokio::time::advance(wait).await;
    assert!(limiter.try_acquire(&key, cost(600)).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_reservation_that_is_not_sent_gives_everything_back() {
    let (limiter, key) = (limiter(1, 1_000), Key::tenant("a"));
    for _ in 0..5 {
        drop(limiter.try_acquire(&key, cost(1_000)).unwrap());
    }
    assert_eq!(limiter.snapshot()[0].requests.used, 0);
}

#[tokio::test(start_paused = true)]
async fn what_never_fits_has_no_wait() {
    let rejected = limiter(1, 10)
        .try_acquire(&Key::tenant("a"), cost(11))
        .unwrap_err();
    assert_eq!(rejected.kind(), RejectKind::TooLarge);
    assert_eq!(rejected.predicted_wait(), None);
}

#[tokio::test(start_paused = true)]
async fn nobody_who_waits_is_overtaken() {
    let (limiter, key) = (limiter(100, 1_000), Key::tenant("a"));
    let first = limiter.try_acquire(&key, cost(600)).unwrap();
    first.mark_sent();
    let mut waiting = task::spawn(limiter.acquire(&key, cost(600)));
    assert_pending!(waiting.poll());
    let rejected = limiter.try_acquire(&key, cost(1)).unwrap_err();
    assert!(
        rejected
            .predicted_wait()
            .is_some_and(|wait| !wait.is_zero())
    );
    first.settle(0, 0);
    assert!(waiting.is_woken(), "there is room for both now");
    assert!(limiter.try_acquire(&key, cost(1)).is_err());
    drop(waiting);
    assert!(limiter.try_acquire(&key, cost(1)).is_ok());
}

#[tokio::test(start_paused = true)]
async fn keys_beyond_the_most_share_one_account() {
    let quota = Quota::per_minute(3, 1_000)
        .headroom(0)
        .pacing(Pacing::Window);
    let limiter = Limiter::builder(quota).max_keys(2).build().unwrap();
    let take = |name: &str| {
        let taken = limiter.try_acquire(&Key::tenant(name), cost(1));
        taken.map(|reservation| reservation.mark_sent()).is_ok()
    };
    assert!(take("a") && take("b"));
    assert!(take("c") && take("d") && take("e"));
    assert!(!take("f"), "the three of them have used it up");
    assert!(take("a") && take("b"));
    let overflows = limiter
        .snapshot()
        .into_iter()
        .filter(|account| account.key.is_overflow());
    assert_eq!(overflows.map(|account| account.admitted).sum::<u64>(), 3);
}
