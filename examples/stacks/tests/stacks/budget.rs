//! Budgets in the whole stack: attempts cost, and what a budget rejects is not tried again.

use std::{
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::time::Instant;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_qwen_ratelimit::{
    AdmissionLayer, Budget, BudgetLayer, Budgets, EnforceLayer, KeyOf, Limiter, Quota,
    budget::{Amount, BudgetError, BudgetTable},
    period::Period,
};
use tower_qwen_retry::{RetryLayer, RetryPolicy};
use tower_qwen_tokens::{Ledger, MeterLayer, PriceBook, call::BoxError};

const ANSWER: &str =
    r#"{"choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":200,"total_tokens":1200}}"#;

fn budgets(tokens: u64) -> Budgets {
    let budget = Budget::new(Amount::Tokens(tokens), Period::total());
    let table = BudgetTable::new().default_budget(budget);
    let budgets = Budgets::builder(PriceBook::builtin()).table(table).build();
    budgets.expect("a sound table")
}

fn spent(budgets: &Budgets) -> Amount {
    budgets.snapshot().limits[0].spent
}

fn chat() -> Request<Full<Bytes>> {
    let body =
        r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Hi!"}],"max_tokens":100}"#;
    Request::post("https://host.example/v1/chat/completions")
        .body(Full::from(body))
        .expect("a request")
}

/// One call through Retry > Budget > Admission > Meter; the provider fails once, then answers.
async fn call(budgets: &Budgets, sent: &AtomicU32) -> Result<StatusCode, BoxError> {
    let limiter = Limiter::new(Quota::per_minute(800, 800_000));
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::default()))
        .layer(BudgetLayer::new(budgets.clone()))
        .layer(AdmissionLayer::new(limiter))
        .layer(MeterLayer::new(Ledger::default()))
        .service(service_fn(|_: Request<Full<Bytes>>| {
            let number = sent.fetch_add(1, Ordering::Relaxed);
            let answer = Response::builder().header("content-type", "application/json");
            let answer = match number {
                0 => answer.status(500).body(Full::<Bytes>::from("{}")),
                _ => answer.body(Full::from(ANSWER)),
            };
            ready(answer)
        }));
    let answer = stack.oneshot(chat()).await?;
    let status = answer.status();
    answer.into_body().collect().await?;
    Ok(status)
}

#[tokio::test(start_paused = true)]
async fn every_attempt_is_paid() {
    let (budgets, sent) = (budgets(10_000), AtomicU32::new(0));
    assert_eq!(call(&budgets, &sent).await.expect("an answer"), 200);
    assert_eq!(sent.load(Ordering::Relaxed), 2);
    // The failed attempt keeps its prompt.
    let Amount::Tokens(spent) = spent(&budgets) else {
        panic!("the budget is in tokens");
    };
    assert!((1_203..1_230).contains(&spent), "{spent}");
}

#[tokio::test(start_paused = true)]
async fn a_rejection_is_final() {
    let (budgets, sent) = (budgets(50), AtomicU32::new(0));
    let begin = Instant::now();
    let error = call(&budgets, &sent).await.expect_err("no room");
    assert!(error.is::<BudgetError>(), "{error}");
    assert_eq!(sent.load(Ordering::Relaxed), 0);
    assert_eq!(begin.elapsed(), Duration::ZERO, "no wait for another try");
}

#[tokio::test(start_paused = true)]
async fn a_servers_rejection_is_no_throttle_for_its_client() {
    // Larger than the whole budget, and than what the first call has left of it.
    for (tokens, statuses) in [(50, &[413][..]), (150, &[200, 429])] {
        let budget = Budget::new(Amount::Tokens(tokens), Period::HOUR);
        let table = BudgetTable::new().default_budget(budget);
        let budgets = Budgets::builder(PriceBook::builtin()).table(table).build();
        let limiter = Limiter::new(Quota::per_minute(800, 800_000));
        let answered = Arc::new(AtomicU32::new(0));
        let server =
            EnforceLayer::new(limiter, KeyOf::api_key()).budgets(budgets.expect("a sound table"));
        let count = answered.clone();
        let client = ServiceBuilder::new()
            .layer(RetryLayer::new(RetryPolicy::default()))
            .map_response(move |answer: Response<_>| {
                count.fetch_add(1, Ordering::Relaxed);
                answer
            })
            .layer(server)
            .service(service_fn(async |_: Request<Full<Bytes>>| {
                let answer = Response::builder().header("content-type", "application/json");
                answer
                    .body(Full::<Bytes>::from(ANSWER))
                    .map_err(BoxError::from)
            }));
        let begin = Instant::now();
        for status in statuses {
            let answer = client.clone().oneshot(chat()).await.expect("an answer");
            assert_eq!(answer.status(), *status);
            answer.into_body().collect().await.expect("whole");
        }
        assert_eq!(answered.load(Ordering::Relaxed) as usize, statuses.len());
        assert_eq!(begin.elapsed(), Duration::ZERO);
    }
}
