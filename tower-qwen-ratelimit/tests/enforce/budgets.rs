//! Budgets beside the quota, over a plain service and a router of axum.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::time::advance;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_qwen_ratelimit::{
    Budget, Budgets, EnforceLayer, KeyOf,
    budget::{Amount, BudgetError, BudgetEvent, BudgetOwner, BudgetTable, Group},
    enforce::{BudgetStatus, Enforce, Reserved},
    period::{Period, TimeZone},
};
use tower_qwen_tokens::{Ledger, MeterLayer, PriceBook, Verdict, ledger::Tenant, price::Price};

use crate::{
    axum::WHOLE,
    budget_sums::sums,
    support::{ANTHROPIC, Answer, Body, CHAT, NATIVE, chat, header, limiter, request, send, text},
};

/// A token costs a millionth of a dollar, whichever it is.
fn prices() -> PriceBook {
    let million = || "1 USD".parse().expect("money");
    let price = Price::per_million(million(), million()).expect("a price");
    PriceBook::builtin().with("qwen-plus", price)
}

fn day(amount: &str) -> Budget {
    let beijing = TimeZone::east(8, 0).expect("a zone");
    Budget::new(
        amount.parse::<Amount>().expect("an amount"),
        Period::day(beijing),
    )
}

fn budgets(table: BudgetTable) -> Budgets {
    let budgets = Budgets::builder(prices()).table(table).build();
    budgets.expect("a sound table")
}

fn layer(budgets: &Budgets) -> EnforceLayer {
    EnforceLayer::new(limiter(1_000, 10_000_000), KeyOf::api_key()).budgets(budgets.clone())
}

fn of(tenant: &str, mut request: Request<Body>) -> Request<Body> {
    request.extensions_mut().insert(Tenant::new(tenant));
    request
}

/// Enforce before a Meter before a handler that answers so.
fn metered(
    layer: &EnforceLayer,
    status: u16,
    body: &'static str,
) -> Enforce<
    impl Clone
    + Service<
        Request<Body>,
        Response = Response<tower_qwen_tokens::meter::ResponseBody<Body>>,
        Error = http::Error,
        Future: Send,
    > + use<>,
> {
    let handler = service_fn(move |_: Request<Body>| async move {
        Response::builder()
            .status(status)
            .header("content-type", "application/json")
            .body(Full::<Bytes>::from(body))
    });
    layer.layer(MeterLayer::new(Ledger::new(PriceBook::builtin())).layer(handler))
}

/// What a whole answer of 1,200 tokens comes to, read to its end.
async fn status(layer: &EnforceLayer, request: Request<Body>) -> StatusCode {
    let answer = metered(layer, 200, WHOLE)
        .oneshot(request)
        .await
        .expect("an answer");
    let status = answer.status();
    answer.into_body().collect().await.expect("a body");
    status
}

fn plain(
    layer: &EnforceLayer,
) -> impl Clone + Service<Request<Body>, Response = Answer, Error = Infallible, Future: Send> + use<>
{
    crate::support::server(layer)
}

fn over(answer: &Answer) -> &BudgetError {
    answer.extensions().get().expect("a budget's error")
}

fn teams() -> BudgetTable {
    BudgetTable::new()
        .default_budget(day("0.01 USD"))
        .tenant("search", day("0.003 USD"))
        .tenant("batch", Budget::unlimited())
        .group(
            "research",
            Group::new(day("0.005 USD")).tenants(["search", "chat"]),
        )
}

#[tokio::test(start_paused = true)]
async fn three_teams_one_unlimited_and_a_group_that_opens_again_at_midnight() {
    let budgets = budgets(teams());
    let layer = layer(&budgets);
    let (ok, rejected) = (StatusCode::OK, StatusCode::TOO_MANY_REQUESTS);
    for expected in [ok, ok, ok, rejected] {
        assert_eq!(status(&layer, of("search", chat())).await, expected);
    }
    for expected in [ok, ok, rejected] {
        assert_eq!(status(&layer, of("chat", chat())).await, expected);
    }
    for _ in 0..20 {
        assert_eq!(status(&layer, of("batch", chat())).await, ok);
    }
    assert_eq!(sums(&budgets, "research"), (6_000, 0));
    let answer = send(&plain(&layer), of("chat", chat())).await;
    let BudgetError::Exceeded(exceeded) = over(&answer) else {
        panic!("{}", over(&answer));
    };
    assert_eq!(exceeded.owner, BudgetOwner::Group("research".into()));
    assert_eq!(exceeded.spent.to_string(), "0.006 USD");
    let wait = exceeded.wait.expect("midnight comes");
    assert!(wait <= Duration::from_secs(86_400));
    let almost = wait.saturating_sub(Duration::from_millis(1));
    advance(almost).await;
    assert_eq!(status(&layer, of("chat", chat())).await, rejected);
    advance(wait - almost).await;
    assert_eq!(status(&layer, of("chat", chat())).await, ok);
    assert_eq!(sums(&budgets, "research"), (1_200, 0));
    assert_eq!(layer.counts().budget, 4);
}

#[tokio::test(start_paused = true)]
async fn the_same_under_a_router_of_axum() {
    use ::axum::{Router, body::Body, routing::post};

    use crate::axum::{call, whole};

    let budgets = budgets(teams().tenant("", day("0.001 USD")));
    let router = Router::new()
        .route(CHAT, post(whole))
        .layer(MeterLayer::new(Ledger::default()))
        .layer(layer(&budgets));
    let send = async |tenant: &str| {
        let text = r#"{"model":"qwen-plus","messages":[],"max_tokens":100}"#;
        let mut request = call(CHAT).map(|_| Body::from(text));
        request.extensions_mut().insert(Tenant::new(tenant));
        crate::axum::send(&router, request).await.0
    };
    let (ok, rejected) = (StatusCode::OK, StatusCode::TOO_MANY_REQUESTS);
    for (tenant, expected) in [
        ("search", [ok, ok, ok, rejected]),
        ("chat", [ok, ok, rejected, rejected]),
        ("batch", [ok; 4]),
        ("", [ok, rejected, rejected, rejected]),
    ] {
        for expected in expected {
            assert_eq!(send(tenant).await, expected, "{tenant}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rejection_speaks_the_callers_dialect() {
    let nothing = budgets(BudgetTable::new().default_budget(day("0 USD")));
    let layer = layer(&nothing);
    let native = r#"{"model":"qwen-plus","input":{"messages":[{"role":"user","content":"Hi"}]}}"#;
    let messages =
        r#"{"model":"qwen-plus","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}"#;
    for (path, body, code) in [
        (CHAT, messages, r#""type":"budget_exceeded""#),
        (NATIVE, native, r#""code":"BudgetExceeded""#),
        (ANTHROPIC, messages, r#""type":"billing_error""#),
    ] {
        for (setting, expected) in [
            // A 429 would say that it fits later.
            (BudgetStatus::TooManyRequests, 403),
            (BudgetStatus::PaymentRequired, 402),
            (BudgetStatus::Forbidden, 403),
        ] {
            let layer = layer.clone().budget_status(setting);
            let answer = send(&plain(&layer), request(path, body)).await;
            assert_eq!(answer.status(), expected);
            assert_eq!(header(&answer, "x-should-retry"), "false");
            assert!(!answer.headers().contains_key("retry-after"));
            let text = text(answer).await;
            assert!(text.contains(code), "{text}");
            assert!(text.contains("Budget exceeded: 0 USD"), "{text}");
            let status = StatusCode::from_u16(expected).unwrap();
            let (headers, now) = (HeaderMap::new(), SystemTime::UNIX_EPOCH);
            let verdict = Verdict::of_response(status, &headers, text.as_bytes(), now);
            assert!(!verdict.is_throttle() && !verdict.is_transient(), "{text}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_the_rest_of_the_period() {
    let hour = Budget::new(Amount::Tokens(1_000), Period::HOUR);
    let budgets = budgets(BudgetTable::new().default_budget(hour));
    let layer = layer(&budgets);
    assert_eq!(status(&layer, chat()).await, StatusCode::OK);
    let answer = send(&plain(&layer), chat()).await;
    let seconds: u64 = header(&answer, "retry-after").parse().expect("seconds");
    // Up to a 63rd of the hour late.
    assert!((3_600..3_720).contains(&seconds), "{seconds}");
    advance(Duration::from_secs(seconds)).await;
    assert_eq!(status(&layer, chat()).await, StatusCode::OK);
}

/// Without a ceiling: its answer is expected to be long until the model's answers are known.
fn open_ended(path: &str) -> Request<Body> {
    let messages = r#"[{"role":"user","content":"Hello!"}]"#;
    let body = match path {
        NATIVE => format!(r#"{{"model":"qwen-plus","input":{{"messages":{messages}}}}}"#),
        _ => format!(r#"{{"model":"qwen-plus","messages":{messages}}}"#),
    };
    request(path, &body)
}

/// With a ceiling that no budget here has room for.
fn long(path: &str) -> Request<Body> {
    let messages = r#"[{"role":"user","content":"Hello!"}]"#;
    let body = match path {
        NATIVE => format!(
            r#"{{"model":"qwen-plus","input":{{"messages":{messages}}},"parameters":{{"max_tokens":32000}}}}"#
        ),
        _ => format!(r#"{{"model":"qwen-plus","messages":{messages},"max_tokens":32000}}"#),
    };
    request(path, &body)
}

#[tokio::test(start_paused = true)]
async fn what_is_larger_than_the_whole_budget_is_too_large_at_any_status() {
    let budgets = budgets(BudgetTable::new().default_budget(day("0.003 USD")));
    for (path, code) in [
        (CHAT, r#""code":"request_too_large""#),
        (NATIVE, r#""code":"RequestTooLarge""#),
        (ANTHROPIC, r#""type":"request_too_large""#),
    ] {
        for setting in [BudgetStatus::TooManyRequests, BudgetStatus::PaymentRequired] {
            let layer = layer(&budgets).budget_status(setting);
            let answer = send(&plain(&layer), long(path)).await;
            assert_eq!(answer.status(), 413);
            assert!(!answer.headers().contains_key("retry-after"));
            assert!(matches!(over(&answer), BudgetError::Exceeded(it) if it.is_too_large()));
            let text = text(answer).await;
            for part in [code, "whole budget of 0.003 USD", "state max_tokens"] {
                assert!(text.contains(part), "{text}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_larger_than_the_rest_says_so_and_when_it_fits() {
    let budgets = budgets(BudgetTable::new().default_budget(day("0.005 USD")));
    let layer = layer(&budgets);
    let rejected = async || {
        let answer = send(&plain(&layer), open_ended(CHAT)).await;
        assert_eq!(answer.status(), 429);
        let seconds: u64 = header(&answer, "retry-after").parse().expect("seconds");
        assert!(seconds <= 86_400, "{seconds}");
        let text = text(answer).await;
        let (headers, now) = (HeaderMap::new(), SystemTime::UNIX_EPOCH);
        let status = StatusCode::TOO_MANY_REQUESTS;
        let verdict = Verdict::of_response(status, &headers, text.as_bytes(), now);
        assert!(!verdict.is_throttle() && !verdict.is_transient(), "{text}");
        text
    };
    assert_eq!(status(&layer, chat()).await, StatusCode::OK);
    let text = rejected().await;
    assert!(
        text.contains("what is left of the budget of 0.005 USD"),
        "{text}"
    );
    // A smaller one goes, as it says.
    for _ in 0..4 {
        assert_eq!(status(&layer, chat()).await, StatusCode::OK);
    }
    let text = rejected().await;
    assert!(text.contains("Budget exceeded: 0.005 USD"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn quota_and_budget_are_taken_together_or_not_at_all() {
    let budgets = budgets(BudgetTable::new().default_budget(day("0.002 USD")));
    let limiter = limiter(2, 1_000_000);
    let layer = EnforceLayer::new(limiter.clone(), KeyOf::api_key()).budgets(budgets.clone());
    for expected in [200, 200, 429] {
        assert_eq!(status(&layer, chat()).await, expected);
    }
    let counts = layer.counts();
    assert_eq!((counts.admitted, counts.requests, counts.budget), (2, 0, 1));
    // The quota's turn: the budget of this tenant has room.
    let answer = send(&plain(&layer), of("other", chat())).await;
    assert_eq!(answer.status(), 429);
    assert!(answer.extensions().get::<BudgetError>().is_none());
    assert_eq!(sums(&budgets, "other"), (0, 0));
    assert_eq!(limiter.snapshot()[0].requests.used, 2);
}

#[tokio::test(start_paused = true)]
async fn a_budget_is_settled_as_the_quota_is() {
    for (status, least, most) in [(200, 1_200, 1_200), (400, 0, 0), (429, 0, 0), (500, 3, 30)] {
        let budgets = budgets(BudgetTable::new().default_budget(day("1 USD")));
        let body = if status == 200 { WHOLE } else { "" };
        let answer = metered(&layer(&budgets), status, body)
            .oneshot(chat())
            .await;
        answer.unwrap().into_body().collect().await.unwrap();
        let (spent, reserved) = sums(&budgets, "");
        assert!((least..=most).contains(&spent), "{status}: {spent}");
        assert_eq!(reserved, 0, "{status}");
    }
    // Without a Meter the estimate stands, unless the handler knows better.
    let budgets = budgets(BudgetTable::new().default_budget(day("1 USD")));
    send(&plain(&layer(&budgets)), chat()).await;
    let (spent, reserved) = sums(&budgets, "");
    assert!((103..130).contains(&spent) && reserved == 0, "{spent}");
    let handler = service_fn(async |request: Request<Body>| {
        let tokens = Reserved::of(&request).expect("it is there");
        assert!(tokens.budget().expect("a budget").tokens() > 100);
        tokens.settle(10, 5);
        Ok::<_, Infallible>(Response::new(Body::from("ok")))
    });
    let server = layer(&budgets).layer(handler);
    server.oneshot(of("handler", chat())).await.unwrap();
    assert_eq!(sums(&budgets, "handler"), (15, 0));
}

#[tokio::test(start_paused = true)]
async fn in_shadow_mode_everything_goes_and_is_counted() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = events.clone();
    let budgets = Budgets::builder(prices())
        .table(
            BudgetTable::new()
                .default_budget(day("0.002 USD").notify_at("0.001 USD".parse::<Amount>().unwrap())),
        )
        .observe(move |event: &BudgetEvent<'_>| {
            let text = match event {
                BudgetEvent::LineReached { line, spent, .. } => format!("{line} of {spent}"),
                BudgetEvent::Rejected { is_shadow, .. } => format!("rejected: shadow {is_shadow}"),
                other => format!("{other:?}"),
            };
            seen.lock().unwrap().push(text);
        })
        .build()
        .expect("a sound table");
    let layer = layer(&budgets).shadow();
    for _ in 0..3 {
        assert_eq!(status(&layer, chat()).await, StatusCode::OK);
    }
    assert_eq!(sums(&budgets, ""), (3_600, 0));
    assert_eq!(layer.counts().budget, 1);
    let expected = ["0.001 USD of 0.0012 USD", "rejected: shadow true"];
    assert_eq!(*events.lock().unwrap(), expected);
    let answer = send(&plain(&layer), chat()).await;
    assert_eq!(answer.status(), 200);
    assert!(matches!(over(&answer), BudgetError::Exceeded(_)));
}

#[tokio::test(start_paused = true)]
async fn the_tenant_is_the_extension_or_the_name_of_the_key() {
    #[derive(Clone)]
    struct User(&'static str);
    impl AsRef<str> for User {
        fn as_ref(&self) -> &str {
            self.0
        }
    }
    let budgets = budgets(BudgetTable::new().default_budget(day("1 USD")));
    let key_of = KeyOf::extension::<User>().or(KeyOf::api_key());
    let layer = EnforceLayer::new(limiter(100, 1_000_000), key_of).budgets(budgets.clone());
    let mut named = chat();
    named.extensions_mut().insert(User("ann"));
    let both = of("acme", named.clone());
    for request in [named, both, chat()] {
        status(&layer, request).await;
    }
    for tenant in ["ann", "acme", ""] {
        assert_eq!(sums(&budgets, tenant), (1_200, 0), "{tenant}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_can_price_is_forbidden_and_what_calls_no_model_is_free() {
    let budgets = budgets(BudgetTable::new().default_budget(day("1 USD")));
    let server = plain(&layer(&budgets));
    let mut unread = chat();
    unread
        .headers_mut()
        .insert("content-encoding", "gzip".parse().unwrap());
    let unknown = request(CHAT, r#"{"model":"nobody's","messages":[]}"#);
    for request in [unread, unknown] {
        let answer = send(&server, request).await;
        assert_eq!(answer.status(), 403);
        assert!(matches!(over(&answer), BudgetError::NoPrice { .. }));
    }
    let list = Request::get("/compatible-mode/v1/models")
        .body(Body::default())
        .unwrap();
    assert_eq!(send(&server, list).await.status(), 200);
    assert_eq!(sums(&budgets, ""), (0, 0));
}
