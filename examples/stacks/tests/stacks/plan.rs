//! Answers that no retry mends, through the whole stack: how many requests they cost, and how soon callers know.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tokio::time::{Instant, advance};
use tower::{Layer, ServiceExt, service_fn};
use tower_qwen_ratelimit::{AdmissionLayer, Limiter, Quota, RejectKind, Rejected};
use tower_qwen_retry::{Fallback, RetryLayer, RetryPolicy};
use tower_qwen_tokens::{Ledger, MeterLayer, call::BoxError};

use crate::support::{Answer, boxed, chat};

const REFUSALS: [(u16, &str); 6] = [
    (
        400,
        r#"{"code":"Arrearage","message":"Access denied, please make sure your account is in good standing."}"#,
    ),
    (
        401,
        r#"{"error":{"code":"invalid_api_key","message":"Incorrect API key provided."}}"#,
    ),
    (
        403,
        r#"{"code":"AllocationQuota.FreeTierOnly","message":"The free tier of the model has been exhausted."}"#,
    ),
    (
        429,
        r#"{"error":{"type":"usage_limit_reached","resets_in_seconds":18000}}"#,
    ),
    (
        429,
        r#"{"error":{"message":"You've reached the monthly usage limit for this billing cycle."}}"#,
    ),
    (
        429,
        r#"{"error":{"message":"you (u) have reached your session usage limit, upgrade for higher limits"}}"#,
    ),
];

type Models = Arc<Mutex<Vec<String>>>;

/// One call through Retry > Admission > Meter; the provider rejects `qwen-plus` and serves the rest.
async fn call(
    policy: &RetryPolicy,
    limiter: &Limiter,
    rejection: (u16, &'static str),
    sent: &Models,
) -> Result<Answer, BoxError> {
    let provider = service_fn(|request: Request<Full<Bytes>>| {
        let sent = sent.clone();
        async move {
            let call = tower_qwen_tokens::Call::of(&request).and_then(|call| call.model_call());
            let model = call.map_or("", |call| &call.model).to_owned();
            let (status, body) = match &*model {
                "qwen-plus" => rejection,
                _ => (200, "{}"),
            };
            sent.lock().expect("unbroken").push(model);
            let status = StatusCode::from_u16(status).expect("a status");
            let mut answer = Response::new(Full::<Bytes>::from(body));
            *answer.status_mut() = status;
            Ok::<_, BoxError>(answer)
        }
    });
    let stack = MeterLayer::new(Ledger::default()).layer(provider);
    let stack = AdmissionLayer::new(limiter.clone()).layer(stack);
    let stack = RetryLayer::new(policy.clone()).layer(stack);
    let request = Request::post("https://host.example/v1/chat/completions")
        .body(Full::from(chat(false).to_string()))?;
    Ok(boxed(stack.oneshot(request).await?))
}

fn limiter() -> Limiter {
    Limiter::new(Quota::per_minute(800, 800_000))
}

#[tokio::test(start_paused = true)]
async fn twenty_calls_cost_twenty_requests_at_most_and_a_lone_one_costs_one() {
    let policy = RetryPolicy::default();
    for rejection in REFUSALS {
        let (limiter, sent) = (limiter(), Models::default());
        let answer = call(&policy, &limiter, rejection, &sent)
            .await
            .expect("the answer itself");
        assert_eq!(answer.status().as_u16(), rejection.0);
        assert_eq!(sent.lock().expect("unbroken").len(), 1, "{}", rejection.1);

        let (limiter, sent) = (self::limiter(), Models::default());
        let start = Instant::now();
        let results = join_all((0..20).map(|_| call(&policy, &limiter, rejection, &sent))).await;
        let took = Instant::now() - start;
        assert!(took <= Duration::from_secs(2), "{took:?}: {}", rejection.1);
        let sent = sent.lock().expect("unbroken").len();
        assert!(sent <= 20, "{sent}: {}", rejection.1);
        let answered = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(answered, sent, "each request is one call's");
        for error in results.into_iter().filter_map(Result::err) {
            let rejected = error
                .downcast::<Rejected>()
                .expect("rejected by the account");
            assert_eq!(rejected.kind(), RejectKind::PlanUsedUp);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_of_five_hours_costs_a_probe_each_half_hour_however_many_call() {
    let policy = RetryPolicy::default();
    let (limiter, sent) = (limiter(), Models::default());
    for minute in 0..300 {
        let body = [
            r#"{"error":{"type":"usage_limit_reached","resets_in_seconds":18000}}"#,
            r#"{"error":{"type":"usage_limit_reached"}}"#,
        ];
        let rejection = (429, body[usize::from(minute > 0)]);
        let calls = (0..5).map(|_| call(&policy, &limiter, rejection, &sent));
        join_all(calls).await;
        advance(Duration::from_secs(60)).await;
    }
    // Five were under way at once before the first was answered, at most; nine probes up to the end.
    let sent = sent.lock().expect("unbroken").len();
    assert!((10..=5 + 9).contains(&sent), "{sent}");
}

#[tokio::test(start_paused = true)]
async fn a_fallback_takes_over_at_once() {
    let policy = RetryPolicy::default().fallback(Fallback::new("smaller").model("qwen-flash"));
    let (limiter, sent) = (limiter(), Models::default());
    let start = Instant::now();
    for _ in 0..3 {
        let answer = call(&policy, &limiter, REFUSALS[3], &sent)
            .await
            .expect("the fallback's");
        assert_eq!(answer.status(), StatusCode::OK);
    }
    assert!(Instant::now() - start < Duration::from_secs(2));
    let sent = sent.lock().expect("unbroken").clone();
    assert_eq!(
        sent,
        ["qwen-plus", "qwen-flash", "qwen-flash", "qwen-flash"]
    );
}
