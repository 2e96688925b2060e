//! A provider whose answer depends on the key, and what it was sent.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Request, Response, header::AUTHORIZATION};
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, service_fn};
use tower_qwen_retry::{BoxError, Fallback, RetryLayer, RetryPolicy, retry::ResponseBody};
use tower_qwen_tokens::internal::clock::now;

use crate::support::{
    Answer, AnswerBody, Attempts, RequestBody, answer, ok, request, throttled, with_header,
};

pub(crate) type CallResult = Result<Response<ResponseBody<AnswerBody>>, BoxError>;

/// What a key is answered.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reply {
    Ok,
    /// 200 after this time.
    Slow(Duration),
    BadKey,
    Broken,
    /// 429 with `Retry-After`, in seconds.
    Throttled(u64),
    /// The plan of five hours is used up.
    Plan,
    /// An Admission inside rejects the call: it would wait for so long.
    NotSent(Duration),
}

#[derive(Debug, Default)]
struct Log {
    replies: BTreeMap<String, Reply>,
    sent: Vec<(Duration, String)>,
}

/// Clones are the same provider.
#[derive(Debug, Clone)]
pub(crate) struct Provider {
    log: Arc<Mutex<Log>>,
    layer: RetryLayer,
    start: Instant,
}

impl Provider {
    pub(crate) fn new(policy: RetryPolicy) -> Self {
        Self {
            log: Arc::default(),
            layer: RetryLayer::new(policy.seed(7)),
            start: now(),
        }
    }

    /// From now on.
    pub(crate) fn reply(&self, key: &str, reply: Reply) {
        let mut log = self.log.lock().expect("unbroken");
        log.replies.insert(key.to_owned(), reply);
    }

    /// The keys of the requests so far, since the last time.
    pub(crate) fn sent(&self) -> Vec<String> {
        let mut log = self.log.lock().expect("unbroken");
        log.sent.drain(..).map(|(_, key)| key).collect()
    }

    /// The same, with the seconds since the start.
    pub(crate) fn sent_at(&self) -> Vec<(u64, String)> {
        let mut log = self.log.lock().expect("unbroken");
        let sent = log.sent.drain(..);
        sent.map(|(at, key)| (at.as_secs(), key)).collect()
    }

    pub(crate) async fn call(&self) -> CallResult {
        self.call_with("sk-1").await
    }

    pub(crate) async fn call_with(&self, key: &str) -> CallResult {
        let mut request = request();
        let value = format!("Bearer {key}").parse().expect("a header");
        request.headers_mut().insert(AUTHORIZATION, value);
        self.send(request).await
    }

    pub(crate) async fn send(&self, request: Request<RequestBody>) -> CallResult {
        let inner = service_fn(|request: Request<RequestBody>| {
            let provider = self.clone();
            async move { provider.answer(&request).await }
        });
        self.layer.layer(inner).oneshot(request).await
    }

    /// The answer to a key; notes that it was sent.
    fn next_reply(&self, key: String) -> Reply {
        let mut log = self.log.lock().expect("unbroken");
        let reply = log.replies.get(&key).copied().unwrap_or(Reply::Ok);
        if !matches!(reply, Reply::NotSent(_)) {
            log.sent.push((now() - self.start, key));
        }
        reply
    }

    async fn answer(&self, request: &Request<RequestBody>) -> Result<Answer, BoxError> {
        let key = request.headers()[AUTHORIZATION].to_str().expect("text");
        let key = key.trim_start_matches("Bearer ").to_owned();
        let reply = self.next_reply(key);
        if let Reply::NotSent(wait) = reply {
            return admit(request, wait).await;
        }
        Ok(match reply {
            Reply::Ok | Reply::NotSent(_) => ok(),
            Reply::Slow(time) => {
                sleep(time).await;
                ok()
            }
            Reply::BadKey => answer(
                401,
                r#"{"error":{"code":"invalid_api_key","message":"Incorrect API key provided."}}"#,
            ),
            Reply::Broken => crate::support::broken(),
            Reply::Throttled(wait) => with_header(throttled(), "retry-after", &wait.to_string()),
            Reply::Plan => answer(
                429,
                r#"{"error":{"type":"usage_limit_reached","resets_in_seconds":18000}}"#,
            ),
        })
    }
}

/// As an Admission does, whose account lets the call go after this time.
async fn admit(request: &Request<RequestBody>, wait: Duration) -> Result<Answer, BoxError> {
    use tower_qwen_tokens::{NotSent, call::MaxWait};
    let longest = request.extensions().get::<MaxWait>();
    if longest.is_some_and(|&MaxWait(longest)| longest < wait) {
        return Err(NotSent::new(Some(wait)).into());
    }
    sleep(wait).await;
    Ok(ok())
}

pub(crate) fn second() -> Fallback {
    keyed("second", "sk-2")
}

pub(crate) fn third() -> Fallback {
    keyed("third", "sk-3")
}

fn keyed(name: &str, key: &str) -> Fallback {
    Fallback::new(name).key(key).expect("a key")
}

/// The targets of these tests in their order, after the caller's own.
const TARGETS: [&str; 3] = ["second", "third", "smaller"];

/// The status, how often the call was sent, and to which target at last: 0 is the caller's own, 1 the
/// first of [`TARGETS`].
pub(crate) fn came_to(result: &CallResult) -> (u16, u32, usize) {
    let answer = result.as_ref().expect("an answer");
    let attempts = Attempts::of(answer);
    let target = attempts.target.map_or(0, |name| {
        let index = TARGETS.iter().position(|target| **target == *name);
        index.expect("one of the targets") + 1
    });
    (answer.status().as_u16(), attempts.number, target)
}

pub(crate) fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}
