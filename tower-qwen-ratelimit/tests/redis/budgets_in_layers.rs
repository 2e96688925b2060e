//! Budgets of a fleet in the layers: a call waits for the store, and not longer than it may.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header::RETRY_AFTER};
use http_body_util::Full;
use tokio::task::JoinHandle;
use tower::{Layer, ServiceExt, service_fn};
use tower_qwen_ratelimit::{
    Budget, BudgetLayer, Budgets, EnforceLayer, KeyOf, Limiter, OutagePolicy, Quota,
    budget::{Amount, BudgetError, BudgetTable, Group},
    fleet::redis::{RedisOptions, RedisStore},
    period::Period,
};
use tower_qwen_tokens::{PriceBook, ledger::Tenant};

use crate::server::Server;

type Body = Full<Bytes>;

/// Four calls of some hundred tokens fit.
const OF_ALL: u64 = 450;

async fn process(server: &Server) -> (Budgets, RedisStore, JoinHandle<()>) {
    let options = RedisOptions::new(&server.url())
        .unwrap()
        .outage(OutagePolicy::Reject)
        .timeout(Duration::from_millis(300));
    let (store, driver) = RedisStore::with_options(options).await.unwrap();
    let all = Budget::new(Amount::Tokens(OF_ALL), Period::total());
    let budgets = Budgets::builder(PriceBook::builtin())
        .table(BudgetTable::new().group("all", Group::new(all).everyone()))
        .store(&store)
        .build()
        .unwrap();
    (budgets, store, tokio::spawn(driver))
}

fn request() -> Request<Body> {
    Request::post("https://host/compatible-mode/v1/chat/completions")
        .extension(Tenant::new("search"))
        .body(Full::from(
            r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Hi!"}],"max_tokens":90}"#,
        ))
        .unwrap()
}

async fn answer(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Full::from("{}")))
}

#[tokio::test]
async fn two_servers_grant_one_budget() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let (mut services, mut stores) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let (budgets, store, _) = process(&server).await;
        let limiter = Limiter::new(Quota::per_minute(1_000, 1_000_000));
        let layer = EnforceLayer::new(limiter, KeyOf::peer()).budgets(budgets);
        services.push(layer.layer(service_fn(answer)));
        stores.push(store);
    }
    let mut statuses = Vec::new();
    for call in 0..8 {
        let response = services[call % 2].clone().oneshot(request()).await.unwrap();
        statuses.push(response.status());
        if response.status() != StatusCode::OK {
            let error = response.extensions().get::<BudgetError>().unwrap();
            assert_eq!(error.owner().name(), "all");
            assert_eq!(response.status(), StatusCode::FORBIDDEN);
            assert!(
                !response.headers().contains_key(RETRY_AFTER),
                "it never resets"
            );
        }
    }
    let admitted = statuses.iter().filter(|status| **status == StatusCode::OK);
    assert_eq!(admitted.count(), 4, "{statuses:?}");

    // The server is away: the operator wants calls to be rejected, and it is no fault of theirs.
    server.kill();
    while !stores.iter().all(|store| store.snapshot().is_away) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let response = services[0].clone().oneshot(request()).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()[RETRY_AFTER], "1");
}

#[tokio::test]
async fn two_clients_spend_one_budget_and_a_dropped_call_nothing() {
    let Some(server) = Server::start() else {
        return;
    };
    let (first, ..) = process(&server).await;
    let (second, ..) = process(&server).await;
    let services =
        [first, second].map(|budgets| BudgetLayer::new(budgets).layer(service_fn(answer)));
    // Dropped while it waits for the store.
    let mut call = tokio_test::task::spawn(services[0].clone().oneshot(request()));
    assert!(call.poll().is_pending());
    drop(call);
    let mut admitted = 0;
    for call in 0..8 {
        let result = services[call % 2].clone().oneshot(request()).await;
        match result {
            Ok(_) => admitted += 1,
            Err(error) => assert!(error.is::<BudgetError>()),
        }
    }
    assert_eq!(admitted, 4);
}
