use std::{
    convert::Infallible,
    future::{Ready, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt, Full, StreamBody};
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_qwen_ratelimit::{
    EnforceLayer, KeyOf, Limiter, Quota,
    enforce::{Enforce, ResponseBody, ResponseFuture},
};
use tower_qwen_tokens::{
    Call, UsageSink,
    call::{ReadCall, ReadOptions},
    meter::BodyRejection,
};
use tower_test::mock;

use crate::support::{Body, CHAT, account, chat, layer, limiter, send, server};

type Mock = mock::Mock<Request<Body>, Response<Body>>;

type Handle = mock::Handle<Request<Body>, Response<Body>>;

fn stack(limiter: &Limiter) -> (mock::Spawn<Enforce<Mock>>, Handle) {
    mock::spawn_layer(layer(limiter))
}

/// A body that comes in two parts, the second one when it is told to.
struct Slow {
    first: Option<Bytes>,
    gate: tokio::sync::oneshot::Receiver<Result<Bytes, &'static str>>,
    done: bool,
}

impl From<Bytes> for Slow {
    fn from(bytes: Bytes) -> Self {
        let (send, gate) = tokio::sync::oneshot::channel();
        send.send(Ok(bytes)).unwrap();
        Self {
            first: None,
            gate,
            done: false,
        }
    }
}

impl http_body::Body for Slow {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if self.done {
            return Poll::Ready(None);
        }
        let rest = std::task::ready!(Pin::new(&mut self.gate).poll(cx)).unwrap();
        self.done = true;
        Poll::Ready(Some(rest.map(Frame::data)))
    }
}

#[tokio::test(start_paused = true)]
async fn readiness_is_the_inner_services() {
    let (mut service, mut handle) = stack(&limiter(9, 9_000));
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut call = task::spawn(service.call(chat()));
    assert_pending!(call.poll());
    let (request, respond) = handle.next_request().await.unwrap();
    assert!(request.extensions().get::<UsageSink>().is_some());
    assert!(Call::of(&request).is_some());
    respond.send_response(Response::new(Body::from("hi")));
    let answer = assert_ready_ok!(call.poll());
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "hi");
}

#[tokio::test(start_paused = true)]
async fn an_inner_service_that_is_not_ready_fails_as_it_does() {
    let (mut service, mut handle) = stack(&limiter(9, 9_000));
    handle.send_error("down");
    assert_eq!(assert_ready_err!(service.poll_ready()).to_string(), "down");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_read_is_sent_at_once() {
    let (mut service, mut handle) = stack(&limiter(9, 9_000));
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let read = ReadCall::new(chat(), &ReadOptions::default())
        .await
        .unwrap();
    let _unpolled = service.call(read);
    let mut next = task::spawn(handle.next_request());
    assert!(next.poll().is_ready(), "without a poll of the future");
}

#[tokio::test(start_paused = true)]
async fn the_inner_services_error_is_passed_on_and_costs_the_prompt() {
    let limiter = limiter(9, 9_000);
    let (mut service, mut handle) = stack(&limiter);
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut call = task::spawn(service.call(chat()));
    assert_pending!(call.poll());
    let (_, respond) = handle.next_request().await.unwrap();
    respond.send_error("broken");
    assert_eq!(assert_ready_err!(call.poll()).to_string(), "broken");
    let account = account(&limiter);
    assert!((3..30).contains(&account.tokens.used));
    assert_eq!((account.requests.used, account.in_flight), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn dropped_before_the_send_nothing_is_charged() {
    let limiter = limiter(9, 9_000);
    let inner =
        service_fn(|_: Request<Slow>| ready(Ok::<_, Infallible>(Response::new(Body::default()))));
    let mut server = layer(&limiter).layer(inner);
    let (_open, gate) = tokio::sync::oneshot::channel();
    let body = Slow {
        first: Some(Bytes::from_static(b"{")),
        gate,
        done: false,
    };
    let unpolled = server.call(Request::post(CHAT).body(Slow::from(Bytes::new())).unwrap());
    drop(unpolled);
    let mut reading = task::spawn(server.call(Request::post(CHAT).body(body).unwrap()));
    assert_pending!(reading.poll());
    drop(reading);
    assert!(limiter.snapshot().is_empty());
}

#[tokio::test(start_paused = true)]
async fn dropped_after_the_send_the_estimate_stands() {
    let limiter = limiter(9, 9_000);
    let (mut service, mut handle) = stack(&limiter);
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut call = task::spawn(service.call(chat()));
    assert_pending!(call.poll());
    let sent = handle.next_request().await.unwrap();
    assert_eq!(account(&limiter).in_flight, 1);
    drop(call);
    drop(sent);
    let account = account(&limiter);
    assert_eq!((account.in_flight, account.requests.used), (0, 1));
    assert!((103..130).contains(&account.settled_tokens));
}

#[tokio::test(start_paused = true)]
async fn bodies_that_break_off_or_grow_too_long_are_answered() {
    let inner =
        service_fn(|_: Request<Slow>| ready(Ok::<_, Infallible>(Response::new(Body::default()))));
    let limiter = limiter(9, 9_000);
    let layer = layer(&limiter).read_options(ReadOptions::default().max_body(50));
    let rows: [(Result<Bytes, &'static str>, StatusCode, BodyRejection); 2] = [
        (Err("reset"), StatusCode::BAD_REQUEST, BodyRejection::Body),
        (
            Ok(Bytes::from(vec![b'x'; 60])),
            StatusCode::PAYLOAD_TOO_LARGE,
            BodyRejection::TooLarge { limit: 50 },
        ),
    ];
    for (rest, status, reason) in rows {
        let (open, gate) = tokio::sync::oneshot::channel();
        let body = Slow {
            first: Some(Bytes::from_static(b"{")),
            gate,
            done: false,
        };
        let server = layer.layer(inner);
        let mut call = task::spawn(server.oneshot(Request::post(CHAT).body(body).unwrap()));
        assert_pending!(call.poll());
        open.send(rest).unwrap();
        let answer = assert_ready_ok!(call.poll());
        assert_eq!(answer.status(), status);
        assert_eq!(answer.extensions().get(), Some(&reason));
    }
    assert_eq!(layer.counts().unread, 2);
    assert!(limiter.snapshot().is_empty(), "nothing was charged");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_callers_at_once_get_what_there_is() {
    let limiter = limiter(300, 1_000_000);
    let server = server(&layer(&limiter));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..1_000 {
        let server = server.clone();
        callers.spawn(async move { send(&server, chat()).await.status() });
    }
    let statuses = callers.join_all().await;
    let admitted = statuses.iter().filter(|status| status.is_success()).count();
    assert_eq!((statuses.len(), admitted), (1_000, 300));
}

#[test]
fn threads_share_neither_too_much_nor_too_little() {
    // So long a window that nothing comes back while the test runs.
    let quota =
        Quota::per_minute(20_000, 50_000).window(std::time::Duration::from_secs(10 * 365 * 86_400));
    let limiter = Limiter::new(quota);
    let layer = layer(&limiter);
    let body = r#"{"model":"text-embedding-v4","input":"one two three four five"}"#;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let server = server(&layer);
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .build()
                    .unwrap();
                for _ in 0..2_500 {
                    let request = crate::support::request("/v1/embeddings", body);
                    let answer = runtime.block_on(send(&server, request));
                    assert!(matches!(answer.status().as_u16(), 200 | 429));
                }
            });
        }
    });
    let account = account(&limiter);
    let counts = layer.counts();
    assert_eq!(counts.admitted + counts.tokens, 10_000);
    let cost = account.tokens.used / counts.admitted;
    assert_eq!(
        account.tokens.used,
        counts.admitted * cost,
        "each as much as the others"
    );
    assert!(account.tokens.used <= 50_000 && account.tokens.used + cost > 50_000);
    assert_eq!(
        account.requests.used, counts.admitted,
        "no rejection took one"
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_goes_through_with_all_its_frames() {
    let handler = service_fn(|_: Request<Body>| async {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-end", "1".parse().unwrap());
        let frames = [
            Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"one"))),
            Ok(Frame::data(Bytes::from_static(b"two"))),
            Ok(Frame::trailers(trailers)),
        ];
        let stream = StreamBody::new(tokio_stream(frames));
        Ok::<_, Infallible>(Response::new(stream))
    });
    let answer = layer(&limiter(9, 9_000))
        .layer(handler)
        .oneshot(chat())
        .await
        .unwrap();
    let collected = answer.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-end"], "1");
    assert_eq!(collected.to_bytes(), "onetwo");
}

fn tokio_stream<T: Unpin>(
    items: impl IntoIterator<Item = T>,
) -> impl futures_util::Stream<Item = T> {
    futures_util::stream::iter(items)
}

#[tokio::test(start_paused = true)]
async fn sizes_and_ends_are_the_bodies_own() {
    let limiter = limiter(1, 9_000);
    let server = server(&layer(&limiter));
    let admitted = send(&server, chat()).await.into_body();
    assert_eq!(
        admitted.size_hint().exact(),
        SizeHint::with_exact(2).exact()
    );
    assert!(!admitted.is_end_stream());
    let mut rejected = send(&server, chat()).await.into_body();
    let length = rejected.size_hint().exact().unwrap();
    assert!(!rejected.is_end_stream());
    let data = rejected
        .frame()
        .await
        .unwrap()
        .unwrap()
        .into_data()
        .unwrap();
    assert_eq!(data.len() as u64, length);
    assert!(rejected.is_end_stream() && rejected.frame().await.is_none());
    assert_eq!(rejected.size_hint().exact(), Some(0));
}

#[tokio::test(start_paused = true)]
async fn wraps_what_is_borrowed_and_shares_what_is_cloned() {
    let limiter = limiter(2, 9_000);
    let layer = layer(&limiter);
    let text = String::from("borrowed");
    let handler = service_fn(|_: Request<Body>| {
        ready(Ok::<_, Infallible>(Response::new(Body::from(text.clone()))))
    });
    for expected in [200, 200, 429] {
        let server = layer.clone().layer(handler);
        let mut clone = server.clone();
        let answer = ServiceExt::ready(&mut clone)
            .await
            .unwrap()
            .call(chat())
            .await
            .unwrap();
        assert_eq!(answer.status(), expected);
    }
}

#[test]
fn types_are_what_servers_need() {
    fn is_service<T: Send + Sync + Clone + 'static>() {}
    fn is_future<T: Send + 'static>() {}
    fn is_body<T: Send + Sync + Unpin + 'static>() {}
    type Answer = Ready<Result<Response<Body>, Infallible>>;
    type Inner = tower::util::ServiceFn<fn(Request<Body>) -> Answer>;
    is_service::<EnforceLayer>();
    is_service::<Enforce<Inner>>();
    is_service::<KeyOf>();
    is_future::<ResponseFuture<Inner, Body>>();
    is_body::<ResponseBody<Full<Bytes>>>();
}

#[tokio::test(start_paused = true)]
async fn polled_after_it_was_ready_it_panics() {
    let limiter = limiter(1, 9_000);
    let server = server(&layer(&limiter));
    for expected in [200, 429] {
        let mut call = task::spawn(server.clone().call(chat()));
        assert_eq!(assert_ready_ok!(call.poll()).status(), expected);
        let again = catch_unwind(AssertUnwindSafe(|| call.poll()));
        assert!(again.is_err(), "{expected}");
    }
}
