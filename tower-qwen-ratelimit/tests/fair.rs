//! Fair shares between tenants, through the limiter and the layer, in paused time.

use std::{
    convert::Infallible,
    num::NonZeroU32,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::task::JoinSet;
use tokio_test::{assert_pending, assert_ready_ok, task};
use tower::{Layer, ServiceExt, service_fn};
use tower_qwen_ratelimit::{
    Acquire, AdmissionLayer, Cost, Discipline, Key, Limiter, OutputLimit, Pacing, Quota,
    RejectKind, Weight,
};
use tower_qwen_tokens::{internal::clock, ledger::Tenant};

fn key() -> Key {
    Key::new("https://host", "qwen-plus")
}

fn limiter(discipline: Discipline, quota: Quota) -> Limiter {
    Limiter::builder(quota)
        .discipline(discipline)
        .build()
        .unwrap()
}

fn weight(share: u32) -> Weight {
    Weight::new(NonZeroU32::new(share).unwrap())
}

fn call(limiter: &Limiter, tenant: &str, tokens: u64) -> Acquire {
    limiter
        .acquire(&key(), Cost::new(tokens, OutputLimit::NoOutput))
        .tenant(tenant.into())
}

/// One tenant: how many calls it keeps waiting or running, its weight, its estimate of a call.
#[derive(Debug, Clone, Copy)]
struct Load {
    workers: usize,
    weight: u32,
    estimate: u64,
}

const PLAIN: Load = Load {
    workers: 6,
    weight: 1,
    estimate: 500,
};

/// Tokens that each tenant was served within ten minutes. A call runs for a second and costs up to twice the mean.
async fn served(discipline: Discipline, loads: &[Load]) -> Vec<u64> {
    const MEAN: u64 = 500;
    let quota = Quota::per_minute(6_000, 600_000);
    let limiter = limiter(discipline, quota);
    let end = clock::now() + Duration::from_secs(600);
    let served = Arc::new(Mutex::new(vec![0u64; loads.len()]));
    let mut workers = JoinSet::new();
    for (tenant, load) in loads.iter().copied().enumerate() {
        for worker in 0..load.workers {
            let (limiter, served) = (limiter.clone(), served.clone());
            workers.spawn(async move {
                let mut draw = (tenant * 1_000 + worker) as u64;
                loop {
                    let acquire = call(&limiter, &tenant.to_string(), load.estimate);
                    let reservation = acquire.weight(weight(load.weight)).await.unwrap();
                    reservation.mark_sent();
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    if clock::now() >= end {
                        return;
                    }
                    draw = draw
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    let tokens = 1 + (draw >> 33) % (2 * MEAN);
                    reservation.settle(tokens, 0);
                    served.lock().unwrap()[tenant] += tokens;
                }
            });
        }
    }
    workers.join_all().await;
    let served = served.lock().unwrap();
    served.clone()
}

/// Jain's index: 1 where all have the same, 1/n where one has everything.
fn jain(served: &[u64]) -> f64 {
    let sum: f64 = served.iter().map(|&tokens| tokens as f64).sum();
    let squares: f64 = served.iter().map(|&tokens| (tokens as f64).powi(2)).sum();
    sum * sum / (served.len() as f64 * squares)
}

fn one_hog() -> Vec<Load> {
    let mut loads = vec![PLAIN; 10];
    loads[0].workers = 60;
    loads
}

#[tokio::test(start_paused = true)]
async fn who_offers_ten_times_as_much_gets_its_share_and_no_more() {
    let fair = served(Discipline::Fair, &one_hog()).await;
    assert!(jain(&fair) >= 0.98, "{} {fair:?}", jain(&fair));
    assert!(fair[0] <= fair[1..].iter().sum::<u64>() / 8, "{fair:?}");
    let fifo = served(Discipline::Fifo, &one_hog()).await;
    assert!(jain(&fifo) < 0.6, "{fifo:?}");
    let (fair, fifo): (u64, u64) = (fair.iter().sum(), fifo.iter().sum());
    assert!(
        fair.abs_diff(fifo) < fifo / 50,
        "nothing is held back: {fair} {fifo}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_calls_really_cost_is_shared_and_not_what_they_were_taken_for() {
    let mut loads = vec![PLAIN; 4];
    loads[0].estimate = 5_000;
    loads[1].estimate = 50;
    for load in &mut loads {
        load.workers = 60;
    }
    let fair = served(Discipline::Fair, &loads).await;
    assert!(jain(&fair) >= 0.98, "{} {fair:?}", jain(&fair));
}

#[tokio::test(start_paused = true)]
async fn tokens_are_shared_by_weight() {
    let loads = [1, 2, 4].map(|weight| Load {
        weight,
        workers: 40,
        ..PLAIN
    });
    let fair = served(Discipline::Fair, &loads).await;
    let of_one: Vec<_> = fair.iter().zip([1, 2, 4]).map(|(n, w)| n / w).collect();
    assert!(jain(&of_one) >= 0.98, "{fair:?}");
    let fifo = served(Discipline::Fifo, &loads).await;
    assert!(jain(&fifo) >= 0.98, "{fifo:?}");
}

/// A quota of which one call goes every second.
fn one_a_second() -> Quota {
    Quota::per_minute(60, 1_000_000).headroom(0)
}

/// A fair limiter of such a quota, whose first call, which goes at once, has just gone.
async fn busy() -> Limiter {
    let limiter = limiter(Discipline::Fair, one_a_second());
    call(&limiter, "first", 100).await.unwrap().mark_sent();
    limiter
}

#[tokio::test(start_paused = true)]
async fn who_comes_anew_is_not_made_to_wait_for_the_others_backlog() {
    let limiter = busy().await;
    let mut backlog: Vec<_> = (0..100)
        .map(|_| task::spawn(call(&limiter, "hog", 100)))
        .collect();
    for call in &mut backlog {
        assert_pending!(call.poll());
    }
    let patience = Duration::from_secs(5);
    let rejected = call(&limiter, "hog", 100).max_wait(patience).await;
    let rejected = rejected.unwrap_err();
    assert_eq!(rejected.kind(), RejectKind::MaxWait);
    let wait = rejected.predicted_wait().unwrap();
    assert!((100..103).contains(&wait.as_secs()), "{wait:?}");

    let start = clock::now();
    let mut other = task::spawn(call(&limiter, "other", 100).max_wait(patience));
    assert_pending!(other.poll());
    tokio::time::advance(Duration::from_millis(1_001)).await;
    assert!(backlog[0].is_woken());
    let sent = assert_ready_ok!(backlog[0].poll());
    sent.mark_sent();
    assert!(other.is_woken());
    drop(other.await.unwrap());
    assert!(clock::now() - start <= patience);
}

#[tokio::test(start_paused = true)]
async fn the_predicted_wait_comes_true() {
    let limiter = limiter(Discipline::Fair, one_a_second());
    let mut callers = JoinSet::new();
    for caller in 0..60 {
        let limiter = limiter.clone();
        let tenant = ["a", "a", "a", "b", "b", "c"][caller % 6];
        let waiting = async move { call(&limiter, tenant, 100).await.unwrap().mark_sent() };
        callers.spawn(waiting);
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_secs(7)).await;
    let predicted = |tenant| {
        let rejected = call(&limiter, tenant, 100).max_wait(Duration::ZERO);
        async { rejected.await.unwrap_err().predicted_wait().unwrap() }
    };
    let predicted = [predicted("b").await, predicted("d").await];
    let start = clock::now();
    let waited = ["b", "d"].map(|tenant| {
        let acquire = call(&limiter, tenant, 100);
        async move {
            acquire.await.unwrap().mark_sent();
            clock::now() - start
        }
    });
    let [b, d] = waited;
    let (b, d) = tokio::join!(b, d);
    // Neither knew of the other.
    assert!(b > d && b.as_secs() >= 45, "{b:?} {d:?}");
    for (predicted, waited) in predicted.into_iter().zip([b, d]) {
        assert!(
            predicted.abs_diff(waited) <= Duration::from_millis(1_200),
            "{predicted:?} {waited:?}"
        );
    }
    callers.join_all().await;
}

#[tokio::test(start_paused = true)]
async fn a_retried_call_keeps_its_first_place_in_its_flow() {
    let limiter = busy().await;
    let first_arrival = clock::now();
    tokio::time::advance(Duration::from_millis(100)).await;
    let mut earlier = task::spawn(call(&limiter, "a", 100));
    assert_pending!(earlier.poll());
    let mut other = task::spawn(call(&limiter, "b", 100));
    assert_pending!(other.poll());
    let mut retried = task::spawn(call(&limiter, "a", 100).arrived(first_arrival));
    assert_pending!(retried.poll());
    assert!(earlier.is_woken(), "it is the head no longer");
    assert_pending!(earlier.poll());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(
        !earlier.is_woken() && !other.is_woken(),
        "only the head is timed"
    );
    let sent = assert_ready_ok!(retried.poll());
    sent.mark_sent();
    assert!(other.is_woken());
    assert_pending!(other.poll());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(!earlier.is_woken());
    drop(assert_ready_ok!(other.poll()));
}

#[tokio::test(start_paused = true)]
async fn without_a_tenant_all_are_one() {
    let limiter = busy().await;
    let nobody = || limiter.acquire(&key(), Cost::new(100, OutputLimit::NoOutput));
    let mut first = task::spawn(nobody());
    let mut second = task::spawn(nobody());
    let mut tenant = task::spawn(call(&limiter, "tenant", 100));
    for call in [&mut first, &mut second, &mut tenant] {
        assert_pending!(call.poll());
    }
    tokio::time::advance(Duration::from_millis(1_001)).await;
    let sent = assert_ready_ok!(first.poll());
    sent.mark_sent();
    assert!(tenant.is_woken() && !second.is_woken());
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_for_too_much_comes_back_to_its_flow() {
    let quota = Quota::per_minute(60, 6_000).headroom(0);
    let limiter = limiter(Discipline::Fair, quota.pacing(Pacing::Window));
    let sent = call(&limiter, "a", 4_000).await.unwrap();
    sent.mark_sent();
    let less = call(&limiter, "b", 2_000).await.unwrap();
    less.mark_sent();
    let mut other = task::spawn(call(&limiter, "b", 3_000));
    assert_pending!(other.poll());
    let mut same = task::spawn(call(&limiter, "a", 3_000));
    assert_pending!(same.poll());
    sent.settle(1_000, 0);
    assert!(same.is_woken());
    drop(assert_ready_ok!(same.poll()));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_never_sent_does_not_count() {
    let quota = Quota::per_minute(60, 6_000).headroom(0);
    let limiter = limiter(Discipline::Fair, quota.pacing(Pacing::Window));
    let held = call(&limiter, "third", 6_000).await.unwrap();
    let [mut first, mut second] = [(); 2].map(|()| task::spawn(call(&limiter, "a", 6_000)));
    let mut other = task::spawn(call(&limiter, "b", 6_000));
    for call in [&mut first, &mut second, &mut other] {
        assert_pending!(call.poll());
    }
    drop(held);
    let unsent = assert_ready_ok!(first.poll());
    assert!(other.is_woken());
    assert_pending!(other.poll());
    drop(unsent);
    assert_pending!(other.poll());
    assert_ready_ok!(second.poll()).mark_sent();
}

#[tokio::test(start_paused = true)]
async fn calls_that_bring_no_tokens_count_too() {
    let quota = Quota::per_minute(60, 6_000).headroom(0);
    let limiter = limiter(Discipline::Fair, quota.pacing(Pacing::Window));
    let mut held = call(&limiter, "third", 6_000).await.unwrap();
    let mut failing: Vec<_> = (0..50)
        .map(|_| task::spawn(call(&limiter, "failing", 6_000)))
        .collect();
    let mut working: Vec<_> = (0..50)
        .map(|_| task::spawn(call(&limiter, "working", 6_000)))
        .collect();
    for call in failing.iter_mut().chain(&mut working) {
        assert_pending!(call.poll());
    }
    let (mut rejected, mut answered) = (0, 0);
    for _ in 0..40 {
        held.mark_sent();
        held.settle(0, 0);
        held = loop {
            if let Some(at) = failing.iter().position(|call| call.is_woken()) {
                let mut call = failing.remove(at);
                match call.poll() {
                    std::task::Poll::Ready(sent) => {
                        rejected += 1;
                        break sent.unwrap();
                    }
                    std::task::Poll::Pending => failing.insert(at, call),
                }
            }
            if let Some(at) = working.iter().position(|call| call.is_woken()) {
                let mut call = working.remove(at);
                match call.poll() {
                    std::task::Poll::Ready(sent) => {
                        answered += 1;
                        break sent.unwrap();
                    }
                    std::task::Poll::Pending => working.insert(at, call),
                }
            }
        };
    }
    assert_eq!((rejected, answered), (20, 20));
}

/// The tenants of the requests that reach the service, in their order.
async fn order(requests: Vec<(&'static str, u32)>) -> Vec<&'static str> {
    let order = Arc::new(Mutex::new(Vec::new()));
    let inner = service_fn({
        let order = order.clone();
        move |request: Request<Full<Bytes>>| {
            let name = request.extensions().get::<&'static str>().copied();
            order.lock().unwrap().push(name.unwrap());
            async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
        }
    });
    let service = AdmissionLayer::new(busy().await).layer(inner);
    let mut calls = JoinSet::new();
    for (name, share) in requests {
        let mut request =
            Request::post("https://host/compatible-mode/v1/chat/completions")
                .body(Full::from(
                    r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Hi"}],"max_tokens":9}"#,
                ))
                .unwrap();
        let extensions = request.extensions_mut();
        extensions.insert(name);
        if name != "nobody" {
            extensions.insert(Tenant::new(name));
        }
        if share != 1 {
            extensions.insert(weight(share));
        }
        let service = service.clone();
        calls.spawn(async move { drop(service.oneshot(request).await.unwrap()) });
        tokio::task::yield_now().await;
    }
    calls.join_all().await;
    let order = order.lock().unwrap();
    order.clone()
}

#[tokio::test(start_paused = true)]
async fn the_layer_learns_tenant_and_weight_from_the_request() {
    let tenants = order(vec![("a", 1), ("a", 1), ("a", 1), ("b", 1), ("b", 1)]).await;
    assert_eq!(tenants, ["a", "b", "a", "b", "a"]);
    let weights = order(vec![
        ("a", 1),
        ("a", 1),
        ("a", 1),
        ("b", 3),
        ("b", 3),
        ("b", 3),
        ("b", 3),
    ])
    .await;
    assert_eq!(weights, ["a", "b", "b", "b", "a", "b", "a"]);
    let nobody = order(vec![("nobody", 1), ("nobody", 1), ("b", 1)]).await;
    assert_eq!(nobody, ["nobody", "b", "nobody"]);
}
