//! A stack as a middleware: what passes through it unchanged, and what its errors become.

use std::{
    error::Error as _,
    fmt,
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures::channel::oneshot;
use http::{Extensions, Request, StatusCode};
use http_body_util::BodyExt;
use reqwest::Body;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error, Middleware, Next};
use tower::{
    ServiceBuilder, layer::util::Identity, limit::GlobalConcurrencyLimitLayer,
    timeout::TimeoutLayer, util::MapRequestLayer,
};
use tower_qwen_tokens::{
    Ledger, MeterLayer,
    adapter::reqwest_middleware_0_5::{LayerError, TowerMiddleware},
    call::ReadOptions,
    ledger::Tenant,
    meter::BodyRejection,
};

use crate::support::{answer, body, client, model_answer, nobody, serve};

fn with(middleware: impl Middleware) -> ClientWithMiddleware {
    ClientBuilder::new(client()).with(middleware).build()
}

/// Fails every call by itself.
struct Refusing;

#[derive(Debug)]
struct RefusedBelow;

impl fmt::Display for RefusedBelow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused below")
    }
}

impl std::error::Error for RefusedBelow {}

#[async_trait::async_trait]
impl Middleware for Refusing {
    async fn handle(
        &self,
        _: reqwest::Request,
        _: &mut Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        Err(Error::middleware(RefusedBelow))
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_stack_is_not_noticed() {
    let address = serve(async |request| {
        assert!(request.headers().get("content-length").is_none());
        let (frames, body) = body();
        frames.unbounded_send("one").expect("a reader");
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(60)).await;
            frames.unbounded_send("two").ok();
        });
        answer(418, body)
    })
    .await;
    let url = format!("http://{address}/tea?milk=no");
    let answer = with(TowerMiddleware::new(Identity::new())).get(&url).send();
    let mut answer = answer.await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::IM_A_TEAPOT);
    assert_eq!(answer.headers()["x-of-server"], "yes");
    assert_eq!(answer.url().as_str(), url);
    assert_eq!(answer.remote_addr(), Some(address));
    let begun = tower_qwen_tokens::internal::clock::now();
    let chunk = answer.chunk().await.expect("no error");
    assert_eq!(chunk.as_deref(), Some(&b"one"[..]));
    assert_eq!(tower_qwen_tokens::internal::clock::now(), begun);
    assert_eq!(answer.text().await.expect("the rest"), "two");
}

#[tokio::test(start_paused = true)]
async fn requests_stream_up() {
    let (come, came) = oneshot::channel::<Bytes>();
    let come = Arc::new(Mutex::new(Some(come)));
    let address = serve(move |request: Request<hyper::body::Incoming>| {
        let come = come.lock().expect("no panic").take();
        async move {
            let mut body = request.into_body();
            let frame = body.frame().await.expect("a frame").expect("no error");
            let come = come.expect("called once");
            come.send(frame.into_data().expect("data"))
                .expect("a listener");
            answer(200, body.map_err(|error| panic!("{error}")).boxed())
        }
    })
    .await;
    let (frames, up) = body();
    frames.unbounded_send("one").expect("a reader");
    let client = with(TowerMiddleware::new(Identity::new()));
    let request = client
        .put(format!("http://{address}/"))
        .body(Body::wrap(up));
    let calling = tokio::spawn(request.send());
    assert_eq!(came.await.expect("told"), "one");
    frames.unbounded_send("two").expect("a reader");
    drop(frames);
    let answer = calling.await.expect("no panic").expect("an answer");
    assert_eq!(answer.text().await.expect("a body"), "two");
}

#[tokio::test(start_paused = true)]
async fn reqwests_errors_stay_visible_through_layers_that_box_them() {
    let stack = || {
        let stack = ServiceBuilder::new()
            .layer(TimeoutLayer::new(Duration::from_secs(3_600)))
            .layer(GlobalConcurrencyLimitLayer::new(4));
        TowerMiddleware::new(stack.into_inner())
    };
    let error = with(stack())
        .get(format!("http://{}/", nobody().await))
        .send();
    let error = error.await.expect_err("nobody listens");
    assert!(error.is_connect() && error.url().is_some(), "{error:?}");

    let address = serve(async |_| pending().await).await;
    let request = with(stack()).get(format!("http://{address}/"));
    let error = request.timeout(Duration::from_secs(5)).send().await;
    let error = error.expect_err("no answer");
    assert!(error.is_timeout() && !error.is_middleware(), "{error:?}");

    let error = with(stack()).get("ftp://host/").send().await;
    assert!(error.expect_err("not http").is_builder());
}

#[tokio::test(start_paused = true)]
async fn errors_of_the_stack_and_of_middlewares_can_be_told_apart() {
    let address = serve(async |_| pending().await).await;
    let url = format!("http://{address}/");
    let timeout = TowerMiddleware::new(TimeoutLayer::new(Duration::from_secs(5)));
    let error = with(timeout).get(&url).send().await.expect_err("no answer");
    let Error::Middleware(inside) = &error else {
        panic!("{error:?}");
    };
    type Elapsed = tower::timeout::error::Elapsed;
    let layer_error = inside.downcast_ref::<LayerError>().expect("of a layer");
    assert!(layer_error.downcast_ref::<Elapsed>().is_some());
    assert!(layer_error.downcast_ref::<RefusedBelow>().is_none());
    assert!(inside.chain().any(|error| error.is::<Elapsed>()));
    assert!(error.source().is_some_and(|error| error.is::<Elapsed>()));
    assert_eq!(
        format!("{inside:#}"),
        "the call failed in a layer: request timed out"
    );
    let Error::Middleware(inside) = error else {
        unreachable!("looked at above");
    };
    let layer_error = inside.downcast::<LayerError>().expect("of a layer");
    assert!(layer_error.into_inner().is::<Elapsed>());

    let client = ClientBuilder::new(client())
        .with(TowerMiddleware::new(TimeoutLayer::new(
            Duration::from_secs(5),
        )))
        .with(Refusing)
        .build();
    let error = client.get(&url).send().await.expect_err("refused");
    let Error::Middleware(inside) = error else {
        panic!("{error:?}");
    };
    assert!(inside.downcast_ref::<RefusedBelow>().is_some());
}

#[tokio::test(start_paused = true)]
async fn extensions_of_the_call_reach_our_layers_and_theirs_the_caller() {
    let address = serve(async |_| model_answer()).await;
    let ledger = Ledger::default();
    let meter = MeterLayer::new(ledger.clone());
    // What one middleware leaves in the request, the next one finds.
    let mark = MapRequestLayer::new(|mut request: Request<Body>| {
        let tenant = request.extensions().get::<Tenant>().cloned();
        assert_eq!(tenant, Some(Tenant::new("amber")));
        request.extensions_mut().insert(Tenant::new("indigo"));
        request
    });
    let client = ClientBuilder::new(client())
        .with(TowerMiddleware::new(mark))
        .with(TowerMiddleware::new(meter))
        .build();
    let answer = client
        .post(format!(
            "http://{address}/compatible-mode/v1/chat/completions"
        ))
        .with_extension(Tenant::new("amber"))
        .body(r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Hello!"}]}"#)
        .send();
    answer
        .await
        .expect("an answer")
        .bytes()
        .await
        .expect("a body");
    let snapshot = ledger.snapshot();
    assert_eq!(snapshot.total.input_tokens, 20);
    assert!(snapshot.tenants.keys().eq(["indigo"]), "{snapshot:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_a_layer_makes_has_the_requests_url() {
    let meter = MeterLayer::new(Ledger::default()).read_options(ReadOptions::default().max_body(4));
    let (frames, up) = body();
    frames
        .unbounded_send("longer than four bytes")
        .expect("a reader");
    drop(frames);
    let url = "http://host/compatible-mode/v1/chat/completions";
    let client = with(TowerMiddleware::new(meter));
    let answer = client.post(url).body(Body::wrap(up)).send().await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer.url().as_str(), url);
    assert!(answer.extensions().get::<BodyRejection>().is_some());
}
