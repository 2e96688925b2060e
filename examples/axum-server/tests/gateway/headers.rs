use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use axum::body::Body;
use http::{Method, Request, Response, Uri, request::Parts};
use http_body_util::BodyExt;
use mock_qwen::{Config, MockQwen};
use tower::service_fn;

use crate::support::{CHAT, Harness, TestResult, call};

#[tokio::test(start_paused = true)]
async fn a_request_goes_on_as_the_gateways_own() -> TestResult {
    let sent = Arc::new(Mutex::new(None::<Parts>));
    let keep = sent.clone();
    let upstream = service_fn(move |request: Request<Body>| {
        *keep.lock().expect("no panic while held") = Some(request.into_parts().0);
        let answer = Response::builder()
            .header("content-type", "application/json")
            .header("connection", "close, x-internal")
            .header("x-internal", "1")
            .header("x-kept", "1")
            .body(Body::from("{}"))
            .expect("an answer");
        async { Ok::<_, Infallible>(answer) }
    });
    let mock = MockQwen::new(Config::default());
    let flags = ["--upstream-key=sk-secret-upstream"];
    let harness = Harness::before(upstream, mock, &flags)?;

    let mut request = call(&format!("{CHAT}?x=1"), "Hi", false);
    let headers = request.headers_mut();
    for (name, value) in [
        ("host", "gateway"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("x-api-key", "sk-secret-acme"),
        ("accept-encoding", "br"),
        ("x-dashscope-workspace", "w"),
        ("cookie", "session=1"),
        ("x-forwarded-for", "10.0.0.1"),
    ] {
        headers.insert(name, value.parse()?);
    }
    let answer = harness.send(request).await;
    assert!(!answer.headers().contains_key("x-internal"));
    assert!(!answer.headers().contains_key("connection"));
    assert_eq!(answer.headers()["x-kept"], "1");

    let sent = sent.lock().expect("no panic while held").take();
    let sent = sent.ok_or("nothing was sent")?;
    let address = "http://upstream/compatible-mode/v1/chat/completions?x=1";
    assert_eq!(sent.uri, address.parse::<Uri>()?);
    assert_eq!(sent.headers["authorization"], "Bearer sk-secret-upstream");
    assert!(sent.headers["authorization"].is_sensitive());
    assert_eq!(sent.headers["via"], "1.1 axum-server");
    for gone in [
        "host",
        "connection",
        "x-hop",
        "x-api-key",
        "accept-encoding",
        "x-dashscope-workspace",
        "cookie",
        "x-forwarded-for",
    ] {
        assert!(!sent.headers.contains_key(gone), "{gone}");
    }
    Ok(())
}

/// What is left of the gateway's own quota is not the callers', and a key of theirs would be one for all of them there.
#[tokio::test(start_paused = true)]
async fn neither_side_hears_of_what_callers_share() -> TestResult {
    const OF_UPSTREAM: [&str; 8] = [
        "ratelimit",
        "ratelimit-policy",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-limit-input-images",
        "anthropic-ratelimit-tokens-remaining",
        "x-should-retry",
        "x-accel-redirect",
        "x-sendfile",
    ];
    let upstream = service_fn(|request: Request<Body>| {
        assert!(!request.headers().contains_key("idempotency-key"));
        let mut answer = Response::builder().header("content-type", "application/json");
        for name in OF_UPSTREAM {
            answer = answer.header(name, "of-the-upstream");
        }
        let answer = answer.body(Body::from("{}")).expect("an answer");
        async { Ok::<_, Infallible>(answer) }
    });
    let harness = Harness::before(upstream, MockQwen::new(Config::default()), &[])?;
    let mut request = call(CHAT, "Hi", false);
    request
        .headers_mut()
        .insert("idempotency-key", "1".parse()?);
    let answer = harness.send(request).await;
    assert_eq!(answer.status(), 200);
    assert!(
        answer
            .headers()
            .values()
            .all(|value| value != "of-the-upstream"),
        "{answer:?}"
    );
    // The caller's own quota is there.
    assert!(answer.headers().contains_key("ratelimit"), "{answer:?}");
    Ok(())
}

/// Nobody here reads it, and a body may say to an upstream what no line of the list lets through.
#[tokio::test(start_paused = true)]
async fn a_list_of_models_is_asked_for_without_a_body() -> TestResult {
    let sent = Arc::new(Mutex::new(None::<Request<Body>>));
    let keep = sent.clone();
    let upstream = service_fn(move |request: Request<Body>| {
        *keep.lock().expect("no panic while held") = Some(request);
        async { Ok::<_, Infallible>(Response::new(Body::from("{}"))) }
    });
    let harness = Harness::before(upstream, MockQwen::new(Config::default()), &[])?;
    for (name, value) in [
        ("content-length", "8"),
        ("transfer-encoding", "chunked"),
        ("content-encoding", "gzip"),
    ] {
        let mut request = call("/v1/models", "Hi", false);
        *request.method_mut() = Method::GET;
        request.headers_mut().insert(name, value.parse()?);
        assert_eq!(harness.send(request).await.status(), 200, "{name}");
        let sent = sent.lock().expect("no panic while held").take();
        let (parts, body) = sent.ok_or("nothing was sent")?.into_parts();
        assert!(body.collect().await?.to_bytes().is_empty(), "{name}");
        for gone in ["content-type", name] {
            assert!(!parts.headers.contains_key(gone), "{gone}");
        }
    }
    Ok(())
}

/// The gateway reads UTF-8; an upstream that reads the same bytes by another table would read another call.
#[tokio::test(start_paused = true)]
async fn a_call_in_another_charset_is_refused() -> TestResult {
    let harness = Harness::new(Config::default(), &[])?;
    for (kind, status) in [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("application/json;charset=\"UTF-8\"; v=1", 200),
        ("application/json; charset=US-ASCII", 200),
        ("application/json; charset=utf-7", 415),
        ("application/json; v=1; Charset = \"utf-16\"", 415),
        ("application/json; charset=utf-8; charset=latin1", 415),
    ] {
        let mut request = call(CHAT, "Hi", false);
        let headers = request.headers_mut();
        headers.insert("content-type", kind.parse()?);
        let (answer, text) = harness.text(request).await?;
        assert_eq!(answer, status, "{kind} {text}");
        assert_eq!(text.contains("Content-Type"), status == 415, "{text}");
    }
    Ok(())
}
