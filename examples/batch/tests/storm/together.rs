//! One call, or a few, through `Retry > Admission > Meter`.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;

use axum::body::Body;
use http::{Request, Response, header};
use http_body_util::BodyExt;
use mock_qwen::{Config, Faults, MockQwen};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, util::BoxCloneService};
use tower_qwen_ratelimit::{AdmissionLayer, Limiter, Quota};
use tower_qwen_retry::{Fallback, RetryLayer, RetryPolicy};
use tower_qwen_tokens::{CallReport, Ledger, MeterLayer, PriceBook};

type Client = BoxCloneService<Request<Body>, Response<Body>, BoxError>;

fn client<T>(policy: RetryPolicy, limiter: &Limiter, transport: T) -> Client
where
    T: Service<Request<Body>, Response = Response<Body>, Error = BoxError, Future: Send>
        + Clone
        + Send
        + 'static,
{
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(policy.seed(1)))
        .layer(AdmissionLayer::new(limiter.clone()))
        .layer(MeterLayer::new(Ledger::new(PriceBook::builtin())))
        .service(transport);
    BoxCloneService::new(stack.map_response(|response| response.map(Body::new)))
}

fn request(stream: bool, number: u32) -> Request<Body> {
    let body = format!(
        r#"{{"model":"qwen-plus","stream":{stream},"messages":[{{"role":"user","content":"Question {number}?"}}],"max_tokens":100}}"#
    );
    Request::post("http://mock/compatible-mode/v1/chat/completions")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body))
        .expect("a request")
}

fn limiter() -> Limiter {
    Limiter::new(Quota::per_minute(30_000, 5_000_000))
}

fn report(answer: &Response<Body>) -> &CallReport {
    answer.extensions().get().expect("a report")
}

#[tokio::test(start_paused = true)]
async fn a_second_that_the_server_asks_for_is_a_second_for_both() {
    for status in [429, 503] {
        let times = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&times);
        let transport = tower::service_fn(move |_: Request<Body>| {
            let mut seen = seen.lock().expect("unbroken");
            seen.push(Instant::now());
            let throttled = seen.len() < 5;
            let answer = Response::builder().status(if throttled { status } else { 200 });
            let answer = answer.header("retry-after", "1").body(Body::empty());
            async { Ok::<_, BoxError>(answer?) }
        });
        let client = client(RetryPolicy::default(), &limiter(), transport);
        let answer = client.oneshot(request(false, 0)).await.expect("an answer");
        assert_eq!(
            (answer.status().as_u16(), report(&answer).sends()),
            (200, 5)
        );
        let times = times.lock().expect("unbroken");
        for pair in times.windows(2) {
            let gap = pair[1] - pair[0];
            let second = Duration::from_secs(1);
            assert!(gap >= second && gap <= second * 3 / 2, "{status}: {gap:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_target_is_admitted_at_an_account_of_its_own() {
    let transport = tower::service_fn(|request: Request<Body>| async move {
        let refused = request.uri().host() == Some("mock");
        let answer = Response::builder().status(if refused { 401 } else { 200 });
        Ok::<_, BoxError>(answer.body(Body::empty())?)
    });
    let policy = RetryPolicy::default()
        .fallback(Fallback::new("smaller").model("qwen-flash"))
        .fallback(
            Fallback::new("elsewhere")
                .base_url("https://elsewhere/v1")
                .expect("a base"),
        );
    let limiter = limiter();
    let client = client(policy, &limiter, transport);
    let answer = client.oneshot(request(false, 0)).await.expect("an answer");
    assert_eq!(
        (
            answer.status().as_u16(),
            report(&answer).target().as_deref()
        ),
        (200, Some("elsewhere"))
    );
    let mut accounts: Vec<_> = limiter
        .snapshot()
        .into_iter()
        .map(|account| {
            let (host, model) = (account.key.authority(), account.key.model());
            (host.to_owned(), model.to_owned(), account.admitted)
        })
        .collect();
    accounts.sort();
    let expected = [
        ("elsewhere", "qwen-plus"),
        ("mock", "qwen-flash"),
        ("mock", "qwen-plus"),
    ];
    let expected = expected.map(|(host, model)| (host.to_owned(), model.to_owned(), 1));
    assert_eq!(accounts, expected);
}

#[tokio::test(start_paused = true)]
async fn no_stream_begins_with_an_error() {
    let mock = MockQwen::new(Config {
        rpm: 30_000,
        tpm: 5_000_000,
        faults: Faults {
            stream_error: 0.5,
            ..Faults::default()
        },
        seed: 3,
        ..Config::default()
    });
    let transport = tower::service_fn(move |request: Request<Body>| {
        let mut router = mock.router();
        async move { Ok::<_, BoxError>(router.call(request).await?) }
    });
    let limiter = limiter();
    let client = client(RetryPolicy::default(), &limiter, transport);
    let (mut again, mut broken, mut whole) = (0, 0, 0);
    for number in 0..100 {
        let answer = client.clone().oneshot(request(true, number)).await;
        let answer = answer.expect("an answer");
        again += u32::from(report(&answer).sends() > 1);
        let text = answer
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes();
        let text = String::from_utf8(text.to_vec()).expect("text");
        let content = text.find(r#""content":""#).expect("content comes first");
        match text.find("event:error") {
            Some(at) => {
                assert!(content < at, "{text}");
                broken += 1;
            }
            None => whole += 1,
        }
    }
    assert!(
        again > 10 && broken > 10 && whole > 30,
        "{again} {broken} {whole}"
    );
    let account = limiter.snapshot().remove(0);
    let heard: u64 = account.throttled.values().sum();
    assert!(
        heard >= u64::from(again),
        "the account hears of them too: {heard}"
    );
    assert_eq!((account.in_flight, account.reserved_tokens), (0, 0));
}
