//! What Enforce adds to a bare service: for a tenant with one window, and for tenant and model with three windows, without budgets
//! and with a tenant's and a group's. All take turns, block by block, so that they meet the same machine.
//!
//! `cargo bench -p tower-qwen-ratelimit --bench enforce`
//!
//! With `--calls N NAME`, one of them alone, so often: two such runs under `valgrind --tool=callgrind` differ by the instructions of
//! the calls alone.
#![allow(missing_docs)]

use std::{
    convert::Infallible,
    env,
    future::{Future, Ready, ready},
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service};
use tower_qwen_ratelimit::{
    Budget, Budgets, EnforceLayer, KeyOf, Limit, Limiter, Quota,
    budget::{Amount, BudgetTable, Group},
    enforce::Enforce,
    period::{Period, TimeZone},
};
use tower_qwen_tokens::{
    Call, PriceBook,
    call::{ReadCall, ReadOptions},
    internal::clock,
    ledger::Tenant,
};

const ROUNDS: usize = 31;
const BLOCK: u32 = 20_000;
const TENANT: &str = "search";

type Body = Full<Bytes>;

#[derive(Clone)]
struct Bare;

impl Service<Request<Body>> for Bare {
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

fn poll<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("ready at once"),
    }
}

/// A request that a layer above has read, as each call of the service gets it.
fn request(read: &Request<Body>) -> Request<Body> {
    let mut request = Request::post("/v1/chat/completions")
        .header("authorization", "Bearer sk-1")
        .body(Body::default())
        .expect("a request");
    let extensions = request.extensions_mut();
    extensions.insert(Call::of(read).expect("it has been read").clone());
    extensions.insert(Tenant::new(TENANT));
    request
}

fn call<S>(service: &mut S, read: &Request<Body>)
where
    S: Service<Request<Body>, Error = Infallible>,
{
    let Ok(response) = poll(service.call(request(read)));
    drop(response);
}

fn nanos_a_call<S>(service: &mut S, read: &Request<Body>) -> f64
where
    S: Service<Request<Body>, Error = Infallible>,
{
    let begin = clock::now();
    for _ in 0..BLOCK {
        call(service, read);
    }
    (clock::now() - begin).as_secs_f64() * 1e9 / f64::from(BLOCK)
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Never used up, but of figures that the headers can hold.
fn one_window() -> Quota {
    Quota::per_minute(4_000_000_000, 1_000_000_000_000)
}

fn three_windows() -> Quota {
    one_window()
        .and(Limit::requests(1_000_000_000, Period::SECOND))
        .and(Limit::tokens(1 << 50, Period::day(TimeZone::UTC)))
}

fn budgets() -> Budgets {
    let limit = || "1000000000 USD".parse::<Amount>().expect("an amount");
    let day = || Budget::new(limit(), Period::day(TimeZone::UTC));
    let table = BudgetTable::new()
        .tenant(TENANT, day().and(Amount::Tokens(u64::MAX), Period::HOUR))
        .group("research", Group::new(day()).tenants([TENANT]));
    let budgets = Budgets::builder(PriceBook::builtin()).table(table);
    budgets.build().expect("a sound table")
}

/// What Enforce is compared with itself.
fn subjects() -> [(&'static str, Enforce<Bare>); 3] {
    let tenant = KeyOf::extension::<Tenant>;
    let layer = |quota, key_of| EnforceLayer::new(Limiter::new(quota), key_of);
    let one = layer(one_window(), tenant());
    let three = layer(three_windows(), tenant().and_model());
    let all = layer(three_windows(), tenant().and_model()).budgets(budgets());
    [("one", one), ("three", three), ("all", all)].map(|(name, layer)| (name, layer.layer(Bare)))
}

/// The number and the name behind `--calls`.
fn calls_alone() -> Option<(u32, String)> {
    let mut arguments = env::args().skip_while(|argument| argument != "--calls");
    Some((arguments.nth(1)?.parse().ok()?, arguments.next()?))
}

fn main() {
    let body =
        r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Hello!"}],"max_tokens":100}"#;
    let unread = Request::post("/v1/chat/completions").body(Body::from(body));
    let read = ReadCall::new(unread.expect("a request"), &ReadOptions::default());
    let read = poll(read).expect("it is in memory");
    let mut subjects = subjects();
    if let Some((calls, name)) = calls_alone() {
        let service = subjects.iter_mut().find(|(known, _)| *known == name);
        return match service {
            Some((_, service)) => (0..calls).for_each(|_| call(service, &read)),
            None => (0..calls).for_each(|_| call(&mut Bare, &read)),
        };
    }
    let (mut bare, mut more) = (Vec::new(), [(); 3].map(|()| Vec::new()));
    for _ in 0..ROUNDS {
        let nanos = nanos_a_call(&mut Bare, &read);
        bare.push(nanos);
        for ((_, service), more) in subjects.iter_mut().zip(&mut more) {
            more.push(nanos_a_call(service, &read) - nanos);
        }
    }
    println!("the bare service: {:.0} ns", median(bare));
    let [one, ..] = more.clone();
    for ((name, _), more) in subjects.iter().zip(more) {
        let ratios = more.iter().zip(&one).map(|(more, one)| more / one);
        println!(
            "{name:5}: {:5.0} ns more, {:.2} times one",
            median(more.iter().copied()),
            median(ratios),
        );
    }
}
