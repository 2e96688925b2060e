//! Readiness, cancellation, sharing, and the bounds on what is inside.

mod support;

use std::{
    convert::Infallible,
    error::Error,
    fmt,
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{future::join_all, poll};
use http::{Request, Response};
use http_body_util::{Full, combinators::BoxBody};
use support::{Answer, AnswerBody, RequestBody, broken, ms, ok, request, throttled};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_qwen_retry::{
    BoxError, Retry, RetryBudget, RetryLayer, RetryPolicy,
    retry::{ResponseBody, ResponseFuture},
};
use tower_qwen_tokens::{PacedUntil, internal::clock::now};
use tower_test::mock::Mock;

#[test]
fn types_are_send_and_sync_if_the_inner_service_is() {
    fn send<T: Send>() {}
    fn sync<T: Sync + 'static>() {}
    type Inner = Mock<Request<RequestBody>, Answer>;
    send::<ResponseFuture<Inner, RequestBody, AnswerBody>>();
    send::<ResponseBody<AnswerBody>>();
    sync::<ResponseBody<AnswerBody>>();
    send::<Retry<Inner>>();
    sync::<RetryLayer>();
    send::<BoxBody<Bytes, BoxError>>();
}

fn sends<B>(answer: &http::Response<B>) -> u32 {
    let report = answer.extensions().get::<tower_qwen_tokens::CallReport>();
    report.expect("a report").sends()
}

#[tokio::test(start_paused = true)]
async fn ready_when_the_inner_service_is() {
    let (mock, mut handle) = tower_test::mock::pair::<Request<RequestBody>, Answer>();
    let mut service = RetryLayer::new(RetryPolicy::default()).layer(mock);
    handle.allow(0);
    assert!(poll!(pin!(service.ready())).is_pending());
    handle.allow(1);
    assert!(poll!(pin!(service.ready())).is_ready());
    handle.send_error("gone");
    let error = service.ready().await.expect_err("an inner that failed");
    assert!(error.to_string().contains("gone"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_further_attempt_waits_for_readiness() {
    let (mock, mut handle) = tower_test::mock::pair::<Request<RequestBody>, Answer>();
    let mut service = RetryLayer::new(RetryPolicy::default()).layer(mock);
    handle.allow(1);
    let mut call = pin!(service.ready().await.expect("ready").call(request()));
    assert!(poll!(&mut call).is_pending());
    let (_, respond) = handle.next_request().await.expect("the first attempt");
    respond.send_response(throttled());
    assert!(poll!(&mut call).is_pending());
    tokio::time::advance(ms(10_000)).await;
    assert!(poll!(&mut call).is_pending());
    assert!(
        poll!(pin!(handle.next_request())).is_pending(),
        "not ready, not called"
    );
    handle.allow(1);
    assert!(poll!(&mut call).is_pending());
    let (_, respond) = handle.next_request().await.expect("the second attempt");
    respond.send_response(ok());
    assert_eq!(call.await.expect("an answer").status(), 200);
}

/// An inner service whose every step takes one poll more than needed.
#[derive(Clone)]
struct Slow {
    alive: Arc<()>,
    waited: bool,
}

impl Service<Request<RequestBody>> for Slow {
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if std::mem::replace(&mut self.waited, true) {
            return Poll::Ready(Ok(()));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        assert!(
            std::mem::take(&mut self.waited),
            "called before it was ready"
        );
        let alive = Arc::clone(&self.alive);
        Box::pin(async move {
            tokio::task::yield_now().await;
            drop(request);
            let mut answer = throttled();
            answer.extensions_mut().insert(alive);
            Ok(answer)
        })
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_at_any_point_nothing_leaks() {
    let layer = RetryLayer::new(RetryPolicy::default().max_attempts(3).seed(1));
    let mut polls = 0;
    loop {
        let alive = Arc::new(());
        let mut service = layer.layer(Slow {
            alive: Arc::clone(&alive),
            waited: false,
        });
        let mut request = request();
        request.extensions_mut().insert(Arc::clone(&alive));
        let mut call = Box::pin(service.ready().await.expect("ready").call(request));
        let mut done = false;
        for _ in 0..polls {
            done = poll!(&mut call).is_ready();
            if done {
                break;
            }
            tokio::time::advance(ms(20_000)).await;
        }
        assert!(
            done || Arc::strong_count(&alive) > 2,
            "something is held while it runs"
        );
        drop(call);
        drop(service);
        assert_eq!(Arc::strong_count(&alive), 1, "after {polls} polls");
        if done {
            break;
        }
        polls += 1;
    }
    assert!(polls >= 6, "every state was passed: {polls}");
}

#[tokio::test(start_paused = true)]
async fn no_permit_is_held_while_sleeping() {
    let inner = service_fn(|request: Request<RequestBody>| async move {
        let throttle = request.headers().contains_key("x-throttle");
        Ok::<Answer, Infallible>(if throttle { throttled() } else { ok() })
    });
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::default().max_attempts(2)))
        .concurrency_limit(1)
        .service(inner);
    let mut slow = request();
    slow.headers_mut()
        .insert("x-throttle", "1".parse().expect("a header value"));
    let mut slow = pin!(service.clone().oneshot(slow));
    assert!(poll!(&mut slow).is_pending(), "sleeping");
    let start = now();
    let served = service.oneshot(request()).await.expect("an answer");
    assert_eq!(served.status(), 200);
    assert_eq!(now() - start, ms(0));
    assert_eq!(slow.await.expect("an answer").status(), 429);
}

#[tokio::test(start_paused = true)]
async fn the_failed_answer_is_dropped_before_the_sleep() {
    let held = Arc::new(());
    let mark = Arc::clone(&held);
    let inner = service_fn(move |_: Request<RequestBody>| {
        let mut answer = throttled();
        answer.extensions_mut().insert(Arc::clone(&mark));
        async { Ok::<Answer, Infallible>(answer) }
    });
    let mut service = RetryLayer::new(RetryPolicy::default()).layer(inner);
    let mut call = pin!(service.ready().await.expect("ready").call(request()));
    let before = Arc::strong_count(&held);
    assert!(poll!(&mut call).is_pending());
    assert_eq!(Arc::strong_count(&held), before);
}

/// An inner service, future and error that live no longer than what they borrow.
#[derive(Clone)]
struct Borrowed<'a> {
    calls: &'a AtomicU32,
}

struct Failed<'a>(&'a str);

impl From<Failed<'_>> for BoxError {
    fn from(failed: Failed<'_>) -> Self {
        failed.0.into()
    }
}

impl<'a> Service<Request<Full<Bytes>>> for Borrowed<'a> {
    type Response = Response<Full<Bytes>>;
    type Error = Failed<'a>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Failed<'a>>> + Send + 'a>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed<'a>>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        let calls = self.calls;
        Box::pin(async move {
            let status = match calls.fetch_add(1, Ordering::Relaxed) {
                0 => 500,
                1 => 200,
                _ => return Err(Failed("no more")),
            };
            let mut answer = Response::new(Full::default());
            *answer.status_mut() = status.try_into().expect("a status");
            Ok(answer)
        })
    }
}

#[tokio::test(start_paused = true)]
async fn works_around_a_borrowed_service() {
    let layer = RetryLayer::new(RetryPolicy::default());
    let calls = AtomicU32::new(0);
    let service = layer.layer(Borrowed { calls: &calls });
    let answer = service.clone().oneshot(request()).await.expect("an answer");
    assert_eq!((answer.status().as_u16(), sends(&answer)), (200, 2));
    let error = service.oneshot(request()).await.expect_err("no more");
    assert_eq!(error.to_string(), "no more");
}

#[derive(Debug)]
struct NotReady;

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no longer ready")
    }
}

impl Error for NotReady {}

/// Ready once.
#[derive(Clone)]
struct Once(Arc<AtomicBool>);

impl Service<Request<RequestBody>> for Once {
    type Response = Answer;
    type Error = NotReady;
    type Future = std::future::Ready<Result<Answer, NotReady>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NotReady>> {
        let before = self.0.swap(true, Ordering::Relaxed);
        Poll::Ready(if before { Err(NotReady) } else { Ok(()) })
    }

    fn call(&mut self, _: Request<RequestBody>) -> Self::Future {
        std::future::ready(Ok(broken()))
    }
}

#[tokio::test(start_paused = true)]
async fn an_inner_service_that_fails_to_become_ready_ends_the_call() {
    let service = RetryLayer::new(RetryPolicy::default()).layer(Once(Arc::default()));
    let error = service.oneshot(request()).await.expect_err("not ready");
    assert!(error.is::<NotReady>());
}

fn failing(
    calls: &Arc<AtomicU32>,
) -> impl Service<Request<RequestBody>, Response = Answer, Error = Infallible, Future: Send> + Clone
{
    let calls = Arc::clone(calls);
    service_fn(move |_: Request<RequestBody>| {
        calls.fetch_add(1, Ordering::Relaxed);
        async { Ok::<Answer, Infallible>(broken()) }
    })
}

#[tokio::test(start_paused = true)]
async fn clones_and_further_services_share_the_budget() {
    let calls = Arc::new(AtomicU32::new(0));
    let layer = RetryLayer::new(RetryPolicy::default().budget(RetryBudget::new(0, 6)));
    let service = layer.layer(failing(&calls));
    let twin = service.clone();
    let further = layer.clone().layer(failing(&calls));
    let first = service.oneshot(request()).await.expect("an answer");
    assert_eq!(sends(&first), 4);
    for service in [twin, further] {
        let answer = service.oneshot(request()).await.expect("an answer");
        assert_eq!(sends(&answer), 1);
    }
    assert_eq!(calls.load(Ordering::Relaxed), 6);
}

#[tokio::test(start_paused = true)]
async fn an_outage_costs_a_tenth_more_traffic_and_half_the_reserve() {
    let calls = Arc::new(AtomicU32::new(0));
    let service = RetryLayer::new(RetryPolicy::default()).layer(failing(&calls));
    join_all((0..1_000).map(|_| service.clone().oneshot(request()))).await;
    let sent = calls.load(Ordering::Relaxed);
    assert!((1_145..=1_150).contains(&sent), "errors cost two: {sent}");
}

#[tokio::test(start_paused = true)]
async fn a_batch_held_by_admission_needs_no_retry_budget() {
    let calls = AtomicU32::new(0);
    let inner = service_fn(|_: Request<RequestBody>| {
        let mut answer = ok();
        if calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            answer = throttled();
            answer
                .extensions_mut()
                .insert(PacedUntil::new(now() + ms(1_000)));
        }
        async { Ok::<Answer, Infallible>(answer) }
    });
    let policy = RetryPolicy::default().max_attempts(50);
    let budget = RetryBudget::new(20, 100);
    let service = RetryLayer::new(policy.budget(budget.clone())).layer(inner);
    let answers = join_all((0..1_000).map(|_| service.clone().oneshot(request()))).await;
    assert!(
        answers
            .into_iter()
            .all(|answer| answer.expect("an answer").status() == 200)
    );
    assert_eq!(budget.available(), 100);
}
