//! A body that stalls fails; one that flows does not.
#![cfg(feature = "http")]

use std::{convert::Infallible, io, pin::pin, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_qwen_tokens::{
    Ledger, MeterLayer,
    stall_timeout::{ResponseBody, StallTimeout, StallTimeoutLayer, Stalled},
};

const TIMEOUT: Duration = Duration::from_secs(30);

/// A body that brings a frame after each of these seconds, then an error if one is given, then nothing for ever.
fn frames(seconds: &[u64], error: Option<io::Error>) -> impl Body<Data = Bytes, Error = io::Error> {
    let frames = stream::iter(seconds.to_vec()).then(|seconds| async move {
        sleep(Duration::from_secs(seconds)).await;
        Ok(Frame::data(Bytes::from_static(b"x")))
    });
    let error = stream::iter(error.map(Err));
    StreamBody::new(frames.chain(error).chain(stream::pending()))
}

async fn timed<B: Body<Data = Bytes, Error = io::Error>>(body: B) -> Response<ResponseBody<B>> {
    let mut answer = Some(Response::builder().status(StatusCode::ACCEPTED).body(body));
    let service = service_fn(move |()| {
        let answer = answer.take().expect("one call").expect("an answer");
        async { Ok::<_, Infallible>(answer) }
    });
    let mut service = StallTimeoutLayer::new(TIMEOUT).layer(service);
    let service = service.ready().await.expect("ready");
    tower::Service::call(service, ()).await.expect("infallible")
}

#[allow(clippy::disallowed_methods)]
fn now() -> Instant {
    Instant::now()
}

#[tokio::test(start_paused = true)]
async fn a_stall_ends_the_body() {
    for seconds in [&[][..], &[1, 29], &[29, 29, 29]] {
        let answer = timed(frames(seconds, None)).await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        let mut body = pin!(answer.into_body());
        let begun = now();
        for _ in seconds {
            let frame = body.frame().await.expect("a frame").expect("no error");
            assert_eq!(frame.into_data().expect("data"), "x");
        }
        assert!(!body.is_end_stream());
        let error = body.frame().await.expect("a frame").expect_err("stalled");
        let stalled = error.downcast_ref::<Stalled>().expect("typed");
        assert_eq!(stalled.timeout(), TIMEOUT);
        assert_eq!(stalled.to_string(), "no data for 30s");
        let waited = Duration::from_secs(seconds.iter().sum()) + TIMEOUT;
        assert_eq!(begun.elapsed(), waited);
        assert!(body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(0));
        assert!(body.frame().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_not_cut_off() {
    let answer = timed(frames(&[1, 1, 1], None)).await;
    let mut body = pin!(answer.into_body());
    for _ in 0..3 {
        sleep(10 * TIMEOUT).await;
        assert!(body.frame().await.expect("a frame").is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_stall_passes_unchanged() {
    let whole = Full::new(Bytes::from_static(b"abc")).map_err(|never| match never {});
    let answer = timed(whole).await;
    assert_eq!(answer.body().size_hint().exact(), Some(3));
    assert!(!answer.body().is_end_stream());
    let body = answer.into_body().collect().await.expect("no error");
    assert_eq!(body.to_bytes(), "abc");

    let broken = frames(&[1], Some(io::Error::other("reset")));
    let body = timed(broken).await.into_body();
    let error = body.collect().await.expect_err("the inner error");
    assert_eq!(error.to_string(), "reset");
    assert!(error.is::<io::Error>() && !error.is::<Stalled>());
}

#[tokio::test(start_paused = true)]
async fn an_endless_timeout_never_comes() {
    let service = service_fn(|()| async { Ok::<_, Infallible>(Response::new(frames(&[1], None))) });
    let service = StallTimeoutLayer::new(Duration::MAX).layer(service);
    let answer = service.oneshot(()).await.expect("infallible");
    let mut body = pin!(answer.into_body());
    assert!(body.frame().await.expect("a frame").is_ok());
    let day = Duration::from_secs(86_400);
    assert!(tokio::time::timeout(day, body.frame()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_meter_reports_it_as_failed() {
    let ledger = Ledger::default();
    let text = "data: {\"choices\":[{\"delta\":{\"content\":\"Hello\"}}]}\n\n";
    let service = service_fn(|_: Request<Full<Bytes>>| async {
        let frame = stream::iter([Ok::<_, io::Error>(Frame::data(Bytes::from_static(
            text.as_bytes(),
        )))]);
        Response::builder()
            .header("content-type", "text/event-stream")
            .body(StreamBody::new(frame.chain(stream::pending())))
    });
    let service = ServiceBuilder::new()
        .layer(MeterLayer::new(ledger.clone()))
        .layer(StallTimeoutLayer::new(TIMEOUT))
        .service(service);
    let request = Request::post("https://host.example/v1/chat/completions")
        .body(Full::from(
            r#"{"model":"qwen-plus","stream":true,"messages":[]}"#,
        ))
        .expect("a request");
    let answer = service.oneshot(request).await.expect("an answer");
    let error = answer.into_body().collect().await.expect_err("stalled");
    assert!(error.is::<Stalled>());
    let total = ledger.snapshot().total;
    assert_eq!((total.failed, total.cancelled, total.estimated), (1, 0, 1));
    assert_eq!(total.output_tokens, 2);
}

#[test]
fn the_types_travel() {
    fn travels<T: Send + Sync + 'static>() {}
    fn copies<T: Copy>() {}
    travels::<ResponseBody<Full<Bytes>>>();
    travels::<StallTimeout<()>>();
    copies::<StallTimeoutLayer>();
}
