//! Priority classes and their ageing, through the limiter and the layer, in paused time.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::task::{JoinHandle, JoinSet};
use tokio_test::{assert_pending, assert_ready_ok, task};
use tower::{Layer, ServiceExt, service_fn};
use tower_qwen_ratelimit::{
    Acquire, AdmissionLayer, Cost, Discipline, Key, Limiter, OutputLimit, Priority, Quota,
};
use tower_qwen_tokens::internal::clock;

const SECOND: Duration = Duration::from_secs(1);

fn key() -> Key {
    Key::new("https://host", "qwen-plus")
}

fn call(limiter: &Limiter, priority: Priority) -> Acquire {
    let cost = Cost::new(100, OutputLimit::NoOutput);
    limiter.acquire(&key(), cost).priority(priority)
}

/// One call every second, of which the first has just gone.
async fn busy(discipline: Discipline, ageing: Duration) -> Limiter {
    let limiter = Limiter::builder(Quota::per_minute(60, 1_000_000).headroom(0))
        .discipline(discipline)
        .ageing(ageing)
        .build()
        .unwrap();
    call(&limiter, Priority::Normal).await.unwrap().mark_sent();
    limiter
}

#[tokio::test(start_paused = true)]
async fn who_comes_later_in_a_higher_class_displaces_the_head() {
    for discipline in [Discipline::Fifo, Discipline::Fair] {
        let limiter = busy(discipline, Duration::from_secs(30)).await;
        let mut low = task::spawn(call(&limiter, Priority::Low));
        assert_pending!(low.poll());
        let mut high = task::spawn(call(&limiter, Priority::High));
        assert_pending!(high.poll());
        assert!(low.is_woken(), "it is the head no longer");
        assert_pending!(low.poll());
        let queued = &limiter.snapshot()[0].queued_by_priority;
        assert_eq!(queued.get(&Priority::High), Some(&1));
        assert_eq!(queued.get(&Priority::Normal), None);
        tokio::time::advance(SECOND + Duration::from_millis(1)).await;
        assert!(!low.is_woken(), "only the head is timed");
        assert_ready_ok!(high.poll()).mark_sent();
        assert!(low.is_woken());
        assert_pending!(low.poll());
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_wait_goes_by_the_same_order() {
    let limiter = busy(Discipline::Fifo, Duration::from_secs(30)).await;
    let mut waiting = task::spawn(call(&limiter, Priority::Normal));
    assert_pending!(waiting.poll());
    tokio::time::advance(SECOND + Duration::from_millis(1)).await;
    // There is room for one, and it is the waiter's: but for a call of a higher class.
    let wait = |priority| {
        let rejected = call(&limiter, priority).try_now().unwrap_err();
        rejected.predicted_wait().unwrap()
    };
    assert!(wait(Priority::Low) > Duration::from_millis(900));
    assert!(wait(Priority::Normal) > Duration::from_millis(900));
    assert!(limiter.try_acquire(&key(), Cost::request()).is_err());
    call(&limiter, Priority::High)
        .try_now()
        .unwrap()
        .mark_sent();
    assert_pending!(waiting.poll());
    let second = wait(Priority::High);
    assert!(
        second.abs_diff(SECOND) < Duration::from_millis(5),
        "{second:?}"
    );
}

/// High calls without an end, twice as many as the quota has.
fn endless(limiter: &Limiter) -> JoinHandle<()> {
    let limiter = limiter.clone();
    tokio::spawn(async move {
        loop {
            let high = call(&limiter, Priority::High);
            tokio::spawn(async move { high.await.unwrap().mark_sent() });
            tokio::time::sleep(SECOND / 2).await;
        }
    })
}

/// In an endless stream of high calls, more than the quota has: the low ones wait for the ageing, and then
/// each goes within four admissions more than the one before.
#[tokio::test(start_paused = true)]
async fn nobody_starves_under_an_endless_stream() {
    const LOW: u32 = 5;
    let ageing = Duration::from_secs(30);
    for discipline in [Discipline::Fifo, Discipline::Fair] {
        let limiter = busy(discipline, ageing).await;
        let start = clock::now();
        let low: JoinSet<_> = (0..LOW)
            .map(|_| {
                let limiter = limiter.clone();
                async move {
                    call(&limiter, Priority::Low).await.unwrap().mark_sent();
                    clock::now() - start
                }
            })
            .collect();
        let stream = endless(&limiter);
        let mut waited = low.join_all().await;
        stream.abort();
        waited.sort();
        for (before, waited) in waited.into_iter().enumerate() {
            // A call goes every second.
            let latest = ageing + SECOND * 4 * (before as u32 + 1) + SECOND;
            assert!(waited >= ageing && waited <= latest, "{before} {waited:?}");
        }
    }
}

/// The same stream, and no ageing.
#[tokio::test(start_paused = true)]
async fn ageing_can_be_switched_off() {
    let limiter = busy(Discipline::Fifo, Duration::MAX).await;
    let low = tokio::time::timeout(SECOND * 300, call(&limiter, Priority::Low));
    let stream = endless(&limiter);
    assert!(low.await.is_err(), "it went");
    stream.abort();
}

#[tokio::test(start_paused = true)]
async fn the_predicted_wait_is_that_of_the_class() {
    let limiter = busy(Discipline::Fifo, Duration::from_secs(30)).await;
    let mut waiting: Vec<_> = [Priority::High, Priority::Normal, Priority::Low]
        .into_iter()
        .flat_map(|class| [class; 10])
        .map(|class| task::spawn(call(&limiter, class)))
        .collect();
    for call in &mut waiting {
        assert_pending!(call.poll());
    }
    for (class, expected) in [
        (Priority::High, 11),
        (Priority::Normal, 21),
        (Priority::Low, 31),
    ] {
        let rejected = call(&limiter, class).max_wait(Duration::ZERO).await;
        let wait = rejected.unwrap_err().predicted_wait().unwrap();
        let expected = Duration::from_secs(expected);
        assert!(wait.abs_diff(expected) < SECOND / 2, "{class:?} {wait:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_layer_learns_the_class_from_the_request() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let inner = service_fn({
        let order = order.clone();
        move |request: Request<Full<Bytes>>| {
            let class = request.extensions().get::<Priority>().copied();
            order.lock().unwrap().push(class.unwrap_or_default());
            async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
        }
    });
    let limiter = busy(Discipline::Fifo, Duration::from_secs(30)).await;
    let service = AdmissionLayer::new(limiter).layer(inner);
    let mut calls = JoinSet::new();
    let classes = [Some(Priority::Low), None, Some(Priority::High), None];
    for class in classes {
        let mut request = Request::post("https://host/compatible-mode/v1/chat/completions")
            .body(Full::from(
                r#"{"model":"qwen-plus","messages":[],"max_tokens":9}"#,
            ))
            .unwrap();
        if let Some(class) = class {
            request.extensions_mut().insert(class);
        }
        calls.spawn(service.clone().oneshot(request));
        tokio::task::yield_now().await;
    }
    calls.join_all().await;
    let expected = [
        Priority::High,
        Priority::Normal,
        Priority::Normal,
        Priority::Low,
    ];
    assert_eq!(*order.lock().unwrap(), expected);
}
