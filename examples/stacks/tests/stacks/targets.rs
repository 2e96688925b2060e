//! Several keys through Retry > Admission > Meter: each has an account of its own.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response, StatusCode, header::AUTHORIZATION};
use http_body_util::Full;
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};
use tower_qwen_ratelimit::{AdmissionLayer, Limiter, Pacing, Quota};
use tower_qwen_retry::{Fallback, Pool, RetryLayer, RetryPolicy};
use tower_qwen_tokens::{AccountId, CallReport, Ledger, MeterLayer, call::BoxError};

use crate::support::{Answer, boxed, chat};

/// What the provider answers to a key, and how often it was asked.
#[derive(Debug, Default)]
struct Keys {
    throttled: BTreeMap<&'static str, u64>,
    revoked: Option<&'static str>,
    sent: BTreeMap<String, usize>,
}

struct Stack {
    keys: Arc<Mutex<Keys>>,
    retry: RetryLayer,
    limiter: Limiter,
}

impl Stack {
    fn new(policy: RetryPolicy, limiter: Limiter) -> Self {
        Self {
            keys: Arc::default(),
            retry: RetryLayer::new(policy.seed(7)),
            limiter,
        }
    }

    /// The provider throttles calls with this key, and asks for a wait of so many seconds.
    fn throttle(&self, key: &'static str, seconds: u64) {
        let mut keys = self.keys.lock().expect("unbroken");
        keys.throttled.insert(key, seconds);
    }

    fn shares(&self) -> Vec<usize> {
        let mut keys = self.keys.lock().expect("unbroken");
        let sent = std::mem::take(&mut keys.sent);
        sent.into_values().collect()
    }

    async fn call(&self) -> Result<Answer, BoxError> {
        let provider = service_fn(|request: Request<Full<Bytes>>| {
            let answer = answer(&self.keys, &request);
            async { Ok::<_, BoxError>(answer) }
        });
        let stack = MeterLayer::new(Ledger::default()).layer(provider);
        let stack = AdmissionLayer::new(self.limiter.clone()).layer(stack);
        let stack = self.retry.layer(stack);
        let request = Request::post("https://host.example/v1/chat/completions")
            .header(AUTHORIZATION, "Bearer sk-1")
            .body(Full::from(chat(false).to_string()))?;
        Ok(boxed(stack.oneshot(request).await?))
    }
}

fn answer(keys: &Mutex<Keys>, request: &Request<Full<Bytes>>) -> Response<Full<Bytes>> {
    let key = request.headers()[AUTHORIZATION].to_str().expect("text");
    let key = key.trim_start_matches("Bearer ");
    let mut keys = keys.lock().expect("unbroken");
    *keys.sent.entry(key.to_owned()).or_default() += 1;
    let mut answer = Response::new(Full::<Bytes>::from("{}"));
    if keys.revoked == Some(key) {
        let body =
            r#"{"error":{"code":"invalid_api_key","message":"Incorrect API key provided."}}"#;
        *answer.body_mut() = Full::from(body);
        *answer.status_mut() = StatusCode::UNAUTHORIZED;
    } else if let Some(wait) = keys.throttled.get(key) {
        *answer.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        let wait = wait.to_string().parse().expect("a header");
        answer.headers_mut().insert("retry-after", wait);
    }
    answer
}

fn keyed(name: &str, key: &str) -> Fallback {
    Fallback::new(name).key(key).expect("a key")
}

/// The status, how often the call was sent, and to which target at last: 0 is the caller's own.
fn came_to(answer: &Answer) -> (u16, u32, usize) {
    let report = answer.extensions().get::<CallReport>().expect("a report");
    let target = report.target().map_or(0, |name| {
        let index = ["second", "third"].iter().position(|it| **it == *name);
        index.expect("one of the targets") + 1
    });
    (answer.status().as_u16(), report.sends(), target)
}

fn limiter() -> Limiter {
    Limiter::new(Quota::per_minute(600, 600_000))
}

fn accounts(limiter: &Limiter) -> Vec<String> {
    let snapshot = limiter.snapshot().into_iter();
    let mut accounts: Vec<_> = snapshot.map(|account| account.key.to_string()).collect();
    accounts.sort();
    accounts
}

#[tokio::test(start_paused = true)]
async fn the_second_key_answers_while_the_account_of_the_first_is_closed() {
    let policy = RetryPolicy::default().fallback(keyed("second", "sk-2"));
    let stack = Stack::new(policy, limiter());
    stack.throttle("sk-1", 300);
    let start = Instant::now();
    for attempts in [2, 1, 1] {
        let answer = stack.call().await.expect("an answer");
        assert_eq!(came_to(&answer), (200, attempts, 1));
    }
    // The second account lets a twentieth of a second's calls go in one moment.
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(stack.shares(), [1, 3]);
    let expected = [
        "https://host.example qwen-plus",
        "https://host.example qwen-plus (second)",
    ];
    assert_eq!(accounts(&stack.limiter), expected);
    let snapshot = stack.limiter.snapshot();
    let second = snapshot
        .iter()
        .find(|account| account.key.account() == "second");
    let second = second.expect("its account");
    assert_eq!(
        (second.requests.rate_percent, second.closed_for),
        (100, Duration::ZERO)
    );
}

#[tokio::test(start_paused = true)]
async fn keys_of_one_account_share_its_quota_where_they_say_so() {
    let second = keyed("second", "sk-2").same_account();
    let policy = RetryPolicy::default().fallback(second);
    let stack = Stack::new(policy, limiter());
    stack.throttle("sk-1", 130);
    let start = Instant::now();
    let answer = stack.call().await.expect("an answer");
    assert_eq!(came_to(&answer), (200, 2, 1));
    assert!(
        start.elapsed() >= Duration::from_secs(130),
        "the account is closed"
    );
    assert_eq!(accounts(&stack.limiter), ["https://host.example qwen-plus"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_ten_seconds_here_at_most_and_goes_on_at_once_where_it_would_be_longer() {
    let second = keyed("second", "sk-2").after_wait(Duration::from_secs(10));
    let policy = RetryPolicy::default().fallback(second);
    let stack = Stack::new(policy, limiter());
    stack.throttle("sk-1", 40);
    let start = Instant::now();
    let answer = stack.call().await.expect("an answer");
    assert_eq!(came_to(&answer), (200, 2, 1), "the throttle names 40 s");
    let answer = stack.call().await.expect("an answer");
    assert_eq!(came_to(&answer), (200, 1, 1), "the account predicts them");
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(stack.shares(), [1, 2]);

    tokio::time::sleep(Duration::from_secs(32)).await;
    stack.keys.lock().expect("unbroken").throttled.clear();
    let before = start.elapsed();
    let answer = stack.call().await.expect("an answer");
    assert_eq!(came_to(&answer), (200, 1, 0), "8 s are left");
    let waited = start.elapsed() - before;
    assert!((7..=9).contains(&waited.as_secs()), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn only_the_first_call_finds_out_that_the_provider_throttles_whatever_is_sent() {
    let second = keyed("second", "sk-2").after_retries();
    let policy = RetryPolicy::default().fallback(second);
    let stack = Stack::new(policy, limiter());
    stack.throttle("sk-1", 2);
    let answer = stack.call().await.expect("an answer");
    assert_eq!(
        came_to(&answer),
        (200, 6, 1),
        "five attempts at the first key"
    );
    let start = Instant::now();
    for _ in 0..2 {
        let answer = stack.call().await.expect("an answer");
        assert_eq!(came_to(&answer), (200, 1, 1));
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(stack.shares(), [5, 3]);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let answer = stack.call().await.expect("an answer");
    assert_eq!(came_to(&answer), (200, 2, 1), "the probe is one attempt");
}

/// Three keys with a quota of 60 requests a minute each.
fn three_keys() -> Stack {
    let quota = Quota::per_minute(60, 6_000_000)
        .pacing(Pacing::Window)
        .headroom(0);
    let limiter = Limiter::new(quota);
    let pool = Pool::new()
        .target(keyed("second", "sk-2"))
        .target(keyed("third", "sk-3"))
        .predicted_by(limiter.clone());
    Stack::new(RetryPolicy::default().pool(pool), limiter)
}

#[tokio::test(start_paused = true)]
async fn a_pool_uses_the_quota_of_all_its_keys() {
    let stack = three_keys();
    let start = Instant::now();
    let answers = join_all((0..180).map(|_| stack.call())).await;
    assert!(
        answers
            .iter()
            .all(|answer| came_to(answer.as_ref().expect("an answer")).1 == 1)
    );
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(stack.shares(), [60, 60, 60]);
    let expected = [
        "https://host.example qwen-plus",
        "https://host.example qwen-plus (second)",
        "https://host.example qwen-plus (third)",
    ];
    assert_eq!(accounts(&stack.limiter), expected);
}

#[tokio::test(start_paused = true)]
async fn a_pool_survives_a_key_that_is_revoked() {
    let stack = three_keys();
    stack.keys.lock().expect("unbroken").revoked = Some("sk-2");
    let start = Instant::now();
    let mut answers = Vec::new();
    for _ in 0..120 {
        answers.push(stack.call().await.expect("an answer"));
    }
    assert!(answers.iter().all(|answer| came_to(answer).0 == 200));
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    // One rejection may be the call's own fault: the second in a row leaves the key out.
    assert_eq!(stack.shares(), [60, 2, 60]);
}

#[tokio::test(start_paused = true)]
async fn a_caller_names_its_account_itself() {
    let limiter = limiter();
    let layer = AdmissionLayer::new(limiter.clone());
    let provider = service_fn(|_: Request<Full<Bytes>>| async {
        Ok::<_, BoxError>(Response::new(Full::<Bytes>::from("{}")))
    });
    let mut request = Request::post("https://host.example/v1/chat/completions")
        .body(Full::from(chat(false).to_string()))
        .expect("a request");
    request
        .extensions_mut()
        .insert(AccountId::new("workspace 7"));
    layer
        .layer(provider)
        .oneshot(request)
        .await
        .expect("an answer");
    assert_eq!(
        accounts(&limiter),
        ["https://host.example qwen-plus (workspace 7)"]
    );
}
