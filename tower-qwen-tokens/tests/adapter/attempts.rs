//! Several attempts through one middleware.

use std::{
    future::{Ready, pending, ready},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use http::{Extensions, Request, Response, StatusCode};
use reqwest::Body;
use reqwest_middleware::{ClientBuilder, Error, Middleware, Next, Result};
use tower::{
    ServiceBuilder,
    retry::{Policy, RetryLayer},
    timeout::TimeoutLayer,
};
use tower_qwen_tokens::adapter::reqwest_middleware_0_5::TowerMiddleware;

use crate::support::{answer, client, serve, text};

/// Sends what was refused with 503 again, so many times.
#[derive(Clone)]
struct Again(u32);

impl<RB, E> Policy<Request<Body>, Response<RB>, E> for Again {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<Body>,
        result: &mut std::result::Result<Response<RB>, E>,
    ) -> Option<Ready<()>> {
        let served = matches!(result, Ok(answer) if answer.status().is_success());
        self.0 = self.0.checked_sub(1)?;
        (!served).then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        let mut clone = Request::new(Body::from(request.body().as_bytes()?.to_vec()));
        clone.method_mut().clone_from(request.method());
        clone.uri_mut().clone_from(request.uri());
        clone.headers_mut().clone_from(request.headers());
        clone.extensions_mut().clone_from(request.extensions());
        Some(clone)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen(Vec<&'static str>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Ticket;

/// Below the stack: notes its attempts in the extensions, and takes the ticket.
struct Noting;

#[async_trait::async_trait]
impl Middleware for Noting {
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<reqwest::Response> {
        assert_eq!(request.timeout(), Some(&Duration::from_secs(7)));
        let first = extensions.remove::<Ticket>().is_some();
        extensions
            .get_or_insert_with(|| Seen(Vec::new()))
            .0
            .push(if first { "first" } else { "again" });
        next.run(request, extensions).await
    }
}

/// Above the stack: keeps what it finds in the extensions after the call.
#[derive(Clone, Default)]
struct Keeping(Arc<std::sync::Mutex<Extensions>>);

#[async_trait::async_trait]
impl Middleware for Keeping {
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<reqwest::Response> {
        let answer = next.run(request, extensions).await;
        self.0.lock().expect("no panic").clone_from(extensions);
        answer
    }
}

impl Keeping {
    fn seen(&self) -> Option<Seen> {
        self.0.lock().expect("no panic").get().cloned()
    }
}

async fn call(
    keeping: &Keeping,
    tries: u32,
    refusals: u32,
) -> (std::result::Result<StatusCode, Error>, u32) {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = calls.clone();
    let address = serve(move |_| {
        let call = counted.fetch_add(1, Ordering::Relaxed);
        async move {
            match call {
                call if call < refusals => answer(503, text("busy")),
                _ => answer(200, text("served")),
            }
        }
    })
    .await;
    let client = ClientBuilder::new(client())
        .with(keeping.clone())
        .with(TowerMiddleware::new(RetryLayer::new(Again(tries))))
        .with(Noting)
        .build();
    let request = client
        .post(format!("http://{address}/"))
        .with_extension(Ticket)
        .timeout(Duration::from_secs(7))
        .body("again and again");
    let answer = request.send().await.map(|answer| answer.status());
    (answer, calls.load(Ordering::Relaxed))
}

#[tokio::test(start_paused = true)]
async fn every_attempts_extensions_are_seen_above_and_by_the_next_attempt() {
    let keeping = Keeping::default();
    let (status, calls) = call(&keeping, 4, 2).await;
    assert_eq!((status.expect("an answer"), calls), (StatusCode::OK, 3));
    assert_eq!(keeping.seen(), Some(Seen(vec!["first", "again", "again"])));
    // What an attempt took out stays out.
    assert!(
        keeping
            .0
            .lock()
            .expect("no panic")
            .get::<Ticket>()
            .is_none()
    );
}

#[tokio::test(start_paused = true)]
async fn the_last_answer_comes_back_when_tries_run_out() {
    let keeping = Keeping::default();
    let (status, calls) = call(&keeping, 1, 9).await;
    let status = status.expect("an answer");
    assert_eq!((status, calls), (StatusCode::SERVICE_UNAVAILABLE, 2));
    assert_eq!(keeping.seen(), Some(Seen(vec!["first", "again"])));
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempts_extensions_are_kept_and_a_dropped_ones_are_not() {
    let address = serve(async |_| pending().await).await;
    let keeping = Keeping::default();
    let stack = |patience| {
        let stack = ServiceBuilder::new().layer(TimeoutLayer::new(Duration::from_secs(patience)));
        ClientBuilder::new(client())
            .with(keeping.clone())
            .with(TowerMiddleware::new(stack.into_inner()))
            .with(Noting)
            .build()
            .get(format!("http://{address}/"))
            .with_extension(Ticket)
            .timeout(Duration::from_secs(7))
            .send()
    };
    let error = stack(60).await.expect_err("no answer");
    assert!(error.is_timeout(), "of reqwest: {error:?}");
    assert_eq!(keeping.seen(), Some(Seen(vec!["first"])));

    let error = stack(1).await.expect_err("no answer");
    assert!(error.is_middleware(), "of the stack: {error:?}");
    assert_eq!(keeping.seen(), None);
    assert!(
        keeping
            .0
            .lock()
            .expect("no panic")
            .get::<Ticket>()
            .is_some()
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_may_be_dropped_at_any_point() {
    let address = serve(async |_| answer(200, text("served"))).await;
    let client = ClientBuilder::new(client())
        .with(TowerMiddleware::new(RetryLayer::new(Again(2))))
        .build();
    let mut polls = 0;
    loop {
        polls += 1;
        let request = client.get(format!("http://{address}/")).send();
        let mut calling = tokio_test::task::spawn(request);
        let mut done = false;
        for _ in 0..polls {
            done = calling.poll().is_ready();
            if done {
                break;
            }
            tokio::task::yield_now().await;
        }
        if done {
            break;
        }
    }
    assert!(polls > 1, "the loop saw a call under way");
    let answer = client.get(format!("http://{address}/")).send().await;
    assert_eq!(answer.expect("an answer").status(), StatusCode::OK);
}
