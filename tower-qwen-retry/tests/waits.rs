//! How long the waits are.

mod support;

use std::time::{Duration, SystemTime};

use http::StatusCode;
use support::{answer, broken, ms, ok, request, run, throttled, with_header};
use tower_qwen_retry::{Backoff, RetryBudget, RetryPolicy};
use tower_qwen_tokens::{
    Deadline, PacedUntil,
    internal::clock::{WallClock, now},
};

#[tokio::test(start_paused = true)]
async fn after_retry_after_1_the_wait_is_1_to_1_5_seconds() {
    for seed in 0..100 {
        let throttled = || Ok(with_header(throttled(), "retry-after", "1"));
        let script = vec![throttled(), throttled(), throttled(), throttled(), Ok(ok())];
        let run = run(RetryPolicy::default().seed(seed), request(), script).await;
        assert_eq!(run.attempts().number, 5);
        for gap in run.gaps() {
            assert!((ms(1_000)..=ms(1_500)).contains(&gap), "{gap:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn callers_with_the_same_hint_return_at_different_times() {
    let mut gaps = Vec::new();
    for seed in 0..50 {
        let script = vec![Ok(with_header(throttled(), "retry-after", "10")), Ok(ok())];
        gaps.extend(
            run(RetryPolicy::default().seed(seed), request(), script)
                .await
                .gaps(),
        );
    }
    gaps.sort_unstable();
    gaps.dedup();
    assert!(gaps.len() > 40, "{gaps:?}");
    assert!(gaps[0] >= ms(10_000) && gaps[gaps.len() - 1] <= ms(12_501));
}

#[tokio::test(start_paused = true)]
async fn retry_after_in_milliseconds_is_obeyed() {
    let script = vec![
        Ok(with_header(throttled(), "retry-after-ms", "2500")),
        Ok(ok()),
    ];
    let gap = run(RetryPolicy::default(), request(), script).await.gaps()[0];
    assert!((ms(2_500)..=ms(3_126)).contains(&gap), "{gap:?}");
}

#[tokio::test(start_paused = true)]
async fn a_date_is_relative_to_the_date_header() {
    let sent = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let date = |after| httpdate::fmt_http_date(sent + Duration::from_secs(after));
    let first = with_header(throttled(), "retry-after", &date(7));
    let script = vec![Ok(with_header(first, "date", &date(0))), Ok(ok())];
    let gap = run(RetryPolicy::default(), request(), script).await.gaps()[0];
    assert!((ms(7_000)..=ms(8_751)).contains(&gap), "{gap:?}");
}

#[tokio::test(start_paused = true)]
async fn without_a_date_header_a_date_is_relative_to_now() {
    let date = httpdate::fmt_http_date(WallClock::new().now() + Duration::from_secs(20));
    let script = vec![Ok(with_header(throttled(), "retry-after", &date)), Ok(ok())];
    let gap = run(RetryPolicy::default(), request(), script).await.gaps()[0];
    assert!((ms(15_000)..=ms(25_001)).contains(&gap), "{gap:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hint_above_the_maximum_is_not_waited_for() {
    let script = vec![Ok(with_header(throttled(), "retry-after", "121"))];
    let run = run(RetryPolicy::default(), request(), script).await;
    assert_eq!(run.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(run.answer().headers()["retry-after"], "121");
    assert_eq!(run.took, ms(0));
}

#[tokio::test(start_paused = true)]
async fn a_hint_of_the_maximum_is_waited_for() {
    let script = vec![Ok(with_header(throttled(), "retry-after", "120")), Ok(ok())];
    let run = run(RetryPolicy::default(), request(), script).await;
    assert!(
        (ms(120_000)..=ms(125_001)).contains(&run.took),
        "{:?}",
        run.took
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_hint_throttles_wait_longer_than_errors() {
    for seed in 0..50 {
        let policy = RetryPolicy::default().seed(seed);
        let gap = run(policy.clone(), request(), vec![Ok(throttled()), Ok(ok())])
            .await
            .gaps()[0];
        assert!((ms(1_000)..=ms(8_001)).contains(&gap), "{gap:?}");
        let gap = run(policy, request(), vec![Ok(broken()), Ok(ok())])
            .await
            .gaps()[0];
        assert!(gap <= ms(501), "{gap:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_500_for_lack_of_capacity_waits_like_a_throttle() {
    let body = r#"{"error":{"code":"ServiceUnavailable","message":"<503> Too many requests. Your requests are being throttled due to system capacity limits."}}"#;
    for seed in 0..50 {
        let policy = RetryPolicy::default().seed(seed);
        let script = vec![Ok(answer(500, body)), Ok(ok())];
        let gap = run(policy, request(), script).await.gaps()[0];
        assert!((ms(500)..=ms(4_001)).contains(&gap), "{gap:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_hold_the_wait() {
    let script = vec![Ok(throttled()), Ok(broken()), Ok(ok())];
    let run = run(RetryPolicy::default(), request(), script).await;
    let waited = run.attempts().waited;
    assert!(waited >= ms(1_000));
    assert!(
        run.took >= waited && run.took <= waited + ms(2),
        "{waited:?}, {:?}",
        run.took
    );
}

#[tokio::test(start_paused = true)]
async fn no_wait_that_ends_after_the_deadline() {
    let mut late = request();
    late.extensions_mut().insert(Deadline::after(ms(4_999)));
    let script = vec![Ok(with_header(throttled(), "retry-after", "5"))];
    let returned = run(RetryPolicy::default(), late, script).await;
    assert_eq!(returned.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(returned.took, ms(0));

    let mut early = request();
    early.extensions_mut().insert(Deadline::after(ms(6_251)));
    let script = vec![Ok(with_header(throttled(), "retry-after", "5")), Ok(ok())];
    let retried = run(RetryPolicy::default(), early, script).await;
    assert_eq!(retried.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_retry_held_by_admission_does_not_wait_twice() {
    let mut held = with_header(throttled(), "retry-after", "30");
    held.extensions_mut()
        .insert(PacedUntil::new(now() + ms(30_000)));
    let policy = RetryPolicy::default().budget(RetryBudget::new(0, 0));
    let gap = run(policy, request(), vec![Ok(held), Ok(ok())])
        .await
        .gaps()[0];
    assert!((ms(50)..=ms(251)).contains(&gap), "{gap:?}");
}

#[tokio::test(start_paused = true)]
async fn a_mark_of_admission_is_ignored_on_a_server_error() {
    let mut marked = broken();
    marked
        .extensions_mut()
        .insert(PacedUntil::new(now() + ms(30_000)));
    let policy = RetryPolicy::default().budget(RetryBudget::new(0, 0));
    let run = run(policy, request(), vec![Ok(marked)]).await;
    assert_eq!(run.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test(start_paused = true)]
async fn an_outage_costs_no_attempts() {
    let away = || {
        let mut away = answer(503, "");
        let mark = PacedUntil::new(now() + ms(30_000)).outage(true);
        away.extensions_mut().insert(mark);
        Ok(away)
    };
    let policy = RetryPolicy::default()
        .budget(RetryBudget::new(0, 0))
        .max_attempts(2);
    let script = vec![away(), away(), away(), Ok(ok())];
    let run_ = run(policy.clone(), request(), script).await;
    assert_eq!((run_.status(), run_.attempts().number), (StatusCode::OK, 4));
    assert!((ms(30_050)..=ms(30_251)).contains(&run_.gaps()[0]));
    let impatient = policy.patience(ms(29_000));
    let returned = run(impatient, request(), vec![away()]).await;
    assert_eq!(returned.status(), StatusCode::SERVICE_UNAVAILABLE);
}

/// A throttle that an Admission paces, in an outage or not.
fn paced(outage: bool) -> support::Answer {
    let mut paced = throttled();
    let mark = PacedUntil::new(now() + ms(1_000)).outage(outage);
    paced.extensions_mut().insert(mark);
    paced
}

#[tokio::test(start_paused = true)]
async fn a_lone_call_that_is_throttled_ends_by_its_own_attempts() {
    for outage in [true, false] {
        let script = (0..5).map(|_| Ok(paced(outage))).collect();
        let run = run(RetryPolicy::default(), request(), script).await;
        assert_eq!(run.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(run.attempts().number, 5, "outage: {outage}");
        assert!(run.took < ms(6_000), "{:?}", run.took);
    }
}

/// Each call is throttled so often before it is served; how many are served, and the most attempts of one.
async fn throttled_together(calls: usize, times: u32, policy: RetryPolicy) -> (usize, u32) {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };
    use tower::{Layer, ServiceExt};

    let layer = tower_qwen_retry::RetryLayer::new(policy);
    let attempts = (0..calls).map(|_| {
        let sent = Arc::new(AtomicU32::new(0));
        let inner = tower::service_fn(move |_: http::Request<support::RequestBody>| {
            let is_throttled = sent.fetch_add(1, Ordering::Relaxed) < times;
            let answer = if is_throttled { paced(false) } else { ok() };
            async { Ok::<_, tower_qwen_retry::BoxError>(answer) }
        });
        let service = layer.layer(inner);
        async move {
            let answer = service.oneshot(request()).await.expect("an answer");
            let attempts = support::Attempts::of(&answer);
            (answer.status() == 200, attempts.number)
        }
    });
    let ended = futures::future::join_all(attempts).await;
    let served = ended.iter().filter(|(served, _)| *served).count();
    (
        served,
        ended
            .iter()
            .map(|(_, attempts)| *attempts)
            .max()
            .unwrap_or(0),
    )
}

#[tokio::test(start_paused = true)]
async fn what_the_load_of_others_does_costs_no_attempts() {
    let policy = RetryPolicy::default;
    assert_eq!(throttled_together(20, 12, policy()).await, (20, 13));
    assert_eq!(throttled_together(1, 12, policy()).await, (0, 5), "alone");
    // Patience bounds it.
    let (served, most) = throttled_together(20, 1_000, policy().patience(ms(10_000))).await;
    assert!(served == 0 && (9..20).contains(&most), "{most}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_throttled_while_others_are_served_ends_by_its_attempts() {
    let policy = RetryPolicy::default();
    let others = async {
        for _ in 0..100 {
            tokio::time::sleep(ms(50)).await;
            assert_eq!(throttled_together(1, 0, policy.clone()).await, (1, 1));
        }
    };
    let (large, ()) = tokio::join!(throttled_together(1, 1_000, policy.clone()), others);
    assert_eq!(large, (0, 5));
}

#[tokio::test(start_paused = true)]
async fn a_wait_beside_a_refusal_for_calls_at_one_time_is_a_ceiling() {
    let full = || {
        let full = answer(
            429,
            r#"{"error":{"code":"admission_queue_full","message":"x"}}"#,
        );
        Ok(with_header(full, "retry-after", "60"))
    };
    let run = run(
        RetryPolicy::default(),
        request(),
        vec![full(), full(), Ok(ok())],
    )
    .await;
    for gap in run.gaps() {
        assert!((ms(500)..=ms(8_000)).contains(&gap), "{gap:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn decorrelated_waits_grow_from_the_previous_wait() {
    let jitter = Backoff::new(ms(1_000), ms(60_000)).at_least(ms(1_000));
    let policy = RetryPolicy::default().throttle_backoff(jitter.decorrelated());
    for seed in 0..50 {
        let script = vec![Ok(throttled()), Ok(throttled()), Ok(throttled()), Ok(ok())];
        let gaps = run(policy.clone().seed(seed), request(), script)
            .await
            .gaps();
        assert!((ms(1_000)..=ms(1_001)).contains(&gaps[0]), "{gaps:?}");
        for pair in gaps.windows(2) {
            assert!(
                pair[1] >= ms(1_000) && pair[1] <= 3 * pair[0] + ms(1),
                "{gaps:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_draws_the_same_waits() {
    let mut runs = Vec::new();
    for seed in [1, 1, 2] {
        let script = vec![Ok(throttled()), Ok(broken()), Ok(throttled()), Ok(ok())];
        runs.push(
            run(RetryPolicy::default().seed(seed), request(), script)
                .await
                .gaps(),
        );
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}
