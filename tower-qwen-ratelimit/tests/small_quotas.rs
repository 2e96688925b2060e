//! Quotas of a few requests a minute, through the limiter, in paused time.

use std::time::Duration;

use tower_qwen_ratelimit::{Cost, Key, Limiter, OutputLimit, Pacing, Quota};
use tower_qwen_tokens::internal::clock;

const MINUTE: Duration = Duration::from_secs(60);
/// So many slots of a window make a ring, and an amount leaves it up to one of them late.
const SLOTS: u64 = 127;

fn key() -> Key {
    Key::new("https://host", "qwen-plus")
}

/// Enough tokens for each request, so that requests alone bind.
fn of_requests(requests: u64) -> Quota {
    Quota::per_minute(requests, 1_000_000)
}

/// When calls of no cost but a request go that are always waited for, as long as this.
async fn sends(quota: Quota, length: Duration) -> Vec<Duration> {
    let limiter = Limiter::new(quota);
    let start = clock::now();
    let mut sends = Vec::new();
    loop {
        let reservation = limiter.acquire(&key(), Cost::request()).await.unwrap();
        if start.elapsed() >= length {
            return sends;
        }
        reservation.mark_sent();
        reservation.settle(0, 0);
        sends.push(start.elapsed());
    }
}

/// The most that any minute sees.
fn most_of_a_minute(sends: &[Duration]) -> usize {
    (0..sends.len())
        .map(|first| {
            let of_this = |at: &&Duration| **at - sends[first] < MINUTE;
            sends[first..].iter().take_while(of_this).count()
        })
        .max()
        .unwrap_or(0)
}

fn by_minute(sends: &[Duration], minutes: usize) -> Vec<u64> {
    let mut counts = vec![0; minutes];
    for at in sends {
        counts[usize::try_from(at.as_secs() / 60).unwrap()] += 1;
    }
    counts
}

#[tokio::test(start_paused = true)]
async fn the_first_call_of_an_idle_account_goes_at_once_whatever_it_costs() {
    for pacing in [Pacing::Smooth, Pacing::Window] {
        for requests in [1, 3, 10, 60] {
            // A burst is eight tokens.
            for tokens in [0, 1, 900] {
                let limiter = Limiter::new(Quota::per_minute(requests, 1_000).pacing(pacing));
                for _ in 0..3 {
                    let start = clock::now();
                    let cost = Cost::new(tokens, OutputLimit::NoOutput);
                    let call = limiter.acquire(&key(), cost).max_wait(Duration::ZERO);
                    let call = call.await.unwrap();
                    assert_eq!(start.elapsed(), Duration::ZERO);
                    call.mark_sent();
                    call.settle(tokens, 0);
                    drop(call);
                    // Idle once more.
                    tokio::time::advance(3 * MINUTE).await;
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn three_a_minute_are_three_in_each_minute() {
    let sends = sends(of_requests(3), 20 * MINUTE).await;
    assert_eq!(by_minute(&sends, 20), [3; 20]);
    assert_eq!(most_of_a_minute(&sends), 3);
}

#[tokio::test(start_paused = true)]
async fn all_of_a_small_quota_is_used_but_for_the_rounding_of_the_ring() {
    for requests in [1, 2, 5, 10, 49] {
        let sends = sends(of_requests(requests), 20 * MINUTE).await;
        let counts = by_minute(&sends, 20);
        let all: u64 = counts.iter().sum();
        assert!(
            all >= 20 * requests * SLOTS / (SLOTS + 1),
            "{requests}: {all}"
        );
        assert!(
            counts
                .iter()
                .all(|of_one| (requests - 1..=requests).contains(of_one)),
            "{requests}: {counts:?}"
        );
        assert!(most_of_a_minute(&sends) as u64 <= requests, "{requests}");
    }
}

#[tokio::test(start_paused = true)]
async fn sixty_a_minute_are_fifty_nine() {
    // The rate leaves 2 %: 58.8, rounded up.
    let sends = sends(of_requests(60), 20 * MINUTE).await;
    let counts = by_minute(&sends, 20);
    assert!(
        counts.iter().all(|of_one| (58..=60).contains(of_one)),
        "{counts:?}"
    );
    let all: u64 = counts.iter().sum();
    assert!((20 * 59..=20 * 59 + 1).contains(&all), "{all}");
    assert!(most_of_a_minute(&sends) <= 60);
}

#[tokio::test(start_paused = true)]
async fn a_headroom_that_is_asked_for_takes_whole_calls() {
    for (quota, left) in [
        (of_requests(3).headroom(2), 2),
        (of_requests(10).headroom(2), 9),
        (of_requests(10).headroom(10), 9),
        (of_requests(1).headroom(50), 1),
        (of_requests(10).headroom(0), 10),
    ] {
        let sends = sends(quota, 5 * MINUTE).await;
        let counts = by_minute(&sends, 5);
        assert!(
            counts
                .iter()
                .all(|of_one| (left - 1..=left).contains(of_one)),
            "{quota:?}: {counts:?}"
        );
        assert_eq!(counts[0], left, "{quota:?}");
        assert!(most_of_a_minute(&sends) as u64 <= left, "{quota:?}");
    }
}

/// One call with a ceiling of a million closed a new account for everybody.
#[tokio::test(start_paused = true)]
async fn a_huge_ceiling_leaves_room_for_others_while_no_answer_is_known() {
    for pacing in [Pacing::Smooth, Pacing::Window] {
        let limiter = Limiter::new(Quota::per_minute(600, 1_000_000).pacing(pacing));
        let huge = Cost::new(100, OutputLimit::AtMost(1_000_000));
        let huge = limiter.acquire(&key(), huge).await.unwrap();
        huge.mark_sent();
        let quota = limiter.snapshot()[0].tokens.quota;
        assert_eq!(huge.output_tokens(), quota / 16);
        let start = clock::now();
        for _ in 0..10 {
            let other = Cost::new(100, OutputLimit::AtMost(1_000));
            limiter.acquire(&key(), other).await.unwrap().mark_sent();
        }
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{:?}",
            start.elapsed()
        );
        // The first is under way all the time.
        drop(huge);
    }
}

#[tokio::test(start_paused = true)]
async fn calls_without_a_ceiling_leave_room_too() {
    // A sixteenth of the window is less than the 4,096 that are else expected.
    let limiter = Limiter::new(Quota::per_minute(600, 16_000).headroom(0));
    let call = limiter.acquire(&key(), Cost::new(10, OutputLimit::Unlimited));
    let call = call.await.unwrap();
    assert_eq!(call.output_tokens(), 1_000);
    assert_eq!(limiter.snapshot()[0].expected_output, 1_000);
}
