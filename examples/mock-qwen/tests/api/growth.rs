//! A rate that rises too quickly is refused below the quota.

use std::time::Duration;

use mock_qwen::{Charge, Config, Growth, MockQwen, RetryAfter};

use crate::support::{COMPATIBLE, ask, call, chat, instant, pass, prompt_of, seconds};

fn punishing(growth: Growth) -> Config {
    Config {
        rpm: 6_000,
        growth: Some(growth),
        ..instant()
    }
}

/// How many of as many calls at once are let in.
async fn admitted(mock: &MockQwen, count: usize) -> usize {
    let mut admitted = 0;
    for _ in 0..count {
        admitted += usize::from(ask(mock, "hello").await == 200);
    }
    admitted
}

/// The same, second by second.
async fn each_second(mock: &MockQwen, counts: &[usize]) -> Vec<usize> {
    let mut seen = Vec::new();
    for &count in counts {
        seen.push(admitted(mock, count).await);
        pass(seconds(1)).await;
    }
    seen
}

#[tokio::test(start_paused = true)]
async fn a_steep_rise_is_refused_and_a_gentle_one_is_not() {
    let steep = MockQwen::new(punishing(Growth::default()));
    let counts = [2, 2, 30, 30, 30];
    assert_eq!(each_second(&steep, &counts).await, [2, 2, 8, 14, 23]);
    let throttled = steep.stats().throttled;
    assert_eq!((throttled.growth, throttled.total()), (45, 45));

    let gentle = MockQwen::new(punishing(Growth::default()));
    let counts = [2, 4, 6, 9, 13, 19, 28, 41, 60, 60, 60];
    assert_eq!(each_second(&gentle, &counts).await, counts);
    assert_eq!(gentle.stats().throttled.total(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_steep_rise_is_none_of_its_business_unless_it_is_told() {
    let mock = MockQwen::new(Config {
        rpm: 6_000,
        ..instant()
    });
    assert_eq!(each_second(&mock, &[2, 2, 30, 90]).await, [2, 2, 30, 90]);
    assert_eq!(mock.stats().throttled.total(), 0);
}

#[tokio::test(start_paused = true)]
async fn after_a_pause_it_starts_slowly_again() {
    let mock = MockQwen::new(punishing(Growth::default()));
    let counts = [5, 10, 17, 28, 40, 40];
    assert_eq!(each_second(&mock, &counts).await, counts);
    pass(seconds(60)).await;
    assert_eq!(each_second(&mock, &[40, 40]).await, [5, 10]);
    pass(seconds(60)).await;
    assert_eq!(each_second(&mock, &[5, 5, 5]).await, [5, 5, 5]);
}

#[tokio::test(start_paused = true)]
async fn factor_floor_and_period_are_as_told() {
    let mock = MockQwen::new(punishing(Growth {
        factor: 3.0,
        period: seconds(2),
        floor: 4,
    }));
    assert_eq!(admitted(&mock, 20).await, 4);
    pass(seconds(1)).await;
    assert_eq!(admitted(&mock, 20).await, 0, "the same period");
    pass(seconds(1)).await;
    assert_eq!(admitted(&mock, 20).await, 10, "three times 2, and 4");

    // What cannot be is taken for the nearest that can.
    let mock = MockQwen::new(punishing(Growth {
        factor: 0.0,
        period: Duration::ZERO,
        floor: 0,
    }));
    assert_eq!(admitted(&mock, 20).await, 1);
    pass(Duration::from_millis(1)).await;
    assert_eq!(admitted(&mock, 20).await, 1);
}

#[tokio::test(start_paused = true)]
async fn the_header_tells_when_the_period_ends() {
    let mock = MockQwen::new(Config {
        retry_after: RetryAfter::Milliseconds,
        ..punishing(Growth::default())
    });
    pass(Duration::from_millis(1_200)).await;
    assert_eq!(admitted(&mock, 5).await, 5);
    let (status, headers, _) = call(&mock, COMPATIBLE, &chat("hello")).await;
    assert_eq!(
        (status.as_u16(), &headers["retry-after-ms"]),
        (429, &"800".parse().expect("ascii"))
    );
    pass(Duration::from_millis(799)).await;
    assert_eq!(ask(&mock, "hello").await, 429);
    pass(Duration::from_millis(1)).await;
    assert_eq!(ask(&mock, "hello").await, 200);
}

#[tokio::test(start_paused = true)]
async fn quotas_come_before_growth_and_what_it_refuses_counts_nothing() {
    let cost = prompt_of("hello") + 1;
    let config = Config {
        tpm: 4 * cost,
        charge: Charge::Start,
        ..punishing(Growth {
            floor: 3,
            ..Growth::default()
        })
    };
    let mock = MockQwen::new(config);
    assert_eq!(admitted(&mock, 9).await, 3, "growth, and tokens have room");
    pass(seconds(1)).await;
    assert_eq!(admitted(&mock, 9).await, 1, "tokens, and growth has room");
    let throttled = mock.stats().throttled;
    assert_eq!((throttled.growth, throttled.tokens), (6, 8));
    assert_eq!(throttled.total(), 14);

    mock.reset_stats();
    assert_eq!(mock.stats().throttled.total(), 0);
}
