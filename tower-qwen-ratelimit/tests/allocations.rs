//! What admission allocates: nothing once an account is known, and a counted few where a layer does it.

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use allocation_counter::{AllocationInfo, measure};
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Full;
use tower::{Layer, Service};
use tower_qwen_ratelimit::{
    AdmissionLayer, Budget, Budgets, Cost, Discipline, Key, Limiter, OutputLimit, Pacing, Quota,
    RejectKind,
    budget::{Amount, BudgetTable, Group},
    period::{Period, TimeZone},
};
use tower_qwen_tokens::{
    Call, CallReport, PriceBook, Usage,
    call::{ReadCall, ReadOptions},
};

type Body = Full<Bytes>;

const CHAT: &str = "http://host/compatible-mode/v1/chat/completions";
const PROMPT: &str =
    r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Hello!"}],"max_tokens":100}"#;

/// What the layer allocates per call: the reservation, shared with the request's usage sink, and the box in which the
/// request's extensions keep that sink; and where no layer further in has done so, as here, the map of the answer's
/// extensions, its table, and the box in which they keep the `CallReport`.
const OF_THE_LAYER: u64 = 5;

fn limiter(requests: u64) -> Limiter {
    let quota = Quota::per_minute(requests, 1 << 40).pacing(Pacing::Window);
    Limiter::new(quota.headroom(0))
}

fn poll_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("ready at once"),
    }
}

fn cost() -> Cost {
    Cost::new(1_000, OutputLimit::AtMost(500))
}

/// What a second run allocates: the first makes the account.
fn allocated(mut run: impl FnMut()) -> AllocationInfo {
    run();
    measure(run)
}

/// Allocations of 100 rounds of three calls: settled, sent, and never sent.
fn of_rounds(discipline: Discipline) -> u64 {
    let quota = Quota::per_minute(1 << 40, 1 << 50).pacing(Pacing::Window);
    let limiter = Limiter::builder(quota).discipline(discipline).build();
    let (limiter, key) = (limiter.unwrap(), Key::new("https://host", "qwen-plus"));
    let all = allocated(|| {
        for _ in 0..100 {
            let reservation = poll_once(limiter.acquire(&key, cost())).unwrap();
            reservation.mark_sent();
            reservation.settle(980, 212);
            drop(reservation);
            let unsettled = limiter.try_acquire(&key, cost()).unwrap();
            unsettled.mark_sent();
            drop(unsettled);
            drop(limiter.try_acquire(&key, cost()).unwrap());
        }
    });
    assert_eq!(limiter.snapshot()[0].admitted, 600);
    assert_eq!(all.count_current, 0, "nothing is kept: {all:?}");
    all.count_total
}

#[tokio::test(start_paused = true)]
async fn a_call_that_need_not_wait_allocates_nothing() {
    assert_eq!(of_rounds(Discipline::Fifo), 0);
    assert_eq!(of_rounds(Discipline::Fair), 0);
}

#[tokio::test(start_paused = true)]
async fn time_passing_allocates_nothing() {
    let (limiter, key) = (limiter(1 << 20), Key::tenant("a"));
    drop(limiter.try_acquire(&key, cost()).unwrap());
    for _ in 0..100 {
        let reservation = limiter.try_acquire(&key, cost()).unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        let all = measure(|| {
            reservation.mark_sent();
            reservation.settle(2_000, 1_000);
        });
        assert_eq!(all.count_total, 0, "{all:?}");
        assert_eq!(measure(|| drop(reservation)).count_total, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rejection_allocates_nothing_and_a_new_account_does() {
    let (limiter, key) = (limiter(1), Key::tenant("a"));
    let held = limiter.try_acquire(&key, cost()).unwrap();
    let all = allocated(|| {
        let rejected = limiter.try_acquire(&key, cost()).unwrap_err();
        assert_eq!(rejected.kind(), RejectKind::MaxWait);
    });
    assert_eq!(all.count_total, 0, "{all:?}");
    let other = Key::tenant("b");
    let made = measure(|| drop(limiter.try_acquire(&other, cost()).unwrap()));
    assert!(made.count_total > 0, "what is counted is counted here");
    drop(held);
}

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
        drop(request);
        ready(Ok(Response::new(Body::default())))
    }
}

#[tokio::test(start_paused = true)]
async fn the_layer_allocates_what_is_stated() {
    let read = Request::post(CHAT).body(Body::from(PROMPT)).unwrap();
    let read = poll_once(ReadCall::new(read, &ReadOptions::default())).unwrap();
    let call = Arc::clone(Call::of(&read).unwrap());
    let uri = Uri::from_static(CHAT);
    let request = || {
        let mut request = Request::new(Body::default());
        *request.uri_mut() = uri.clone();
        request.extensions_mut().insert(Arc::clone(&call));
        request
    };
    let alone = allocated(|| drop(poll_once(Inner.call(request())).unwrap()));
    let limiter = limiter(1 << 20);
    let mut service = AdmissionLayer::new(limiter.clone()).layer(Inner);
    let through = allocated(|| drop(poll_once(service.call(request())).unwrap()));
    assert_eq!(through.count_total - alone.count_total, OF_THE_LAYER);
    assert_eq!(through.count_current, 0, "nothing is kept: {through:?}");
    assert_eq!(limiter.snapshot()[0].admitted, 2);
}

/// It comes to every call, with the request that is read.
#[test]
fn a_calls_report_is_one_small_allocation() {
    let made = measure(|| drop(CallReport::new()));
    assert_eq!(made.count_total, 1);
    assert!(made.bytes_total <= 640, "{made:?}");
}

#[test]
fn a_budget_reserves_and_settles_without_an_allocation() {
    let day = || Budget::new(Amount::Tokens(1 << 40), Period::day(TimeZone::UTC));
    let dollars: Amount = "1000000 USD".parse().expect("an amount");
    let table = BudgetTable::new()
        .tenant("search", day().and(dollars, Period::HOUR))
        .group("research", Group::new(day()).tenants(["search"]));
    let budgets = Budgets::builder(PriceBook::builtin()).table(table).build();
    let budgets = budgets.expect("a sound table");
    let model: Arc<str> = "qwen-plus".into();
    let round = allocated(|| {
        for _ in 0..100 {
            let reservation = budgets.reserve("search", model.clone(), cost());
            let reservation = reservation.expect("room");
            reservation.mark_sent();
            reservation.settle(&Usage::new(900, 200));
        }
    });
    assert_eq!(round.count_total, 0);
}
