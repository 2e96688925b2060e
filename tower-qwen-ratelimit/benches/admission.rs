//! What one admission costs when nobody waits, beside other limiters.
//!
//! `cargo bench -p tower-qwen-ratelimit --bench admission`
//!
//! governor and leaky-bucket limit, ours also settles: to be compared are two checks of governor's (one request, so many
//! tokens) and all that a call costs here, from the key to the drop. governor runs by the clock it comes with (the CPU's
//! counter) and by the system's, by which ours runs too.
#![allow(missing_docs)]

mod subjects;

use std::{
    cell::LazyCell,
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use governor::{
    RateLimiter,
    clock::{DefaultClock, MonotonicClock},
};
use http::{Request, Response};
use http_body_util::Full;
use subjects::{Governor, KEYS, TOKENS, acquire, keys, limiter, next, poll_once, try_acquire};
use tokio::runtime::Runtime;
use tower::{Layer, Service, limit::RateLimit, limit::rate::Rate, service_fn};
use tower_qwen_ratelimit::{AdmissionLayer, Discipline, Key};
use tower_qwen_tokens::{
    Call,
    call::{ReadCall, ReadOptions},
    internal::clock,
};

const WINDOW: Duration = Duration::from_secs(60);

const CHAT: &str = "http://host/compatible-mode/v1/chat/completions";
const PROMPT: &str =
    r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Hello!"}],"max_tokens":100}"#;

fn alone(criterion: &mut Criterion) {
    for (name, count) in [("1 key", 1), ("100,000 keys", KEYS)] {
        let keys = keys(count);
        let mut group = criterion.benchmark_group(format!("one thread, {name}"));
        let mut at = 0;
        {
            let governor = LazyCell::new(|| Governor::new(&DefaultClock::default(), &keys));
            group.bench_function("governor check_key_n x2", |bencher| {
                bencher.iter(|| assert!(governor.check(&keys[next(&mut at, count)])));
            });
        }
        {
            let governor = LazyCell::new(|| Governor::new(&MonotonicClock, &keys));
            group.bench_function("governor check_key_n x2, system clock", |bencher| {
                bencher.iter(|| assert!(governor.check(&keys[next(&mut at, count)])));
            });
        }
        for (name, discipline) in [("ours", Discipline::Fifo), ("ours, fair", Discipline::Fair)] {
            let limiter = LazyCell::new(|| limiter(&keys, discipline));
            group.bench_function(format!("{name}: acquire to drop"), |bencher| {
                bencher.iter(|| acquire(&limiter, &keys[next(&mut at, count)]));
            });
            if discipline == Discipline::Fifo {
                group.bench_function(format!("{name}: try_acquire to drop"), |bencher| {
                    bencher.iter(|| try_acquire(&limiter, &keys[next(&mut at, count)]));
                });
            }
        }
        group.finish();
    }
}

fn unkeyed(criterion: &mut Criterion) {
    let runtime = runtime();
    let _inside = runtime.enter();
    let mut group = criterion.benchmark_group("one thread, no key");
    let most = governor::Quota::per_second(NonZeroU32::MAX);
    let (requests, tokens) = (RateLimiter::direct(most), RateLimiter::direct(most));
    group.bench_function("governor check_n x2", |bencher| {
        bencher.iter(|| {
            let request = requests.check_n(NonZeroU32::MIN);
            let tokens = tokens.check_n(TOKENS);
            assert!(matches!(request, Ok(Ok(()))) && matches!(tokens, Ok(Ok(()))));
        });
    });
    let leaky = || {
        leaky_bucket::RateLimiter::builder()
            .initial(usize::MAX / 4)
            .max(usize::MAX / 2)
            .refill(1)
            .interval(WINDOW)
            .build()
    };
    let (requests, tokens) = (leaky(), leaky());
    group.bench_function("leaky-bucket acquire x2", |bencher| {
        bencher.iter(|| {
            poll_once(requests.acquire(1));
            poll_once(tokens.acquire(TOKENS.get() as usize));
        });
    });
    let inner = service_fn(|(): ()| ready(Ok::<_, Infallible>(())));
    let mut tower = RateLimit::new(inner, Rate::new(u64::MAX, WINDOW));
    group.bench_function("tower RateLimit, requests only", |bencher| {
        bencher.iter(|| {
            let ready = tower.poll_ready(&mut Context::from_waker(Waker::noop()));
            assert!(ready.is_ready());
            poll_once(tower.call(())).expect("an answer");
        });
    });
    group.finish();
}

/// Nanoseconds of `iters` runs while a second thread runs the same.
fn beside_another(iters: u64, run: &(impl Fn() + Sync)) -> Duration {
    let (stop, started) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                run();
                started.store(1, Ordering::Relaxed);
            }
        });
        while started.load(Ordering::Relaxed) == 0 {
            thread::yield_now();
        }
        let begin = clock::now();
        for _ in 0..iters {
            run();
        }
        let took = clock::now() - begin;
        stop.store(true, Ordering::Relaxed);
        took
    })
}

fn contended(criterion: &mut Criterion) {
    let keys = keys(1);
    let key = &keys[0];
    let mut group = criterion.benchmark_group("two threads, 1 key");
    let governor = Governor::new(&DefaultClock::default(), &keys);
    group.bench_function("governor check_key_n x2", |bencher| {
        bencher.iter_custom(|iters| beside_another(iters, &|| assert!(governor.check(key))));
    });
    let governor = Governor::new(&MonotonicClock, &keys);
    group.bench_function("governor check_key_n x2, system clock", |bencher| {
        bencher.iter_custom(|iters| beside_another(iters, &|| assert!(governor.check(key))));
    });
    let limiter = limiter(&keys, Discipline::Fifo);
    group.bench_function("ours: acquire to drop", |bencher| {
        bencher.iter_custom(|iters| beside_another(iters, &|| acquire(&limiter, key)));
    });
    group.finish();
}

type Body = Full<Bytes>;

/// Answers at once.
#[derive(Debug, Clone)]
struct Inner;

impl Service<Request<Body>> for Inner {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        drop(black_box(request));
        ready(Ok(Response::new(Body::default())))
    }
}

fn read_call() -> Arc<Call> {
    let request = Request::post(CHAT)
        .body(Body::from(PROMPT))
        .expect("a request");
    let read = poll_once(ReadCall::new(request, &ReadOptions::default())).expect("a call");
    Call::of(&read).expect("read").clone()
}

fn layer(criterion: &mut Criterion) {
    let call = read_call();
    let uri = http::Uri::from_static(CHAT);
    let request = || {
        let mut request = Request::new(Body::default());
        *request.uri_mut() = uri.clone();
        request.extensions_mut().insert(call.clone());
        request
    };
    let mut group = criterion.benchmark_group("one thread, a request");
    let mut inner = Inner;
    group.bench_function("the request and its answer alone", |bencher| {
        bencher.iter(|| poll_once(inner.call(request())));
    });
    let key = Key::new("http://host", "qwen-plus");
    let mut service = AdmissionLayer::new(limiter(&[key], Discipline::Fifo)).layer(Inner);
    group.bench_function("through AdmissionLayer", |bencher| {
        bencher.iter(|| poll_once(service.call(request())).expect("an answer"));
    });
    group.finish();
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime")
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = alone, unkeyed, contended, layer
}
criterion_main!(benches);
