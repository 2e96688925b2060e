//! Ten thousand random calls: whatever the provider does and whenever the caller drops the call,
//! nothing leaks, no call is answered twice, and nothing is sent again once content has reached the
//! caller.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use fastrand::Rng;
use futures::poll;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::Full;
use tower::{Layer, Service, ServiceExt};
use tower_qwen_retry::{BoxError, Fallback, Pool, RetryBudget, RetryLayer, RetryPolicy};
use tower_qwen_tokens::{PacedUntil, internal::clock::now};

use crate::support::{RequestBody, ms, request, streaming};

const TEXT: &str =
    "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"finish_reason\":null}]}\n\n";
const ROLE: &str =
    "data: {\"choices\":[{\"delta\":{\"content\":\"\"},\"finish_reason\":null}]}\n\n";
const ERROR: &str =
    "event:error\n:HTTP_STATUS/429\ndata:{\"code\":\"Throttling\",\"message\":\"x\"}\n\n";

/// A provider that does anything.
#[derive(Clone)]
struct Anything {
    rng: Rng,
    shared: Arc<Shared>,
}

struct Shared {
    /// Held by whatever is alive: requests, answers, futures.
    alive: Arc<()>,
    attempts: AtomicU32,
    /// Bytes of content that left the last answer's body.
    content: AtomicU64,
    seed: AtomicU64,
}

/// A body that gives some pieces with pauses between them, then ends, breaks or hangs.
struct Pieces {
    pieces: Vec<Bytes>,
    breaks: bool,
    pause: Option<Pin<Box<tokio::time::Sleep>>>,
    rng: Rng,
    shared: Arc<Shared>,
    _alive: Arc<()>,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        if self.rng.u8(..4) == 0 {
            let pause = ms(self.rng.u64(..1_500));
            self.pause = Some(Box::pin(tokio::time::sleep(pause)));
            return self.poll_frame(cx);
        }
        Poll::Ready(match self.pieces.pop() {
            Some(piece) => {
                let held = piece.len() as u64;
                self.shared.content.fetch_add(held, Ordering::Relaxed);
                Some(Ok(Frame::data(piece)))
            }
            None if std::mem::take(&mut self.breaks) => Some(Err("reset")),
            None => None,
        })
    }
}

impl Anything {
    fn answer(&mut self) -> Result<Response<Pieces>, BoxError> {
        let rng = &mut self.rng;
        let (status, kind) = match rng.u8(..10) {
            0 => return Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into()),
            1 => return Err("unknown".into()),
            2 | 3 => (429, "application/json"),
            4 => (503, "application/json"),
            5 => (403, "application/json"),
            6 => (200, "application/json"),
            _ => (200, "text/event-stream"),
        };
        let all = [TEXT, ROLE, ERROR, "data: [DONE]\n\n", ": x\n\n", "garbage"];
        let text: String = (0..rng.usize(..5))
            .map(|_| all[rng.usize(..all.len())])
            .collect();
        let mut pieces = Vec::new();
        let mut rest = Bytes::from(text);
        while !rest.is_empty() {
            pieces.insert(0, rest.split_to(rng.usize(1..=rest.len())));
        }
        let body = Pieces {
            pieces,
            breaks: rng.u8(..5) == 0,
            pause: None,
            rng: rng.fork(),
            shared: Arc::clone(&self.shared),
            _alive: Arc::clone(&self.shared.alive),
        };
        let mut answer = Response::builder()
            .status(status)
            .header("content-type", kind);
        if rng.u8(..3) == 0 {
            let wait = ["0", "1", "7.5", "-1", "99999999999", "x"][rng.usize(..6)];
            answer = answer.header("retry-after", wait);
        }
        let mut answer = answer.body(body).expect("an answer");
        if rng.bool() {
            let mark = PacedUntil::new(now() + ms(rng.u64(..3_000))).outage(rng.bool());
            answer.extensions_mut().insert(mark);
        }
        Ok(answer)
    }
}

impl Service<Request<RequestBody>> for Anything {
    type Response = Response<Pieces>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Pieces>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let seed = self.shared.seed.fetch_add(1, Ordering::Relaxed);
        self.rng = Rng::with_seed(seed);
        self.shared.attempts.fetch_add(1, Ordering::Relaxed);
        self.shared.content.store(0, Ordering::Relaxed);
        let pause = ms(self.rng.u64(..300));
        let answer = self.answer();
        let alive = Arc::clone(&self.shared.alive);
        Box::pin(async move {
            tokio::time::sleep(pause).await;
            drop((alive, request));
            answer
        })
    }
}

/// One call, left after so many polls at the latest; how often it was sent, and whether it was left
/// before its answer.
async fn schedule(layer: &RetryLayer, seed: u64, leaves_after: u32) -> (u32, bool) {
    let mut rng = Rng::with_seed(seed);
    let shared = Arc::new(Shared {
        alive: Arc::new(()),
        attempts: AtomicU32::new(0),
        content: AtomicU64::new(0),
        seed: AtomicU64::new(rng.u64(..)),
    });
    let provider = Anything {
        rng: rng.fork(),
        shared: Arc::clone(&shared),
    };
    let mut request: Request<Full<Bytes>> = if rng.bool() { request() } else { streaming() };
    request.extensions_mut().insert(Arc::clone(&shared.alive));
    let mut polls = 0;
    let mut answers = 0;
    let mut call = Box::pin(layer.layer(provider).oneshot(request));
    let answer = loop {
        if let Poll::Ready(answer) = poll!(&mut call) {
            answers += 1;
            break Some(answer);
        }
        polls += 1;
        if polls > leaves_after {
            break None;
        }
        tokio::time::advance(Duration::from_millis(rng.u64(1..20_000))).await;
    };
    drop(call);
    let was_left = answer.is_none();
    let attempts = shared.attempts.load(Ordering::Relaxed);
    if let Some(Ok(answer)) = answer {
        let answered = crate::support::Attempts::of(&answer);
        assert_eq!(answered.number, attempts, "seed {seed}");
        assert!(answered.number <= 200, "seed {seed}");
        let mut body = Box::pin(answer.into_body());
        let mut got = 0;
        for _ in 0..leaves_after {
            match poll!(http_body_util::BodyExt::frame(&mut body)) {
                Poll::Ready(Some(Ok(frame))) => {
                    got += frame.data_ref().map_or(0, |data| data.len() as u64)
                }
                Poll::Ready(Some(Err(_))) => {}
                Poll::Ready(None) => {
                    assert_eq!(
                        got,
                        shared.content.load(Ordering::Relaxed),
                        "seed {seed}: every byte"
                    );
                    break;
                }
                Poll::Pending => tokio::time::advance(ms(700)).await,
            }
            let sent = shared.attempts.load(Ordering::Relaxed);
            assert_eq!(sent, attempts, "seed {seed}: sent again after content");
        }
    }
    assert!(answers <= 1);
    assert_eq!(
        Arc::strong_count(&shared.alive),
        1,
        "seed {seed}: something is left"
    );
    (attempts, was_left)
}

/// Layers that remember nothing of targets, that let them rest, and whose targets share the load.
fn layers() -> ([RetryLayer; 3], RetryBudget) {
    let budget = RetryBudget::new(100, 1_000);
    let policy = RetryPolicy::default()
        .budget(budget.clone())
        .fallback(Fallback::new("other").model("qwen-flash").after_retries())
        .seed(1);
    let member = Fallback::new("member").model("qwen-turbo");
    let policies = [
        policy.clone().cool_down(Duration::ZERO),
        policy.clone(),
        policy.pool(Pool::new().target(member)),
    ];
    (policies.map(RetryLayer::new), budget)
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_random_schedules() {
    let (layers, budget) = layers();
    let mut rng = Rng::with_seed(1);
    let (mut most, mut all, mut left) = (0, 0, 0);
    for (seed, layer) in (0..10_000).zip(layers.iter().cycle()) {
        let (attempts, was_left) = schedule(layer, seed, rng.u32(..60)).await;
        assert!(budget.available() <= 1_000);
        most = most.max(attempts);
        all += u64::from(attempts);
        left += u32::from(was_left);
    }
    assert!(
        most > 5,
        "fallbacks and retries held by admission come on top: {most}"
    );
    assert!(all > 15_000, "many are sent again: {all}");
    assert!(
        (500..9_500).contains(&left),
        "some are left, some are not: {left}"
    );
}

/// The same calls, left at their first poll, at their second, and so on.
#[tokio::test(start_paused = true)]
async fn dropped_at_every_await() {
    let (layers, _) = layers();
    let mut longest = 0;
    for (seed, layer) in (0..300).zip(layers.iter().cycle()) {
        for polls in 0.. {
            let (_, was_left) = schedule(layer, seed, polls).await;
            if !was_left {
                longest = longest.max(polls);
                break;
            }
        }
    }
    assert!(longest > 12, "every state was left: {longest}");
}
