//! An outage must not be answered with a storm: fifty calls a second arrive while the provider refuses whatever is sent.
//!
//! In paused time, through `Retry > Admission > Meter`, against the provider in-process.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

use axum::body::Body;
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use mock_qwen::{Config, MockQwen};
use tokio::task::JoinSet;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, util::BoxCloneService};
use tower_qwen_ratelimit::{AdmissionLayer, Limiter, Quota};
use tower_qwen_retry::{RetryLayer, RetryPolicy};
use tower_qwen_tokens::{CallReport, Ledger, MeterLayer, PriceBook};

const OUTAGE: Duration = Duration::from_secs(30);
const CALLS: u64 = 1_500;
const BETWEEN: Duration = Duration::from_millis(20);

/// What an outage may cost.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// Requests during the outage.
    requests: u64,
    /// By when every call has to be served, after the outage.
    last: Duration,
}

/// At most 80 requests: those of the first second, and single ones.
const fn fast(last_millis: u64) -> Bounds {
    Bounds {
        requests: 80,
        last: Duration::from_millis(last_millis),
    }
}

// The times are those of the first version of this study and a tenth: 2.70, 2.82, 2.92, 5.24, 2.75
// and 4.48 s (docs/performance.md, "An outage through Retry and Admission").
const CAPACITY_503: Bounds = fast(2_970);
const EMPTY_503: Bounds = fast(3_100);
const EMPTY_429: Bounds = fast(3_210);
const REQUESTS_429: Bounds = fast(5_760);
const TOKENS_429: Bounds = fast(3_020);
/// Each answer takes two seconds: a hundred calls are under way before the first is answered.
const SLOW_503: Bounds = Bounds {
    requests: 400,
    last: Duration::from_millis(4_920),
};

/// The limits of `qwen-plus` in Beijing.
const RPM: u64 = 30_000;
const TPM: u64 = 5_000_000;

type Client = BoxCloneService<Request<Body>, Response<Body>, BoxError>;

/// How the provider refuses while it is away.
#[derive(Debug, Clone, Copy)]
struct Rejection {
    status: StatusCode,
    body: &'static str,
    after: Duration,
}

const CAPACITY: &str = r#"{"error":{"code":"ServiceUnavailable","message":"<503> InternalError.Algo: An error occurred in model serving, error message is: [Too many requests. Your requests are being throttled due to system capacity limits. Please try again later.]","type":"ServiceUnavailable"}}"#;

fn refusal(status: u16, body: &'static str) -> Rejection {
    Rejection {
        status: status.try_into().expect("a status"),
        body,
        after: Duration::from_millis(20),
    }
}

/// A provider that is away at first.
#[derive(Clone)]
struct Provider {
    mock: MockQwen,
    refusal: Rejection,
    back: Instant,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    during: AtomicU64,
    /// How often each call was served.
    served: Mutex<HashMap<String, u32>>,
}

impl Provider {
    fn new(refusal: Rejection) -> Self {
        Self {
            mock: MockQwen::new(Config {
                rpm: RPM,
                tpm: TPM,
                ..Config::default()
            }),
            refusal,
            back: Instant::now() + OUTAGE,
            seen: Arc::default(),
        }
    }

    async fn answer(self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        if Instant::now() < self.back {
            self.seen.during.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(self.refusal.after).await;
            let refused = Response::builder().status(self.refusal.status);
            return Ok(refused.body(Body::from(self.refusal.body))?);
        }
        let name = request.headers()["x-call"].to_str()?.to_owned();
        *self
            .seen
            .served
            .lock()
            .expect("unbroken")
            .entry(name)
            .or_default() += 1;
        Ok(self.mock.router().call(request).await?)
    }
}

fn request(number: u64) -> Request<Body> {
    let body = format!(
        r#"{{"model":"qwen-plus","messages":[{{"role":"user","content":"Question {number}?"}}],"max_tokens":100}}"#
    );
    Request::post("http://mock/compatible-mode/v1/chat/completions")
        .header(header::CONTENT_TYPE, "application/json")
        .header("x-call", number)
        .body(Body::from(body))
        .expect("a request")
}

fn ours(provider: &Provider) -> Client {
    let provider = provider.clone();
    let transport = tower::service_fn(move |request| provider.clone().answer(request));
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::default().seed(1)))
        .layer(AdmissionLayer::new(Limiter::new(Quota::per_minute(
            RPM, TPM,
        ))))
        .layer(MeterLayer::new(Ledger::new(PriceBook::builtin())))
        .service(transport);
    BoxCloneService::new(stack.map_response(|response| response.map(Body::new)))
}

/// Exponential backoff as it stands in many a program: ten retries, half a second doubling.
fn plain(provider: &Provider) -> Client {
    let provider = provider.clone();
    BoxCloneService::new(tower::service_fn(move |request: Request<Body>| {
        let provider = provider.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            for retries in 0.. {
                let request = Request::from_parts(parts.clone(), Body::from(body.clone()));
                let answer = provider.clone().answer(request).await?;
                if answer.status().is_success() || retries == 10 {
                    return Ok(answer);
                }
                tokio::time::sleep(Duration::from_millis(500 << retries)).await;
            }
            Err("not reached".into())
        }
    }))
}

/// What came of all calls.
#[derive(Debug)]
struct Outcome {
    /// Requests on the wire during the outage.
    during: u64,
    failed: u64,
    twice: u64,
    /// When the last call was served, counted from the end of the outage.
    last: Duration,
    most_attempts: u32,
}

async fn run(refusal: Rejection, client: fn(&Provider) -> Client) -> Outcome {
    let provider = Provider::new(refusal);
    let client = client(&provider);
    let start = Instant::now();
    let mut calls = JoinSet::new();
    for number in 0..CALLS {
        tokio::time::sleep_until(start + BETWEEN * u32::try_from(number).expect("few")).await;
        let client = client.clone();
        calls.spawn(async move {
            let answer = client.oneshot(request(number)).await.ok()?;
            let attempts = answer.extensions().get().map_or(1, CallReport::sends);
            let served = answer.status().is_success();
            answer.into_body().collect().await.ok()?;
            served.then(|| (Instant::now(), attempts))
        });
    }
    let done = calls.join_all().await;
    let served: Vec<_> = done.iter().flatten().collect();
    let times = provider.seen.served.lock().expect("unbroken");
    Outcome {
        during: provider.seen.during.load(Ordering::Relaxed),
        failed: CALLS - served.len() as u64,
        twice: times.values().filter(|&&times| times > 1).count() as u64,
        last: served
            .iter()
            .map(|(at, _)| at.saturating_duration_since(provider.back))
            .max()
            .unwrap_or_default(),
        most_attempts: served
            .iter()
            .map(|(_, attempts)| *attempts)
            .max()
            .unwrap_or_default(),
    }
}

async fn no_storm(name: &str, refusal: Rejection, bounds: Bounds) {
    let ours = run(refusal, ours).await;
    let plain = run(refusal, plain).await;
    println!(
        "{name}: {} requests during the outage, plain backoff {}; all served after {:?}, plain {:?}; at most {} attempts",
        ours.during, plain.during, ours.last, plain.last, ours.most_attempts
    );
    assert_eq!((ours.failed, ours.twice), (0, 0), "{name}: {ours:?}");
    assert!(
        ours.during * 10 <= plain.during && ours.during <= bounds.requests,
        "{name}: {ours:?} {plain:?}"
    );
    assert!(ours.last <= bounds.last, "{name}: {ours:?}");
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_answers_503_for_lack_of_capacity() {
    no_storm("503, capacity", refusal(503, CAPACITY), CAPACITY_503).await;
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_answers_503_without_a_word() {
    no_storm("503, empty", refusal(503, ""), EMPTY_503).await;
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_answers_429_without_a_hint() {
    no_storm("429, empty", refusal(429, ""), EMPTY_429).await;
    let requests = r#"{"code":"Throttling.RateQuota","message":"Requests rate limit exceeded, please try again later.","request_id":""}"#;
    no_storm("429, requests", refusal(429, requests), REQUESTS_429).await;
    let tokens = r#"{"code":"Throttling.AllocationQuota","message":"Allocated quota exceeded, please increase your quota limit.","request_id":""}"#;
    no_storm("429, tokens", refusal(429, tokens), TOKENS_429).await;
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_takes_its_time_to_refuse() {
    let slow = Rejection {
        after: Duration::from_secs(2),
        ..refusal(503, CAPACITY)
    };
    no_storm("503 after 2 s", slow, SLOW_503).await;
}

/// A client of a provider that always throttles one call.
fn picky(mock: MockQwen) -> Client {
    let transport = tower::service_fn(move |request: Request<Body>| {
        let mut router = mock.router();
        async move {
            if request.headers()["x-call"] == "0" {
                let refused = Response::builder().status(StatusCode::TOO_MANY_REQUESTS);
                return Ok::<_, BoxError>(refused.body(Body::empty())?);
            }
            Ok(router.call(request).await?)
        }
    });
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::default().seed(1)))
        .layer(AdmissionLayer::new(Limiter::new(Quota::per_minute(
            RPM, TPM,
        ))))
        .service(transport);
    BoxCloneService::new(stack.map_response(|response| response.map(Body::new)))
}

/// A call that the provider throttles whenever it comes, among others that it serves.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_always_throttled_does_not_hold_up_the_others() {
    let mock = MockQwen::new(Config {
        rpm: RPM,
        tpm: TPM,
        ..Config::default()
    });
    let stack = picky(mock);
    let start = Instant::now();
    let mut calls = JoinSet::new();
    for number in 0..600 {
        tokio::time::sleep_until(start + Duration::from_millis(100) * number).await;
        let client = stack.clone();
        calls.spawn(async move {
            let begun = Instant::now();
            let answer = client.oneshot(request(number.into())).await;
            let status = answer.map(|answer| answer.status().as_u16());
            (number, status.unwrap_or_default(), Instant::now() - begun)
        });
    }
    let done = calls.join_all().await;
    let (bad, good): (Vec<_>, Vec<_>) = done.into_iter().partition(|(number, ..)| *number == 0);
    assert!(good.iter().all(|(_, status, _)| *status == 200));
    let longest = good.iter().map(|(.., took)| *took).max().expect("calls");
    println!("the bad call: {bad:?}; of the others none took longer than {longest:?}");
    assert!(longest <= Duration::from_secs(6), "{longest:?}");
    assert_eq!(bad[0].1, 429);
    assert!(bad[0].2 <= Duration::from_secs(60), "{bad:?}");
}
