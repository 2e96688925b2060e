//! Throttles that have nothing to do with what was sent: a proxy in between, one server of many.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tokio::time::sleep;
use tower::{Layer, ServiceExt, service_fn};
use tower_qwen_ratelimit::{AdmissionLayer, Limiter, Quota};

type Body = Full<Bytes>;

/// Two calls a second, a fifth of the quota.
const STEP: Duration = Duration::from_millis(500);
const CALLS: usize = 400;
/// A minute.
const QUOTA: u64 = 600;

/// What became of calls that come evenly, where the provider throttles those for which `is_throttled`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sums {
    throttled: usize,
    not_sent: usize,
    believed: u64,
}

async fn run(is_throttled: impl Fn(usize) -> bool) -> Sums {
    let limiter = Limiter::builder(Quota::per_minute(QUOTA, 10_000_000))
        .build()
        .unwrap();
    let layer = AdmissionLayer::new(limiter.clone()).max_wait(Duration::from_secs(2));
    let (sent, is_throttled) = (Arc::new(AtomicUsize::new(0)), &is_throttled);
    let calls = (0..CALLS).map(|number| {
        let sent = sent.clone();
        let service = layer.layer(service_fn(move |_: Request<Body>| {
            let number = sent.fetch_add(1, Ordering::Relaxed);
            async move {
                sleep(Duration::from_millis(200)).await;
                let mut answer = Response::new(Body::from("{}"));
                if is_throttled(number) {
                    *answer.status_mut() = StatusCode::TOO_MANY_REQUESTS;
                }
                Ok::<_, Infallible>(answer)
            }
        }));
        async move {
            sleep(STEP * u32::try_from(number).unwrap()).await;
            let body = r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Hello!"}]}"#;
            let request = Request::post("https://host/compatible-mode/v1/chat/completions")
                .body(Full::from(body))
                .unwrap();
            service.oneshot(request).await.map(|answer| answer.status())
        }
    });
    let answers = join_all(calls).await;
    let throttled =
        |answer: &&Result<StatusCode, _>| matches!(answer, Ok(status) if status.is_client_error());
    Sums {
        throttled: answers.iter().filter(throttled).count(),
        not_sent: answers.iter().filter(|answer| answer.is_err()).count(),
        believed: limiter.snapshot().remove(0).requests.believed,
    }
}

#[tokio::test(start_paused = true)]
async fn two_accidents_stop_nobody() {
    for first in [5, 20, 60] {
        for between in [1, 5, 10, 40, 100] {
            let sums = run(|number| number == first || number == first + between).await;
            assert_eq!(sums.throttled, 2);
            assert!(sums.not_sent <= 3, "{first} {between} {sums:?}");
            assert_eq!(sums.believed, QUOTA, "{first} {between}");
        }
    }
}

/// Nothing is accepted between them, or too little to tell; the first minute of a process is not over.
#[tokio::test(start_paused = true)]
async fn two_accidents_at_once_stop_calls_for_seconds() {
    for first in [5, 20] {
        let sums = run(|number| number == first || number == first + 2).await;
        assert!(sums.not_sent <= 9, "{first} {sums:?}");
        assert_eq!(sums.believed, QUOTA, "{first}");
    }
}

/// Once a minute's calls are known, accidents show what is sent, and not much less than that. Before, two
/// in two seconds look like a quota of what had been accepted until then: in one of these runs.
#[tokio::test(start_paused = true)]
async fn one_accident_of_fifty_calls_stops_few_calls() {
    let mut not_sent = Vec::new();
    for seed in 0..10 {
        let is_throttled = |number| hash(number + CALLS * seed).is_multiple_of(50);
        let sums = run(is_throttled).await;
        not_sent.push(sums.not_sent);
    }
    not_sent.sort_unstable();
    assert!(not_sent[8] * 100 <= 15 * CALLS, "{not_sent:?}");
    assert!(not_sent[5] * 100 <= 5 * CALLS, "{not_sent:?}");
}

fn hash(number: usize) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};

    let mut hasher = DefaultHasher::new();
    number.hash(&mut hasher);
    hasher.finish()
}
