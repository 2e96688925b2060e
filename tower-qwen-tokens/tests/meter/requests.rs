//! What the Meter makes of requests, and of calls that bring no answer.

use std::{
    cell::Cell,
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_qwen_tokens::{
    Basis, Call, Ledger, MeterLayer, Report, UnknownReason, UsageSink,
    call::{ReadOptions, UnbufferedBody},
    ledger::{Labels, Tenant},
    meter::{BodyRejection, Meter, ResponseBody},
};
use tower_test::mock;

use crate::support::{
    CHAT, PROMPT, Recorder, STREAM, Script, Step, WHOLE, json, read, stream, unread,
};

type Handle = mock::Handle<Request<Full<Bytes>>, Response<Script>>;
type Mock = mock::Mock<Request<Full<Bytes>>, Response<Script>>;

fn spawn(ledger: &Ledger) -> (mock::Spawn<Meter<Mock>>, Handle) {
    let ledger = ledger.clone();
    mock::spawn_with(move |inner| MeterLayer::new(ledger.clone()).layer(inner))
}

#[tokio::test]
async fn readiness_is_the_inner_ones() {
    let (mut service, mut handle) = spawn(&Ledger::default());
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    handle.send_error("gone");
    assert!(assert_ready!(service.poll_ready()).is_err());
}

#[tokio::test]
async fn a_call_that_was_read_is_sent_at_once() {
    let (mut service, mut handle) = spawn(&Ledger::default());
    assert_ready_ok!(service.poll_ready());
    let (request, _) = read().await;
    let _unpolled = service.call(request);
    let mut next = task::spawn(handle.next_request());
    assert!(assert_ready!(next.poll()).is_some());
}

#[tokio::test]
async fn a_call_that_was_not_read_is_read_and_sent_with_the_ready_service() {
    let (mut service, mut handle) = spawn(&Ledger::default());
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let (request, recorder) = unread();
    let mut future = task::spawn(service.call(request));
    assert_pending!(future.poll());
    let (request, respond) = handle.next_request().await.expect("sent");
    assert!(Call::of(&request).is_some_and(|call| call.model_call().is_some()));
    assert!(
        request.extensions().get::<UsageSink>().is_none(),
        "the sink is taken out"
    );
    assert_eq!(
        request
            .into_body()
            .collect()
            .await
            .expect("infallible")
            .to_bytes(),
        PROMPT
    );
    respond.send_response(json(Script::text(WHOLE).announcing()));
    let answer = assert_ready!(future.poll()).expect("an answer");
    answer.into_body().collect().await.expect("no error");
    assert_eq!(recorder.report().usage.total(), Some(3123));
}

#[tokio::test]
#[should_panic(expected = "service not ready")]
async fn a_call_without_readiness_panics_as_the_inner_does() {
    let (mut service, mut handle) = spawn(&Ledger::default());
    handle.allow(0);
    let (request, _) = read().await;
    drop(service.call(request));
}

#[tokio::test]
async fn a_transport_error_is_booked_and_the_estimate_stands() {
    let ledger = Ledger::default();
    let (mut service, mut handle) = spawn(&ledger);
    assert_ready_ok!(service.poll_ready());
    let (request, recorder) = read().await;
    let mut future = task::spawn(service.call(request));
    let (_, respond) = handle.next_request().await.expect("sent");
    respond.send_error("connection reset");
    let error = assert_ready!(future.poll()).expect_err("the inner error");
    assert_eq!(error.to_string(), "connection reset");
    drop(future);
    assert!(recorder.reports().is_empty());
    assert_eq!(Arc::strong_count(&recorder), 1, "the sink is dropped");
    let total = ledger.snapshot().models["qwen-plus"].clone();
    assert_eq!(
        (total.calls, total.failed, total.cancelled, total.unknown),
        (1, 1, 0, 1)
    );
}

#[tokio::test]
async fn a_call_dropped_before_its_answer_is_booked_and_the_estimate_stands() {
    let ledger = Ledger::default();
    let (mut service, mut handle) = spawn(&ledger);
    assert_ready_ok!(service.poll_ready());
    let (request, recorder) = read().await;
    let mut future = task::spawn(service.call(request));
    let _sent = handle.next_request().await.expect("sent");
    assert_pending!(future.poll());
    drop(future);
    assert!(recorder.reports().is_empty());
    assert_eq!(Arc::strong_count(&recorder), 1, "the sink is dropped");
    let total = ledger.snapshot().total;
    assert_eq!((total.calls, total.failed, total.cancelled), (1, 0, 1));
    assert_eq!((total.estimated, total.output_tokens), (1, 0));
    assert!(total.input_tokens > 0, "the prompt went out");
}

fn scripted(steps: impl IntoIterator<Item = Step>) -> (Request<Script>, Arc<Recorder>) {
    let (mut request, recorder) = unread::<Script>();
    *request.body_mut() = Script::of(steps);
    (request, recorder)
}

/// A service that must not be reached.
fn nowhere<B>() -> impl Service<
    Request<B>,
    Response = Response<Script>,
    Error = Infallible,
    Future = Ready<Result<Response<Script>, Infallible>>,
> + Clone {
    service_fn(|_: Request<B>| -> Ready<Result<Response<Script>, Infallible>> { panic!("sent") })
}

#[tokio::test]
async fn a_call_dropped_while_it_is_read_leaves_no_trace() {
    let ledger = Ledger::default();
    let (request, recorder) = scripted([Step::data("{"), Step::Wait, Step::data("}")]);
    let mut service = MeterLayer::new(ledger.clone()).layer(nowhere());
    let mut future = task::spawn(service.call(request));
    assert_pending!(future.poll());
    drop(future);
    assert!(recorder.reports().is_empty());
    assert_eq!(ledger.snapshot().total.calls, 0);
}

#[tokio::test]
async fn a_request_that_cannot_be_read_is_answered_here() {
    let long = "x".repeat(65);
    for (steps, status) in [
        (
            vec![Step::data("{\"model\":"), Step::Fail],
            StatusCode::BAD_REQUEST,
        ),
        (
            vec![Step::Wait, Step::data(&long[..40]), Step::data(&long[40..])],
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
        (vec![Step::data("no JSON")], StatusCode::BAD_REQUEST),
    ] {
        let ledger = Ledger::default();
        let (mut request, recorder) = scripted(steps);
        request.body_mut().announces_end = true;
        let request = request.map(Lengthless);
        let layer =
            MeterLayer::new(ledger.clone()).read_options(ReadOptions::default().max_body(64));
        let answer = layer
            .layer(nowhere())
            .oneshot(request)
            .await
            .expect("answered");
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers()["content-length"], "0");
        let reason = answer
            .extensions()
            .get::<BodyRejection>()
            .expect("the reason");
        let expected = match reason {
            BodyRejection::Body | BodyRejection::Parse(_) => StatusCode::BAD_REQUEST,
            BodyRejection::TooLarge { limit: 64 } => StatusCode::PAYLOAD_TOO_LARGE,
            other => panic!("{other}"),
        };
        assert_eq!(expected, status);
        assert!(answer.body().is_end_stream());
        assert_eq!(answer.body().size_hint().exact(), Some(0));
        assert!(
            answer
                .into_body()
                .collect()
                .await
                .expect("no error")
                .to_bytes()
                .is_empty()
        );
        assert!(recorder.reports().is_empty());
        assert_eq!(ledger.snapshot().total.calls, 0);
    }
}

/// Hides the length of a body.
struct Lengthless(Script);

impl From<Bytes> for Lengthless {
    fn from(bytes: Bytes) -> Self {
        Self(bytes.into())
    }
}

impl Body for Lengthless {
    type Data = Bytes;
    type Error = crate::support::Broken;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        std::pin::Pin::new(&mut self.0).poll_frame(cx)
    }
}

#[tokio::test]
async fn what_is_no_model_call_passes_unmetered() {
    let ledger = Ledger::default();
    let service =
        service_fn(|_: Request<Full<Bytes>>| ready(Ok::<_, Infallible>(json(Script::text(WHOLE)))));
    let service = MeterLayer::new(ledger.clone()).layer(service);
    for (method, uri) in [
        (Method::GET, CHAT),
        (
            Method::POST,
            "https://host.example/compatible-mode/v1/files",
        ),
    ] {
        let (mut request, recorder) = unread();
        *request.method_mut() = method;
        *request.uri_mut() = uri.parse().expect("a URI");
        let answer = service.clone().oneshot(request).await.expect("infallible");
        assert_eq!(
            answer
                .into_body()
                .collect()
                .await
                .expect("no error")
                .to_bytes(),
            WHOLE
        );
        assert!(recorder.reports().is_empty());
        assert_eq!(Arc::strong_count(&recorder), 1, "the sink is dropped");
    }
    assert_eq!(ledger.snapshot().total.calls, 0);
}

/// What is reported and booked of a call whose body nobody reads.
async fn unread_call(uri: &str, answer: Response<Script>) -> (Vec<Report>, Ledger) {
    let ledger = Ledger::default();
    let (mut request, recorder) = unread::<Full<Bytes>>();
    request.extensions_mut().insert(UnbufferedBody);
    *request.uri_mut() = uri.parse().expect("a URI");
    let service = service_fn(move |_: Request<Full<Bytes>>| {
        let answer = answer.clone();
        ready(Ok::<_, Infallible>(answer))
    });
    let service = MeterLayer::new(ledger.clone()).layer(service);
    let answer = service.oneshot(request).await.expect("infallible");
    answer.into_body().collect().await.expect("no error");
    (recorder.reports(), ledger)
}

#[tokio::test]
async fn an_unread_call_is_metered_as_far_as_its_answer_tells() {
    let (reports, ledger) = unread_call(CHAT, json(Script::text(WHOLE))).await;
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].usage.total(), Some(3123));
    assert_eq!(reports[0].basis, Basis::Reported);
    let models = ledger.snapshot().models;
    assert_eq!(models["qwen-plus"].input_tokens, 3019);

    let body = include_str!("../fixtures/compat_without_usage.sse");
    let (reports, ledger) = unread_call(CHAT, stream(Script::text(body))).await;
    assert_eq!(reports[0].basis, Basis::Estimated);
    assert_eq!(
        (
            reports[0].usage.input_tokens,
            reports[0].usage.output_tokens
        ),
        (None, Some(4)),
        "of the prompt nothing is known"
    );
    assert_eq!(ledger.snapshot().total.estimated, 1);

    let (reports, ledger) = unread_call(CHAT, json(Script::text("{}"))).await;
    assert_eq!(reports[0].unknown, Some(UnknownReason::NotStated));
    assert_eq!(ledger.snapshot().models[""].unknown, 1);

    let elsewhere = "https://host.example/compatible-mode/v1/files";
    let (reports, ledger) = unread_call(elsewhere, json(Script::text(WHOLE))).await;
    assert!(reports.is_empty());
    assert_eq!(ledger.snapshot().total.calls, 0);
}

#[tokio::test]
async fn a_request_without_a_model_is_booked_under_the_answers() {
    let (mut request, recorder) = unread::<Full<Bytes>>();
    *request.body_mut() = Full::from(r#"{"messages":[]}"#);
    let ledger = Ledger::default();
    let service =
        service_fn(|_: Request<Full<Bytes>>| ready(Ok::<_, Infallible>(json(Script::text(WHOLE)))));
    let service = MeterLayer::new(ledger.clone()).layer(service);
    let answer = service.oneshot(request).await.expect("infallible");
    answer.into_body().collect().await.expect("no error");
    assert_eq!(recorder.report().basis, Basis::Reported);
    assert_eq!(ledger.snapshot().models["qwen-plus"].calls, 1);
}

#[tokio::test]
async fn every_attempt_is_booked_for_its_tenant_and_labels() {
    let ledger = Ledger::default();
    let service = service_fn(|request: Request<Full<Bytes>>| {
        ready(if request.headers().contains_key("fail") {
            Err("connection reset")
        } else {
            Ok(json(Script::text(WHOLE)))
        })
    });
    let service = MeterLayer::new(ledger.clone()).layer(service);
    for is_broken in [false, true] {
        let (mut request, _) = unread::<Full<Bytes>>();
        request.extensions_mut().insert(Tenant::from("acme"));
        let labels = Labels::new().with("feature", "search");
        request.extensions_mut().insert(labels);
        if is_broken {
            let yes = "yes".parse().expect("a value");
            request.headers_mut().insert("fail", yes);
        }
        let answer = service.clone().oneshot(request).await;
        assert_eq!(answer.is_err(), is_broken);
        if let Ok(answer) = answer {
            answer.into_body().collect().await.expect("no error");
        }
    }
    let (request, _) = unread::<Full<Bytes>>();
    let answer = service.oneshot(request).await.expect("an answer");
    answer.into_body().collect().await.expect("no error");
    let snapshot = ledger.snapshot();
    assert_eq!(snapshot.total.calls, 3);
    for booked in [
        &snapshot.tenants["acme"],
        &snapshot.labels["feature"]["search"],
    ] {
        assert_eq!((booked.calls, booked.failed), (2, 1));
        assert_eq!(booked.input_tokens, 3019);
    }
}

#[tokio::test]
async fn every_attempt_counts_and_the_sums_agree() {
    let ledger = Ledger::default();
    let service = service_fn(|_: Request<Full<Bytes>>| {
        ready(Ok::<_, Infallible>(stream(Script::text(STREAM))))
    });
    let service = MeterLayer::new(ledger.clone()).layer(service);
    for _ in 0..5 {
        let (request, recorder) = unread();
        let answer = service.clone().oneshot(request).await.expect("infallible");
        answer.into_body().collect().await.expect("no error");
        assert_eq!(recorder.report().usage.total(), Some(39));
    }
    let snapshot = ledger.snapshot();
    let plus = &snapshot.models["qwen-plus"];
    assert_eq!(
        (plus.calls, plus.input_tokens, plus.output_tokens),
        (5, 110, 85)
    );
    assert_eq!(snapshot.total, *plus);
}

/// A service that borrows, with a future that borrows: neither is `'static` nor `Send`.
#[derive(Clone)]
struct Borrowing<'a>(&'a Cell<u32>);

impl<'a> Service<Request<Full<Bytes>>> for Borrowing<'a> {
    type Response = Response<Full<Bytes>>;
    type Error = &'a str;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, &'a str>> + 'a>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        let calls = self.0;
        Box::pin(async move {
            calls.set(calls.get() + 1);
            Ok(json(Full::from(WHOLE)))
        })
    }
}

#[tokio::test]
async fn a_borrowed_service_is_metered_as_well() {
    let calls = Cell::new(0);
    let ledger = Ledger::default();
    let layer = MeterLayer::new(ledger.clone());
    let (request, recorder) = unread();
    let answer = layer
        .layer(Borrowing(&calls))
        .oneshot(request)
        .await
        .expect("an answer");
    answer.into_body().collect().await.expect("infallible");
    assert_eq!(calls.get(), 1);
    assert_eq!(recorder.report().usage.total(), Some(3123));
}

#[test]
fn the_types_travel() {
    fn travels<T: Send + Sync + 'static>() {}
    fn clones<T: Clone>() {}
    fn moves<T: Unpin>() {}
    fn sends<T: Send>(_: &T) {}
    travels::<ResponseBody<Script>>();
    travels::<Meter<Mock>>();
    clones::<MeterLayer>();
    moves::<ResponseBody<Script>>();
    let mut service = MeterLayer::new(Ledger::default()).layer(nowhere::<Full<Bytes>>());
    let (request, _) = unread();
    sends(&service.call(request));
}
