//! A client as the transport.

use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use reqwest::Body;
use tower::{Service, ServiceExt};
use tower_qwen_tokens::{adapter::reqwest_0_13::ReqwestTransport, internal::clock::now};

use crate::support::{answer, body, builder, client, nobody, serve, text};

fn request(uri: impl ToString) -> Request<Body> {
    Request::get(uri.to_string())
        .body(Body::default())
        .expect("a valid request")
}

#[tokio::test(start_paused = true)]
async fn the_answer_comes_as_it_is_frame_by_frame() {
    let address = serve(async |_| {
        let (frames, body) = body();
        frames.unbounded_send("one").expect("a reader");
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(60)).await;
            frames.unbounded_send("two").ok();
        });
        answer(418, body)
    })
    .await;
    let transport = ReqwestTransport::build(builder()).expect("a client");
    let answer = transport.oneshot(request(format!("http://{address}/tea")));
    let mut answer = answer.await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::IM_A_TEAPOT);
    assert_eq!(answer.headers()["x-of-server"], "yes");

    let begun = now();
    let frame = answer.frame().await.expect("a frame").expect("no error");
    assert_eq!(frame.into_data().expect("data"), "one");
    assert_eq!(now(), begun);
    let rest = answer.collect().await.expect("no error").to_bytes();
    assert_eq!(rest, "two");
    assert!(now() >= begun + Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn url_after_redirects_and_peer_travel_with_the_answer() {
    let address = serve(async |request| {
        let mut answer = answer(200, text("here"));
        if request.uri().path() == "/old" {
            *answer.status_mut() = StatusCode::FOUND;
            let headers = answer.headers_mut();
            headers.insert("location", "/new".parse().expect("a value"));
        }
        answer
    })
    .await;
    let transport = ReqwestTransport::new(client());
    let answer = transport.oneshot(request(format!("http://{address}/old")));
    let answer = reqwest::Response::from(answer.await.expect("an answer"));
    assert_eq!(answer.url().as_str(), format!("http://{address}/new"));
    assert_eq!(answer.remote_addr(), Some(address));
    assert_eq!(answer.text().await.expect("a body"), "here");
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_the_request_holds() {
    let address = serve(async |_| std::future::pending().await).await;
    let built = client()
        .get(format!("http://{address}/"))
        .timeout(Duration::from_secs(5))
        .build();
    let request = Request::try_from(built.expect("a request")).expect("a URI");
    let error = ReqwestTransport::new(client()).oneshot(request).await;
    assert!(error.expect_err("no answer").is_timeout());
}

#[tokio::test(start_paused = true)]
async fn errors_are_those_of_reqwest() {
    let transport = ReqwestTransport::new(client());
    let call = |uri: String| transport.clone().oneshot(request(uri));
    let error = call(format!("http://{}/", nobody().await)).await;
    assert!(error.expect_err("nobody listens").is_connect());
    let error = call("/relative".to_owned()).await;
    assert!(error.expect_err("no host").is_builder());
    let error = call("ftp://host/".to_owned()).await;
    assert!(error.expect_err("not http").is_builder());
}

#[tokio::test(start_paused = true)]
async fn readiness_is_the_inner_services() {
    let (transport, mut handle) = tower_test::mock::pair::<reqwest::Request, reqwest::Response>();
    let mut transport = ReqwestTransport::new(transport);
    handle.allow(0);
    let mut readying = tokio_test::task::spawn(transport.ready());
    tokio_test::assert_pending!(readying.poll());
    handle.allow(1);
    tokio_test::assert_ready_ok!(readying.poll());
    drop(readying);

    let calling = transport.call(request("http://host/path?q=1"));
    let (sent, send) = handle.next_request().await.expect("a request");
    assert_eq!(sent.url().as_str(), "http://host/path?q=1");
    send.send_response(Response::new("").into());
    assert_eq!(calling.await.expect("an answer").status(), StatusCode::OK);
}
