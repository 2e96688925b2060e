use std::sync::{Arc, Mutex};

use ::axum::{
    Extension, Json, Router,
    body::{Body, Bytes},
    extract::Request,
    middleware::{Next, from_fn},
    response::Response,
    routing::{any, post},
};
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_qwen_ratelimit::{EnforceLayer, KeyOf, enforce::Reserved};
use tower_qwen_tokens::{
    Ledger, MeterLayer, OnUsage, Report, Usage, UsageSink, extract::SharedCall, ledger::Tenant,
    meter::ResponseUsage,
};

use super::{WHOLE, booked, call, send};
use crate::support::{ANTHROPIC, CHAT, NATIVE, account, limiter};

async fn name(mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(Tenant::new("acme"));
    next.run(request).await
}

#[tokio::test(start_paused = true)]
async fn a_handler_sees_what_the_layers_know() {
    async fn handler(
        tenant: Tenant,
        call: SharedCall,
        reserved: Reserved,
        usage: ResponseUsage,
        body: Bytes,
    ) -> Json<Value> {
        assert!(usage.report().is_none());
        assert_eq!(Some(&body), call.body());
        Json(json!({
            "tenant": tenant.as_str(),
            "model": &*call.model_call().unwrap().model,
            "reserved": [reserved.input_tokens() < 100, reserved.output_tokens()],
            "charged": reserved.is_charged(),
        }))
    }
    let (limiter, ledger) = (limiter(9, 100_000), Ledger::default());
    let app = Router::new()
        .route(CHAT, post(handler))
        .layer(MeterLayer::new(ledger.clone()))
        .layer(EnforceLayer::new(
            limiter.clone(),
            KeyOf::extension::<Tenant>(),
        ))
        .layer(from_fn(name));
    let (status, body) = send(&app, call(CHAT)).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        serde_json::from_slice::<Value>(&body).unwrap(),
        json!({"tenant": "acme", "model": "m", "reserved": [true, 900], "charged": true})
    );
    assert_eq!(account(&limiter).key.to_string(), "acme");
    assert_eq!(ledger.snapshot().tenants["acme"].calls, 1);
}

#[tokio::test(start_paused = true)]
async fn a_handler_states_its_usage_or_settles_by_itself() {
    async fn states(usage: ResponseUsage) -> &'static str {
        usage.state(Usage::new(70, 30));
        usage.state(Usage::new(1, 1)); // The first counts.
        "in a shape of its own"
    }
    async fn settles(reserved: Reserved) -> Response {
        reserved.settle(0, 0);
        super::whole().await
    }
    let ledger = Ledger::default();
    let limiter = limiter(9, 100_000);
    let app = Router::new()
        .route(CHAT, post(states))
        .route(ANTHROPIC, post(settles))
        .layer(MeterLayer::new(ledger.clone()))
        .layer(EnforceLayer::new(limiter.clone(), KeyOf::path()));
    let used = || {
        let mut used: Vec<_> = limiter
            .snapshot()
            .iter()
            .map(|account| account.tokens.used)
            .collect();
        used.sort_unstable();
        used
    };
    send(&app, call(CHAT)).await;
    assert_eq!(booked(&ledger), (1, 70, 30));
    assert_eq!(ledger.snapshot().total.unknown, 0);
    assert_eq!(used(), [100]);
    send(&app, call(ANTHROPIC)).await;
    assert_eq!(used(), [0, 100], "the Meter's report comes too late");
}

#[tokio::test(start_paused = true)]
async fn usage_that_is_stated_counts_for_an_answer_that_fails_too() {
    for status in [StatusCode::BAD_REQUEST, StatusCode::INTERNAL_SERVER_ERROR] {
        for body in ["", "oops"] {
            let (limiter, ledger) = (limiter(9, 100_000), Ledger::default());
            let fails = async move |usage: ResponseUsage| {
                usage.state(Usage::new(1_000, 5_000));
                (status, body)
            };
            let app = Router::new()
                .route(CHAT, post(fails))
                .layer(MeterLayer::new(ledger.clone()))
                .layer(EnforceLayer::new(limiter.clone(), KeyOf::api_key()));
            assert_eq!(send(&app, call(CHAT)).await.0, status);
            assert_eq!(booked(&ledger), (1, 1_000, 5_000));
            assert_eq!(account(&limiter).tokens.used, 6_000, "{status} {body:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_beside_the_handler_learns_the_usage() {
    type Reports = Arc<Mutex<Vec<Option<Report>>>>;
    async fn handler(usage: ResponseUsage, Extension(reports): Extension<Reports>) -> Response {
        tokio::spawn(async move {
            let report = usage.ended().await;
            assert_eq!(report.is_some(), usage.report().is_some());
            reports.lock().unwrap().push(report);
        });
        super::whole().await
    }
    let reports = Reports::default();
    let app = Router::new()
        .route(CHAT, post(handler))
        .layer(Extension(reports.clone()))
        .layer(MeterLayer::new(Ledger::default()));
    let Ok(answer) = app.clone().oneshot(call(CHAT)).await;
    tokio::task::yield_now().await;
    assert!(
        reports.lock().unwrap().is_empty(),
        "the answer has not ended"
    );
    drop(answer);
    tokio::task::yield_now().await;
    let (_, body) = send(&app, call(CHAT)).await;
    assert_eq!(body, WHOLE.as_bytes());
    tokio::task::yield_now().await;
    let reports = reports.lock().unwrap();
    let outputs: Vec<_> = reports
        .iter()
        .flatten()
        .map(|report| report.usage.output_tokens)
        .collect();
    assert_eq!(outputs, [None, Some(200)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_named_in_the_callers_dialect() {
    async fn call_of(_: SharedCall) {}
    async fn usage(_: ResponseUsage) {}
    async fn tenant(_: Tenant) {}
    async fn reserved(_: Reserved) {}
    let request = |path| {
        let mut request = call(path);
        let id = HeaderValue::from_static("id-7");
        request.headers_mut().insert("x-request-id", id);
        request
    };
    let handlers = [
        (any(call_of), "EnforceLayer or MeterLayer"),
        (any(usage), "MeterLayer is missing"),
        (any(tenant), "tenant"),
        (any(reserved), "EnforceLayer is missing"),
    ];
    for (handler, named) in handlers {
        for path in [CHAT, NATIVE, ANTHROPIC] {
            let app = Router::new().route(path, handler.clone());
            let (status, body) = send(&app, request(path)).await;
            assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
            let body: Value = serde_json::from_slice(&body).unwrap();
            let (message, code) = match path {
                NATIVE => (&body["message"], &body["code"]),
                ANTHROPIC => (&body["error"]["message"], &body["error"]["type"]),
                _ => (&body["error"]["message"], &body["error"]["code"]),
            };
            assert!(message.as_str().unwrap().contains(named), "{message}");
            assert!(
                ["InternalError", "api_error", "internal_error"].contains(&code.as_str().unwrap())
            );
            assert_eq!(body["request_id"], "id-7");
        }
    }
    let metered = Router::new()
        .route("/v1/files", any(usage))
        .layer(MeterLayer::new(Ledger::default()));
    let (_, body) = send(&metered, call("/v1/files")).await;
    assert!(String::from_utf8(body).unwrap().contains("no model call"));
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_none_to_who_asks_so() {
    async fn handler(
        call: Option<SharedCall>,
        usage: Option<ResponseUsage>,
        tenant: Option<Tenant>,
        reserved: Option<Reserved>,
        _: Body,
    ) -> String {
        let found = [
            call.is_some(),
            usage.is_some(),
            tenant.is_some(),
            reserved.is_some(),
        ];
        found
            .map(|found| if found { '1' } else { '0' })
            .into_iter()
            .collect()
    }
    let app = Router::new().route(CHAT, post(handler));
    assert_eq!(send(&app, call(CHAT)).await.1, b"0000");
    let app = app
        .layer(MeterLayer::new(Ledger::default()))
        .layer(EnforceLayer::new(limiter(9, 99_999), KeyOf::api_key()))
        .layer(from_fn(name));
    assert_eq!(send(&app, call(CHAT)).await.1, b"1111");
}

#[tokio::test(start_paused = true)]
async fn in_shadow_mode_nothing_is_set_aside_for_what_would_be_rejected() {
    async fn handler(reserved: Reserved) -> String {
        reserved.settle(1, 1);
        format!("{} {}", reserved.is_charged(), reserved.output_tokens())
    }
    let app = Router::new()
        .route(CHAT, post(handler))
        .layer(EnforceLayer::new(limiter(1, 99_999), KeyOf::api_key()).shadow());
    assert_eq!(send(&app, call(CHAT)).await.1, b"true 900");
    assert_eq!(send(&app, call(CHAT)).await.1, b"false 0");
}

/// As a gateway does it, whose one Meter settles the account of its caller and that of an attempt behind it.
#[tokio::test(start_paused = true)]
async fn the_report_goes_to_a_further_sink_too_the_latest_one() {
    #[derive(Default)]
    struct Recorder(Mutex<Vec<Option<u64>>>);
    impl OnUsage for Recorder {
        fn on_usage(&self, report: &Report) {
            self.0.lock().unwrap().push(report.usage.output_tokens);
        }
    }
    let (first, second) = (Arc::new(Recorder::default()), Arc::new(Recorder::default()));
    let sinks = [
        UsageSink::new(first.clone()),
        UsageSink::new(second.clone()),
    ];
    let handler = async move |usage: ResponseUsage| {
        sinks.into_iter().for_each(|sink| usage.report_to(sink));
        super::whole().await
    };
    let limiter = limiter(9, 100_000);
    let app = Router::new()
        .route(CHAT, post(handler))
        .layer(MeterLayer::new(Ledger::default()))
        .layer(EnforceLayer::new(limiter.clone(), KeyOf::api_key()));
    send(&app, call(CHAT)).await;
    assert_eq!(*first.0.lock().unwrap(), []);
    assert_eq!(*second.0.lock().unwrap(), [Some(200)]);
    assert_eq!(account(&limiter).tokens.used, 1_200);
}
