//! A call leaves nothing behind, whole, in a stream, rejected or dropped on its way. In a process of its own: every allocation
//! is counted.

use std::{error::Error, time::Duration};

use allocation_counter::measure;
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream::iter;
use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::{runtime::Builder, time::timeout};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_qwen_ratelimit::{
    AdmissionLayer, Budget, Budgets, EnforceLayer, KeyOf, Limiter, Quota,
    budget::{Amount, BudgetTable},
    period::{Period, TimeZone},
};
use tower_qwen_retry::{RetryLayer, RetryPolicy};
use tower_qwen_tokens::{
    CallReport, Ledger, MeterLayer, PriceBook, call::BoxError, ledger::Tenant,
};

const WHOLE: &str =
    r#"{"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":20,"total_tokens":30}}"#;
const EVENTS: [&str; 3] = [
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":20,\"total_tokens\":30}}\n\n",
    "data: [DONE]\n\n",
];
const THROTTLED: &str =
    r#"{"error":{"code":"limit_requests","message":"You exceeded your current requests limit"}}"#;

/// More than any figure learns from, so that all of them have their full size before it counts.
const WARM_UP: usize = 2_000;
const CALLS: usize = 1_000;

/// A gateway with all of our layers, before a provider that answers by the model's name.
fn gateway() -> Result<
    impl Service<Request<Body>, Response = Response<Body>, Error = BoxError, Future: Sized> + Clone,
    Box<dyn Error>,
> {
    let provider = service_fn(|request: Request<Body>| async move {
        let body = request.into_body().collect().await?.to_bytes();
        let is = |model: &[u8]| body.windows(model.len()).any(|part| part == model);
        let json = Response::builder().header("content-type", "application/json");
        Ok::<_, BoxError>(if is(b"never") {
            std::future::pending().await
        } else if is(b"throttled") {
            json.status(429).body(Body::from(THROTTLED))?
        } else if is(b"\"stream\":true") {
            let events = EVENTS.map(|event| Ok::<_, BoxError>(Bytes::from(event)));
            Response::builder()
                .header("content-type", "text/event-stream")
                .body(Body::from_stream(iter(events)))?
        } else {
            json.body(Body::from(WHOLE))?
        })
    });
    let wide = || Quota::per_minute(1 << 40, 1 << 50);
    let day = Budget::new("1000000 USD".parse::<Amount>()?, Period::day(TimeZone::UTC));
    let budgets = Budgets::builder(PriceBook::builtin())
        .table(BudgetTable::new().default_budget(day))
        .build()?;
    let ledger = || MeterLayer::new(Ledger::new(PriceBook::builtin()));
    Ok(ServiceBuilder::new()
        .map_response(|answer: Response<_>| answer.map(Body::new))
        .layer(
            EnforceLayer::new(Limiter::new(wide()), KeyOf::extension::<Tenant>()).budgets(budgets),
        )
        .layer(ledger())
        .layer(RetryLayer::new(RetryPolicy::default().max_attempts(2)))
        .layer(AdmissionLayer::new(Limiter::new(wide())).max_wait(Duration::from_millis(1)))
        .layer(ledger())
        .service(provider))
}

#[test]
fn a_call_leaves_nothing_behind() -> Result<(), Box<dyn Error>> {
    for (model, stream, is_read) in [
        ("qwen-plus", false, true),
        ("qwen-plus", true, true),
        ("qwen-plus", true, false),
        ("throttled", false, true),
        ("never", false, true),
    ] {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()?;
        let gateway = gateway()?;
        let call = || async {
            let body = format!(r#"{{"model":"{model}","messages":[],"stream":{stream}}}"#);
            let request = Request::post("https://host/compatible-mode/v1/chat/completions")
                .header("content-type", "application/json")
                .extension(Tenant::new("acme"))
                .extension(CallReport::new())
                .body(Body::from(body))
                .expect("a request");
            let answer = gateway.clone().oneshot(request);
            if let Ok(Ok(answer)) = timeout(Duration::from_secs(1), answer).await
                && is_read
            {
                let _ = answer.into_body().collect().await;
            }
        };
        let run = |calls| {
            runtime.block_on(async {
                for _ in 0..calls {
                    call().await;
                }
            });
        };
        run(WARM_UP);
        let all = measure(|| run(CALLS));
        assert!(
            all.count_current < CALLS as i64 / 10,
            "{model}, stream: {stream}, read: {is_read}: {all:?}"
        );
    }
    Ok(())
}
