//! A stack that is called as reqwest is.

use std::{
    future,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures::channel::oneshot;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use reqwest::Body;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_qwen_tokens::{
    Ledger, MeterLayer,
    adapter::reqwest_0_13::{ReqwestFront, ReqwestFrontLayer, ReqwestTransport},
    call::{BoxError, ReadOptions},
    meter::BodyRejection,
};

use crate::support::{answer, body, client, model_answer, serve, text};

#[tokio::test(start_paused = true)]
async fn a_metered_client_answers_as_reqwest_does() {
    let address = serve(async |request| {
        assert_eq!(request.headers()["authorization"], "Bearer sk-secret");
        model_answer()
    })
    .await;
    let ledger = Ledger::default();
    let front = ServiceBuilder::new()
        .layer(ReqwestFrontLayer)
        .layer(MeterLayer::new(ledger.clone()))
        .service(ReqwestTransport::new(client()));
    let url = format!("http://{address}/compatible-mode/v1/chat/completions");
    let request = client()
        .post(&url)
        .bearer_auth("sk-secret")
        .body(r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Hello!"}]}"#)
        .build()
        .expect("a request");
    let answer = front.oneshot(request).await.expect("an answer");
    assert_eq!(answer.url().as_str(), url);
    assert_eq!(answer.remote_addr(), Some(address));
    assert!(answer.text().await.expect("a body").contains("usage"));
    assert_eq!(ledger.snapshot().total.input_tokens, 20);
}

#[tokio::test(start_paused = true)]
async fn requests_stream_up() {
    let (first, first_came) = oneshot::channel();
    let first = Arc::new(Mutex::new(Some(first)));
    let address = serve(move |request: Request<hyper::body::Incoming>| {
        let first = first.lock().expect("no panic").take();
        async move {
            assert_eq!(request.headers()["transfer-encoding"], "chunked");
            let mut body = request.into_body();
            let frame = body.frame().await.expect("a frame").expect("no error");
            let told = first.map(|first| first.send(frame.into_data().expect("data")));
            assert!(told.is_some_and(|told| told.is_ok()), "the first call");
            let rest = body.collect().await.expect("no error").to_bytes();
            assert_eq!(rest, "two");
            answer(200, text("thanks"))
        }
    })
    .await;
    let (frames, up) = body();
    frames.unbounded_send("one").expect("a reader");
    let request = client()
        .put(format!("http://{address}/"))
        .body(Body::wrap(up))
        .build()
        .expect("a request");
    let calling = tokio::spawn(ReqwestFront::new(ReqwestTransport::new(client())).oneshot(request));
    assert_eq!(first_came.await.expect("told"), "one");
    frames.unbounded_send("two").expect("a reader");
    drop(frames);
    let answer = calling.await.expect("no panic").expect("an answer");
    assert_eq!(answer.text().await.expect("a body"), "thanks");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_a_layer_makes_has_the_requests_url() {
    let meter = MeterLayer::new(Ledger::default()).read_options(ReadOptions::default().max_body(4));
    let front = ServiceBuilder::new()
        .layer(ReqwestFrontLayer)
        .layer(meter)
        .service(ReqwestTransport::new(client()));
    // Of unknown length, so that its size shows only when it is too late.
    let (frames, up) = body();
    frames
        .unbounded_send("longer than four bytes")
        .expect("a reader");
    drop(frames);
    let url = "http://host/compatible-mode/v1/chat/completions";
    let request = client().post(url).body(Body::wrap(up)).build();
    let answer = front.oneshot(request.expect("a request")).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer.url().as_str(), url);
    assert!(answer.extensions().get::<BodyRejection>().is_some());
}

#[tokio::test]
async fn a_url_that_is_no_uri_is_refused_before_the_stack() {
    let stack = service_fn(|_: Request<Body>| {
        future::ready(Err::<Response<Full<Bytes>>, BoxError>("called".into()))
    });
    let long = format!("http://host/{}", "a".repeat(70_000));
    let request = client().get(long).build().expect("a request");
    let error = ReqwestFront::new(stack).oneshot(request).await;
    let error = error.expect_err("too long for a URI");
    assert!(
        error
            .downcast_ref::<reqwest::Error>()
            .is_some_and(reqwest::Error::is_builder),
        "{error}"
    );
}

#[tokio::test]
async fn any_body_of_bytes_comes_back() {
    let stack = service_fn(|_: Request<Body>| {
        let answer = Response::new(Full::new(Bytes::from_static(b"whole")));
        future::ready(Ok::<_, reqwest::Error>(answer))
    });
    let request = client().get("http://host/").build().expect("a request");
    let answer = ReqwestFront::new(stack)
        .oneshot(request)
        .await
        .expect("an answer");
    assert_eq!(answer.content_length(), Some(5));
    assert_eq!(answer.bytes().await.expect("a body"), "whole");
}
