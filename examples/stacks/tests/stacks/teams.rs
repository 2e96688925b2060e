//! The cookbook's task of teams, as it stands there: quotas and a group's budget, over axum.

use axum::{Router, body::Body, routing::post};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tower::{ServiceBuilder, ServiceExt};
use tower_qwen_ratelimit::{
    Budget, Budgets, EnforceLayer, KeyOf, Limit, Limiter, Quota, Quotas,
    budget::{Amount, BudgetTable, Group},
    period::{Period, TimeZone},
};
use tower_qwen_tokens::{Ledger, MeterLayer, PriceBook, ledger::Tenant, price::Price};

fn teams(router: Router, prices: PriceBook) -> Result<Router, Box<dyn std::error::Error>> {
    let day = Period::day(TimeZone::east(8, 0)?);
    let search = Quota::per_minute(600, 1_000_000).and(Limit::requests(20, Period::SECOND));
    let quotas = Quotas::new(Quota::per_minute(60, 100_000))
        .tenant("search", search)
        .tenant("chat", Quota::per_minute(120, 300_000))
        .tenant("batch", Quota::unlimited());
    let together = Budget::new("30 USD".parse::<Amount>()?, day);
    let research = Group::new(together).tenants(["search", "chat"]);
    let table = BudgetTable::new().group("research", research);
    let budgets = Budgets::builder(prices.clone()).table(table).build()?;
    let limiter = Limiter::builder(quotas).build()?;
    let enforce = EnforceLayer::new(limiter, KeyOf::extension::<Tenant>()).budgets(budgets);
    let meter = MeterLayer::new(Ledger::new(prices));
    Ok(router.layer(ServiceBuilder::new().layer(enforce).layer(meter)))
}

/// A call of a tenant, which costs 10 USD, and what a budget holds for it less.
async fn status(app: &Router, tenant: &'static str) -> StatusCode {
    let body =
        r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Hi"}],"max_tokens":50}"#;
    let request = Request::post("/v1/chat/completions")
        .header("content-type", "application/json")
        .extension(Tenant::new(tenant))
        .body(Body::from(body))
        .expect("a request");
    let answer = app.clone().oneshot(request).await.expect("an answer");
    let status = answer.status();
    // Read to its end: what it cost stands there.
    answer.into_body().collect().await.expect("a body");
    status
}

#[tokio::test(start_paused = true)]
async fn a_group_spends_its_day_and_nobody_else_is_held_up() {
    let answer = r#"{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":50,"completion_tokens":50,"total_tokens":100}}"#;
    let handler = move || async move { ([("content-type", "application/json")], answer) };
    let router = Router::new().route("/v1/chat/completions", post(handler));
    // A tenth of a dollar for each token.
    let million = || "100000 USD".parse().expect("money");
    let price = Price::per_million(million(), million()).expect("a price");
    let app = teams(router, PriceBook::builtin().with("qwen-plus", price)).expect("sound settings");

    for tenant in ["search", "chat", "search"] {
        assert_eq!(status(&app, tenant).await, StatusCode::OK);
    }
    for tenant in ["search", "chat"] {
        assert_eq!(status(&app, tenant).await, StatusCode::TOO_MANY_REQUESTS);
    }
    assert_eq!(status(&app, "batch").await, StatusCode::OK);
    for _ in 0..60 {
        assert_eq!(status(&app, "somebody").await, StatusCode::OK);
    }
    assert_eq!(
        status(&app, "somebody").await,
        StatusCode::TOO_MANY_REQUESTS
    );
    // Whenever it began, the next day has begun by then.
    tokio::time::advance(std::time::Duration::from_secs(86_400)).await;
    assert_eq!(status(&app, "chat").await, StatusCode::OK);
}
