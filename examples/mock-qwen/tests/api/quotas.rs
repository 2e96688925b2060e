//! Each way to enforce, at its limit and at its instant.

use std::time::Duration;

use mock_qwen::{Charge, Config, Enforce, MockQwen};

use crate::support::{ask, instant, pass, prompt_of, seconds};

const NANO: Duration = Duration::from_nanos(1);

/// The statuses of as many calls at once.
async fn asks(mock: &MockQwen, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(ask(mock, "hello").await);
    }
    statuses
}

fn three_requests(enforce: Enforce) -> MockQwen {
    MockQwen::new(Config {
        rpm: 3,
        enforce,
        ..instant()
    })
}

#[tokio::test(start_paused = true)]
async fn sliding_requests() {
    let mock = three_requests(Enforce::Sliding);
    for _ in 0..3 {
        assert_eq!(ask(&mock, "hello").await, 200);
        pass(seconds(10)).await;
    }
    assert_eq!(ask(&mock, "hello").await, 429);
    pass(seconds(30) - NANO).await;
    assert_eq!(ask(&mock, "hello").await, 429);
    pass(NANO).await;
    assert_eq!(
        asks(&mock, 2).await,
        [200, 429],
        "the first has left, the second has not"
    );
    pass(seconds(10)).await;
    assert_eq!(asks(&mock, 2).await, [200, 429]);
    assert_eq!(mock.stats().throttled.requests, 4);
}

#[tokio::test(start_paused = true)]
async fn fixed_requests() {
    let mock = three_requests(Enforce::Fixed);
    pass(seconds(59)).await;
    assert_eq!(asks(&mock, 4).await, [200, 200, 200, 429]);
    pass(seconds(1) - NANO).await;
    assert_eq!(ask(&mock, "hello").await, 429);
    pass(NANO).await;
    assert_eq!(asks(&mock, 4).await, [200, 200, 200, 429]);
    assert_eq!(mock.stats().utilisation.highest_window.requests, 2.0);
}

#[tokio::test(start_paused = true)]
async fn bucket_requests() {
    let mock = three_requests(Enforce::Bucket);
    assert_eq!(asks(&mock, 4).await, [200, 200, 200, 429]);
    pass(seconds(20) - NANO).await;
    assert_eq!(ask(&mock, "hello").await, 429);
    pass(NANO).await;
    assert_eq!(asks(&mock, 2).await, [200, 429]);
    pass(seconds(600)).await;
    assert_eq!(asks(&mock, 4).await, [200, 200, 200, 429]);
}

#[tokio::test(start_paused = true)]
async fn tokens_refuse_at_one_above_the_limit() {
    let cost = prompt_of("hello") + 1;
    for enforce in [Enforce::Sliding, Enforce::Fixed, Enforce::Bucket] {
        for (tpm, expected) in [(2 * cost, [200, 200, 429]), (2 * cost - 1, [200, 429, 429])] {
            let mock = MockQwen::new(Config {
                tpm,
                enforce,
                charge: Charge::Start,
                ..instant()
            });
            assert_eq!(asks(&mock, 3).await, expected, "{enforce:?} {tpm}");
            pass(seconds(60) - NANO).await;
            if enforce != Enforce::Bucket {
                assert_eq!(ask(&mock, "hello").await, 429);
            }
            pass(NANO).await;
            assert_eq!(asks(&mock, 3).await, expected, "{enforce:?} {tpm}");
            let throttled = mock.stats().throttled;
            assert_eq!(throttled.total(), throttled.tokens);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn requests_are_checked_before_tokens() {
    let mock = MockQwen::new(Config {
        rpm: 1,
        tpm: prompt_of("hello") + 1,
        ..instant()
    });
    assert_eq!(asks(&mock, 2).await, [200, 429]);
    let throttled = mock.stats().throttled;
    assert_eq!((throttled.requests, throttled.tokens), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_counts_nothing() {
    let cost = prompt_of("hello") + 1;
    let mock = MockQwen::new(Config {
        rpm: 4,
        tpm: 2 * cost,
        charge: Charge::Start,
        ..instant()
    });
    assert_eq!(asks(&mock, 2).await, [200, 200]);
    for _ in 0..30 {
        pass(seconds(1)).await;
        assert_eq!(ask(&mock, "hello").await, 429);
    }
    pass(seconds(30)).await;
    assert_eq!(asks(&mock, 3).await, [200, 200, 429]);
}

#[tokio::test(start_paused = true)]
async fn a_shorter_window_is_the_same_in_less_time() {
    let mock = MockQwen::new(Config {
        rpm: 1,
        window: seconds(12),
        ..instant()
    });
    assert_eq!(asks(&mock, 2).await, [200, 429]);
    pass(seconds(12) - NANO).await;
    assert_eq!(ask(&mock, "hello").await, 429);
    pass(NANO).await;
    assert_eq!(ask(&mock, "hello").await, 200);
}

#[tokio::test(start_paused = true)]
async fn slices_of_requests() {
    for (slice_burst, allowed) in [(1.0, 2), (2.0, 5)] {
        // 150 in 60 slices are 2.5 each: 2 of them, or 5 with twice the slice.
        let mock = MockQwen::new(Config {
            rpm: 150,
            per_second: true,
            slice_burst,
            ..instant()
        });
        for _ in 0..3 {
            let statuses = asks(&mock, allowed + 1).await;
            assert!(statuses[..allowed].iter().all(|&status| status == 200));
            assert_eq!(statuses[allowed], 429);
            pass(seconds(1) - NANO).await;
            assert_eq!(ask(&mock, "hello").await, 429);
            pass(NANO).await;
        }
        assert_eq!(mock.stats().throttled.per_second_requests, 6);
        assert_eq!(mock.stats().throttled.total(), 6);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_larger_than_a_slice_goes_when_it_is_empty() {
    let mock = MockQwen::new(Config {
        tpm: 600,
        per_second: true,
        charge: Charge::Start,
        ..instant()
    });
    let large = "word ".repeat(50);
    assert!(prompt_of(&large) > 20);
    assert_eq!(ask(&mock, &large).await, 200);
    assert_eq!(ask(&mock, "hello").await, 429);
    pass(seconds(1)).await;
    assert_eq!(ask(&mock, "hello").await, 200);
    assert_eq!(ask(&mock, &large).await, 429);
    pass(seconds(1)).await;
    assert_eq!(ask(&mock, &large).await, 200);
    let throttled = mock.stats().throttled;
    assert_eq!((throttled.per_second_tokens, throttled.total()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn limits_change_while_it_runs() {
    for enforce in [Enforce::Sliding, Enforce::Fixed, Enforce::Bucket] {
        let mock = three_requests(enforce);
        assert_eq!(asks(&mock, 2).await, [200, 200]);
        mock.set_limits(2, 1_000_000);
        // Two are counted. A bucket keeps what is in it, and gives nothing for the past.
        let (next, later) = match enforce {
            Enforce::Bucket => ([200], 0),
            _ => ([429], 3),
        };
        assert_eq!(asks(&mock, 1).await, next, "{enforce:?}");
        mock.set_limits(5, 1_000_000);
        let more = asks(&mock, 4).await;
        let granted = more.iter().filter(|status| **status == 200).count();
        assert_eq!(granted, later, "{enforce:?}");
    }
}
