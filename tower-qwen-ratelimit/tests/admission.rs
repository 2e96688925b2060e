//! The layer over a mock service, in paused time.

use std::{
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_qwen_ratelimit::{
    AccountSnapshot, AdmissionLayer, BoxError, Limiter, Pacing, Quota, RejectKind, Rejected,
    admission::ResponseBody,
};
use tower_qwen_tokens::{
    Basis, Call, End, Ledger, MeterLayer, PacedUntil, Report, Usage, UsageSink, Verdict,
    internal::clock,
};
use tower_test::mock;

type Body = Full<Bytes>;
type Mock = mock::Spawn<
    tower_qwen_ratelimit::admission::Admission<mock::Mock<Request<Body>, Response<Body>>>,
>;
type Handle = mock::Handle<Request<Body>, Response<Body>>;

const CHAT: &str = "http://host/compatible-mode/v1/chat/completions";
const PROMPT: &str =
    r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Hello!"}],"max_tokens":100}"#;

fn limiter(requests: u64, tokens: u64) -> Limiter {
    Limiter::new(
        Quota::per_minute(requests, tokens)
            .headroom(0)
            .pacing(Pacing::Window),
    )
}

fn stack(limiter: &Limiter) -> (Mock, Handle) {
    mock::spawn_layer(AdmissionLayer::new(limiter.clone()))
}

fn request() -> Request<Body> {
    Request::post(CHAT).body(Full::from(PROMPT)).unwrap()
}

fn answer(status: StatusCode, body: &'static str) -> Response<Body> {
    Response::builder()
        .status(status)
        .body(Full::from(body))
        .unwrap()
}

fn throttle() -> Response<Body> {
    answer(
        StatusCode::TOO_MANY_REQUESTS,
        r#"{"error":{"code":"insufficient_quota","message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota"}}"#,
    )
}

type Pending = task::Spawn<
    tower_qwen_ratelimit::admission::ResponseFuture<
        mock::Mock<Request<Body>, Response<Body>>,
        Body,
        Body,
    >,
>;

/// Calls the layer up to the point where the inner service has the request.
async fn send(
    service: &mut Mock,
    handle: &mut Handle,
) -> (Pending, Request<Body>, mock::SendResponse<Response<Body>>) {
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut call = task::spawn(service.call(request()));
    assert_pending!(call.poll());
    let (sent, respond) = handle.next_request().await.unwrap();
    (call, sent, respond)
}

fn account(limiter: &Limiter) -> AccountSnapshot {
    limiter.snapshot().remove(0)
}

#[tokio::test(start_paused = true)]
async fn a_call_goes_through_unchanged_and_leaves_its_estimate() {
    let limiter = limiter(10, 10_000);
    let (mut service, mut handle) = stack(&limiter);
    assert_ready_ok!(service.poll_ready());
    let mut answered = task::spawn(service.call(request()));
    assert_pending!(answered.poll());
    handle.allow(1);
    assert_pending!(answered.poll());
    let (sent, respond) = handle.next_request().await.unwrap();
    assert_eq!(sent.uri(), CHAT);
    assert!(sent.extensions().get::<UsageSink>().is_some());
    let call = Call::of(&sent).unwrap().clone();
    assert_eq!(sent.into_body().collect().await.unwrap().to_bytes(), PROMPT);
    assert_eq!(&*call.model_call().unwrap().model, "qwen-plus");
    let reserved = account(&limiter).reserved_tokens;
    assert!((103..130).contains(&reserved), "{reserved}");
    respond.send_response(answer(StatusCode::OK, "hi"));
    let response = assert_ready_ok!(answered.poll());
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "hi"
    );
    drop(answered);
    let state = account(&limiter);
    assert_eq!(
        (state.in_flight, state.settled_tokens),
        (0, reserved),
        "no Meter: the estimate stands"
    );
}

#[tokio::test(start_paused = true)]
async fn the_sink_settles_with_the_true_cost() {
    let limiter = limiter(10, 10_000);
    let (mut service, mut handle) = stack(&limiter);
    let (mut answered, mut sent, respond) = send(&mut service, &mut handle).await;
    let sink = sent.extensions_mut().remove::<UsageSink>().unwrap();
    respond.send_response(answer(StatusCode::OK, ""));
    assert_ready_ok!(answered.poll());
    assert_eq!(
        account(&limiter).in_flight,
        1,
        "settled by the body's end, not by its head"
    );
    sink.report(&Report::reported(Usage::new(12, 30)));
    sink.report(&Report::reported(Usage::new(5_000, 5_000)));
    let state = account(&limiter);
    assert_eq!(
        (state.in_flight, state.settled_tokens, state.tokens.used),
        (0, 42, 42)
    );
}

#[tokio::test(start_paused = true)]
async fn an_output_far_beyond_its_ceiling_is_settled_by_the_answer() {
    let limiter = limiter(10, 10_000);
    let transport = service_fn(|_: Request<Body>| async {
        let body = r#"{"choices":[{"message":{"content":"Three short words"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":900000}}"#;
        let response = Response::builder().header("content-type", "application/json");
        Ok::<_, Infallible>(response.body(Body::from(body)).unwrap())
    });
    let ledger = Ledger::default();
    let metered = MeterLayer::new(ledger.clone()).layer(transport);
    let service = AdmissionLayer::new(limiter.clone()).layer(metered);
    let response = service.oneshot(request()).await.unwrap();
    response.into_body().collect().await.unwrap();
    let total = ledger.snapshot().total;
    let booked = total.input_tokens + total.output_tokens;
    assert!((10..30).contains(&booked), "{booked}");
    assert_eq!(account(&limiter).settled_tokens, booked);
}

#[tokio::test(start_paused = true)]
async fn usage_that_stays_unknown_lets_the_estimate_stand() {
    let limiter = limiter(10, 10_000);
    let (mut service, mut handle) = stack(&limiter);
    let (mut answered, mut sent, respond) = send(&mut service, &mut handle).await;
    let sink = sent.extensions_mut().remove::<UsageSink>().unwrap();
    respond.send_response(answer(StatusCode::OK, ""));
    assert_ready_ok!(answered.poll());
    let reserved = account(&limiter).reserved_tokens;
    let mut report = Report::reported(Usage::default());
    (report.basis, report.end) = (Basis::Unknown, End::Cancelled);
    sink.report(&report);
    let state = account(&limiter);
    assert_eq!((state.settled_tokens, state.reserved_tokens), (reserved, 0));
}

#[tokio::test(start_paused = true)]
async fn a_throttle_gives_tokens_back_and_closes_the_account_for_all() {
    let limiter = limiter(6_000, 1_000_000);
    let (mut service, mut handle) = stack(&limiter);
    let (mut throttled, _, respond) = send(&mut service, &mut handle).await;
    let mut response = throttle();
    response
        .headers_mut()
        .insert("retry-after", "7".parse().unwrap());
    respond.send_response(response);
    let response = assert_ready_ok!(throttled.poll());
    let paced = *response.extensions().get::<PacedUntil>().unwrap();
    assert_eq!(paced.until, clock::now() + Duration::from_secs(7));
    assert!(
        response
            .extensions()
            .get::<Verdict>()
            .unwrap()
            .is_throttle()
    );
    let state = account(&limiter);
    assert_eq!((state.requests.used, state.tokens.used), (1, 0));
    let rates = (state.requests.rate_percent, state.tokens.rate_percent);
    assert_eq!(rates, (100, 100), "the window had room");
    assert!(
        state.tokens.level.is_some(),
        "so the host counts shorter times too, and the quota is spread evenly from now on"
    );

    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut other = task::spawn(service.call(request()));
    assert_pending!(other.poll());
    tokio::time::advance(Duration::from_millis(6_990)).await;
    assert_pending!(other.poll());
    assert_pending!(task::spawn(handle.next_request()).poll());
    // From the end of the pause on one request flows in within 10 ms.
    tokio::time::advance(Duration::from_millis(21)).await;
    assert_pending!(other.poll());
    assert_request_is_there(&mut handle).await;
}

async fn assert_request_is_there(handle: &mut Handle) {
    let mut next = task::spawn(handle.next_request());
    assert!(assert_ready!(next.poll()).is_some());
}

#[tokio::test(start_paused = true)]
async fn an_error_that_is_no_throttle_closes_nothing() {
    let limiter = limiter(10, 10_000);
    let (mut service, mut handle) = stack(&limiter);
    let (mut failed, _, respond) = send(&mut service, &mut handle).await;
    respond.send_response(answer(StatusCode::BAD_REQUEST, "{}"));
    let response = assert_ready_ok!(failed.poll());
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert!(response.extensions().get::<PacedUntil>().is_none());
    let state = account(&limiter);
    assert_eq!((state.tokens.used, state.closed_for), (0, Duration::ZERO));
    assert_eq!(state.tokens.rate_percent, 100);
}

#[tokio::test(start_paused = true)]
async fn rejections_come_before_anything_is_sent() {
    let limiter = limiter(1, 1_000);
    let layer = AdmissionLayer::new(limiter.clone()).max_wait(Duration::from_secs(5));
    let (mut service, mut handle): (Mock, Handle) = mock::spawn_layer(layer);
    let (mut first, _, respond) = send(&mut service, &mut handle).await;
    respond.send_response(answer(StatusCode::OK, ""));
    assert_ready_ok!(first.poll());
    assert_ready_ok!(service.poll_ready());
    let mut second = task::spawn(service.call(request()));
    let error: BoxError = assert_ready!(second.poll()).unwrap_err();
    let rejected = error.downcast_ref::<Rejected>().unwrap();
    assert_eq!(rejected.kind(), RejectKind::MaxWait);
    assert_eq!(account(&limiter).requests.used, 1);
}

#[tokio::test(start_paused = true)]
async fn an_inner_error_comes_through_and_the_estimate_stands() {
    let limiter = limiter(10, 10_000);
    let (mut service, mut handle) = stack(&limiter);
    let (mut failed, sent, respond) = send(&mut service, &mut handle).await;
    respond.send_error("connection reset");
    drop(sent);
    let error = assert_ready!(failed.poll()).unwrap_err();
    assert_eq!(error.to_string(), "connection reset");
    drop(failed);
    let state = account(&limiter);
    assert_eq!((state.in_flight, state.reserved_tokens), (0, 0));
    assert!(state.settled_tokens > 0);
}

#[tokio::test(start_paused = true)]
async fn an_inner_service_that_fails_to_become_ready_costs_nothing() {
    let limiter = limiter(10, 10_000);
    let (mut service, mut handle) = stack(&limiter);
    handle.send_error("closed");
    assert_ready_ok!(service.poll_ready());
    let mut failed = task::spawn(service.call(request()));
    assert!(assert_ready!(failed.poll()).is_err());
    drop(failed);
    let state = account(&limiter);
    assert_eq!(
        (state.requests.used, state.tokens.used, state.in_flight),
        (0, 0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn dropped_at_any_point_nothing_leaks() {
    for polls in 0..4 {
        let limiter = limiter(10, 10_000);
        let (mut service, mut handle) = stack(&limiter);
        handle.allow(0);
        assert_ready_ok!(service.poll_ready());
        let mut call = task::spawn(service.call(request()));
        for poll in 0..polls {
            if poll == 2 {
                handle.allow(1);
            }
            assert_pending!(call.poll());
        }
        if polls == 0 {
            continue;
        }
        assert_eq!(account(&limiter).in_flight, 1, "after {polls} polls");
        drop(call);
        // The mock still holds a request that was sent, and the sink in it.
        let sent = u64::from(polls > 2);
        let state = account(&limiter);
        assert_eq!(
            (state.in_flight, state.requests.used),
            (sent, sent),
            "after {polls} polls"
        );
        drop((handle, service));
        let state = account(&limiter);
        assert_eq!(
            (state.in_flight, state.reserved_tokens),
            (0, 0),
            "after {polls} polls"
        );
        assert_eq!(state.settled_tokens > 0, sent == 1, "after {polls} polls");
    }
}

/// Readiness may hold something scarce: it is taken last, after the wait.
#[tokio::test(start_paused = true)]
async fn a_waiting_call_does_not_hold_the_inner_service() {
    let limiter = limiter(1, 1_000);
    let inner = tower::limit::ConcurrencyLimit::new(
        tower::service_fn(|_: Request<Body>| async {
            Ok::<_, Infallible>(answer(StatusCode::OK, ""))
        }),
        1,
    );
    let mut admitted = AdmissionLayer::new(limiter).layer(inner.clone());
    admitted
        .ready()
        .await
        .unwrap()
        .call(request())
        .await
        .unwrap();
    let mut waiting = task::spawn(admitted.ready().await.unwrap().call(request()));
    assert_pending!(waiting.poll());
    let start = clock::now();
    inner.oneshot(request()).await.unwrap();
    assert_eq!(clock::now(), start);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_model_call_costs_one_request() {
    let limiter = limiter(10, 1_000);
    let (mut service, mut handle) = stack(&limiter);
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let get = Request::get("http://host/api/v1/models")
        .body(Body::default())
        .unwrap();
    let mut call = task::spawn(service.call(get));
    assert_pending!(call.poll());
    assert_request_is_there(&mut handle).await;
    let state = account(&limiter);
    assert_eq!((state.requests.used, state.tokens.used), (1, 0));
    assert_eq!(state.key.model(), "");
}

/// Only then can the layer wrap services that borrow, as reqwest-middleware's `Next<'_>` does.
#[tokio::test(start_paused = true)]
async fn wraps_a_service_that_borrows() {
    let seen = std::sync::Mutex::new(0);
    let inner = tower::service_fn(|request: Request<Body>| {
        let seen = &seen;
        async move {
            *seen.lock().unwrap() += request.body().size_hint_exact();
            Ok::<_, Infallible>(answer(StatusCode::OK, "borrowed"))
        }
    });
    let service = AdmissionLayer::new(limiter(10, 10_000)).layer(inner);
    let response = service.oneshot(request()).await.unwrap();
    let body: ResponseBody<Body> = response.into_body();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "borrowed");
    assert_eq!(*seen.lock().unwrap(), PROMPT.len());
}

trait SizeHintExact {
    fn size_hint_exact(&self) -> usize;
}

impl SizeHintExact for Body {
    fn size_hint_exact(&self) -> usize {
        let hint = http_body::Body::size_hint(self);
        usize::try_from(hint.exact().unwrap()).unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn the_mock_sees_a_ready_contract_kept() {
    let (mut service, mut handle) = stack(&limiter(10, 10_000));
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut call =
        task::spawn(service.call(Request::get("http://host/").body(Body::default()).unwrap()));
    assert_pending!(call.poll());
    let (request, respond) = handle.next_request().await.unwrap();
    assert_eq!(request.method(), "GET");
    respond.send_response(answer(StatusCode::NO_CONTENT, ""));
    assert_eq!(
        assert_ready_ok!(call.poll()).status(),
        StatusCode::NO_CONTENT
    );
}

#[test]
fn types_are_send_and_sync() {
    fn check<T: Send + Sync>() {}
    check::<AdmissionLayer>();
    check::<Limiter>();
    check::<ResponseBody<Body>>();
    check::<Arc<tower_qwen_ratelimit::Reservation>>();
    check::<tower_qwen_ratelimit::Acquire>();
}

#[tokio::test(start_paused = true)]
async fn polled_after_it_was_ready_it_panics() {
    fn assert_panics<F: Future>(mut call: task::Spawn<F>) {
        assert!(catch_unwind(AssertUnwindSafe(|| drop(call.poll()))).is_err());
    }
    let limiter = limiter(4, 1_000);
    let (mut service, mut handle) = stack(&limiter);
    let (mut answered, _, respond) = send(&mut service, &mut handle).await;
    respond.send_response(answer(StatusCode::OK, "hi"));
    drop(assert_ready_ok!(answered.poll()));
    assert_panics(answered);

    let (mut failed, _, respond) = send(&mut service, &mut handle).await;
    respond.send_error("broken");
    assert!(matches!(failed.poll(), Poll::Ready(Err(_))));
    assert_panics(failed);

    let unreadable = Request::post(CHAT).body(Full::from("{")).unwrap();
    let mut unread = task::spawn(service.call(unreadable));
    assert!(matches!(unread.poll(), Poll::Ready(Err(_))));
    assert_panics(unread);

    let large = PROMPT.replace("Hello!", &"Hello! ".repeat(2_000));
    let large = Request::post(CHAT).body(Full::from(large)).unwrap();
    let mut rejected = task::spawn(service.call(large));
    assert!(matches!(rejected.poll(), Poll::Ready(Err(_))));
    assert_panics(rejected);
}
