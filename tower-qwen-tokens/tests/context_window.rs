//! The guard of the context window.
#![cfg(feature = "http")]

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header::CONTENT_LENGTH};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::{Service, ServiceExt};
use tower_layer::Layer;
use tower_qwen_tokens::{
    Call, ContextWindowLayer, Deadline, WindowBook,
    call::{BoxError, ReadCall, ReadError, ReadOptions, UnbufferedBody},
    context_window::{
        ContextWindow, ContextWindowClamped, ContextWindowExceeded, ContextWindowWarning, OnExceed,
    },
    data::Window,
};
use tower_test::mock;

const CHAT: &str = "http://host/compatible-mode/v1/chat/completions";
const NATIVE: &str = "http://host/api/v1/services/aigc/text-generation/generation";

/// What came to the transport.
#[derive(Debug, Clone)]
struct Sent {
    body: Bytes,
    headers: HeaderMap,
    call: Option<Arc<Call>>,
}

impl Sent {
    fn call(&self) -> &Call {
        self.call.as_ref().expect("a call that was read")
    }

    fn ceiling(&self) -> Option<u64> {
        self.call().model_call()?.output_ceiling
    }
}

/// A transport that remembers what was sent, and is only called when it was ready.
#[derive(Debug, Default)]
struct Transport {
    sent: Arc<Mutex<Vec<Sent>>>,
    is_ready: bool,
}

/// As tower's own services that reserve: a clone is not ready.
impl Clone for Transport {
    fn clone(&self) -> Self {
        Self {
            sent: Arc::clone(&self.sent),
            is_ready: false,
        }
    }
}

impl Service<Request<Full<Bytes>>> for Transport {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "called when ready");
        let call = Call::of(&request).map(Arc::clone);
        let headers = request.headers().clone();
        let mut body = request.into_body();
        let frame = tokio_test::task::spawn(body.frame()).poll();
        let body = match frame {
            Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            _ => Bytes::new(),
        };
        self.sent.lock().expect("lock").push(Sent {
            body,
            headers,
            call,
        });
        std::future::ready(Ok(Response::new(Full::default())))
    }
}

/// 100 tokens in all, 80 of them as prompt, 50 as answer.
fn windows() -> WindowBook {
    let window = Window::new(100).max_input(80).max_output(50);
    WindowBook::builtin().with("mine", window)
}

fn guard(on_exceed: OnExceed) -> (ContextWindow<Transport>, Arc<Mutex<Vec<Sent>>>) {
    let transport = Transport::default();
    let sent = Arc::clone(&transport.sent);
    let layer = ContextWindowLayer::new(windows()).on_exceed(on_exceed);
    (layer.layer(transport), sent)
}

/// A call with a short prompt.
fn body(model: &str, more: &str) -> String {
    format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"Hello!"}}]{more}}}"#)
}

fn request(uri: &str, body: &str) -> Request<Full<Bytes>> {
    Request::post(uri)
        .header(CONTENT_LENGTH, body.len())
        .body(Full::from(body.to_owned()))
        .expect("a request")
}

async fn call(
    guard: &ContextWindow<Transport>,
    request: Request<Full<Bytes>>,
) -> Result<Response<Full<Bytes>>, BoxError> {
    guard.clone().oneshot(request).await
}

async fn refusal(
    guard: &ContextWindow<Transport>,
    request: Request<Full<Bytes>>,
) -> ContextWindowExceeded {
    let error = call(guard, request).await.expect_err("refused");
    *error.downcast().expect("typed")
}

/// The tokens of the prompt as the reader estimates them.
async fn input_tokens(body: &str) -> u64 {
    let read = ReadCall::new(request(CHAT, body), &ReadOptions::default());
    let request = read.await.expect("readable");
    let call = Call::of(&request).expect("read");
    call.model_call().expect("a model call").input_tokens
}

#[tokio::test(start_paused = true)]
async fn what_fits_passes_untouched() {
    let (guard, sent) = guard(OnExceed::Reject);
    for more in ["", r#","max_tokens":50"#, r#","max_tokens": 1 "#] {
        let body = body("mine", more);
        let response = call(&guard, request(CHAT, &body)).await.expect("sent");
        assert!(
            response
                .extensions()
                .get::<ContextWindowWarning>()
                .is_none()
        );
        let sent = sent.lock().expect("lock").pop().expect("sent");
        assert_eq!(sent.body, body.as_bytes());
        assert_eq!(sent.headers[CONTENT_LENGTH], body.len().to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_refused_before_it_is_sent() {
    let (guard, sent) = guard(OnExceed::Reject);
    let body = body("mine", r#","max_tokens":51"#);
    let exceeded = refusal(&guard, request(CHAT, &body)).await;
    let input = input_tokens(&body).await;
    assert_eq!(&*exceeded.model, "mine");
    assert_eq!(exceeded.window.context, 100);
    assert_eq!(exceeded.input_tokens, input);
    assert_eq!(exceeded.ceiling, Some(51));
    assert_eq!(exceeded.room(), Some(50));
    assert_eq!(
        exceeded.to_string(),
        format!(
            "\"mine\" takes 100 tokens, 80 of them as prompt, 50 as answer; the prompt has about {input} and the answer \
             may have 51"
        )
    );
    assert!(sent.lock().expect("lock").is_empty());
}

#[tokio::test(start_paused = true)]
async fn prompt_and_answer_share_the_context() {
    let input = input_tokens(&body("mine", "")).await;
    for (context, fits) in [(input + 20, true), (input + 19, false)] {
        let layer = ContextWindowLayer::new(WindowBook::empty().with("mine", Window::new(context)));
        let body = body("mine", r#","max_tokens":20"#);
        let answer = layer
            .layer(Transport::default())
            .oneshot(request(CHAT, &body))
            .await;
        assert_eq!(answer.is_ok(), fits, "{context}");
    }
    for (window, more, fits) in [
        (Window::new(input), "", false),
        (Window::new(input + 1), "", true),
        (Window::new(input), r#","max_tokens":0"#, true),
        (Window::new(1_000).max_input(input), "", true),
        (Window::new(1_000).max_input(input - 1), "", false),
        (
            Window::new(1_000).max_output(9),
            r#","max_tokens":10"#,
            false,
        ),
        (
            Window::new(1_000).max_output(9).max_reasoning(1),
            r#","max_tokens":10"#,
            true,
        ),
        // Every one of several answers has the window to itself.
        (Window::new(input + 10), r#","max_tokens":10,"n":4"#, true),
    ] {
        let layer = ContextWindowLayer::new(WindowBook::empty().with("mine", window));
        let answer = layer
            .layer(Transport::default())
            .oneshot(request(CHAT, &body("mine", more)))
            .await;
        assert_eq!(answer.is_ok(), fits, "{window:?} {more}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_is_too_long_is_refused_whatever_the_answer() {
    let long = "word ".repeat(200);
    for on_exceed in [OnExceed::Reject, OnExceed::Clamp] {
        let (guard, sent) = guard(on_exceed);
        for more in [r#","max_tokens":1"#, ""] {
            let body = body("mine", more).replace("Hello!", &long);
            let exceeded = refusal(&guard, request(CHAT, &body)).await;
            assert_eq!(exceeded.room(), None);
            assert!(!exceeded.to_string().contains("word"), "no prompt");
        }
        assert!(sent.lock().expect("lock").is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn unknown_models_and_other_requests_pass() {
    let (guard, sent) = guard(OnExceed::Reject);
    let more = r#","max_tokens":1000000"#;
    for pass in [
        request(CHAT, &body("unknown", more)),
        request(CHAT, &body("", more)),
        request("http://host/api/v1/files", &body("mine", more)),
        {
            let mut request = request(CHAT, &body("mine", more));
            request.extensions_mut().insert(UnbufferedBody);
            request
        },
        {
            let mut request = request(CHAT, &body("mine", more));
            let gzip = http::HeaderValue::from_static("gzip");
            request.headers_mut().insert("content-encoding", gzip);
            request
        },
        Request::get(CHAT).body(Full::default()).expect("a request"),
    ] {
        assert!(call(&guard, pass).await.is_ok());
    }
    assert_eq!(sent.lock().expect("lock").len(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_warning_comes_with_the_answer() {
    let (guard, sent) = guard(OnExceed::Warn);
    let body = body("mine", r#","max_tokens":51"#);
    let response = call(&guard, request(CHAT, &body)).await.expect("sent");
    let warning: &ContextWindowWarning = response.extensions().get().expect("a warning");
    assert_eq!(warning.exceeded().ceiling, Some(51));
    assert_eq!(sent.lock().expect("lock")[0].body, body.as_bytes());
    assert!(
        response
            .extensions()
            .get::<ContextWindowClamped>()
            .is_none()
    );
}

#[tokio::test(start_paused = true)]
async fn a_ceiling_is_lowered_to_what_is_left() {
    for (uri, original, ceiling) in [
        (CHAT, body("mine", r#" , "max_tokens" : 5100 "#), 5_100),
        (
            CHAT,
            body("mine", r#","max_completion_tokens":5100,"max_tokens":7"#),
            5_100,
        ),
        (
            NATIVE,
            r#"{"model":"mine","input":{"prompt":"Hello!"},"parameters":{"max_tokens":5100}}"#
                .to_owned(),
            5_100,
        ),
    ] {
        let (guard, sent) = guard(OnExceed::Clamp);
        let response = call(&guard, request(uri, &original)).await.expect("sent");
        let clamped: &ContextWindowClamped = response.extensions().get().expect("a note");
        assert_eq!(clamped.exceeded.ceiling, Some(ceiling));
        assert_eq!(clamped.ceiling, 50);
        let sent = sent.lock().expect("lock")[0].clone();
        let lowered = original.replace("5100", "50");
        assert_eq!(sent.body, lowered.as_bytes());
        assert_eq!(sent.headers[CONTENT_LENGTH], lowered.len().to_string());
        assert_eq!(sent.ceiling(), Some(50));
        assert_eq!(
            sent.call().body().map(|body| &**body),
            Some(lowered.as_bytes())
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_for_reasoning_is_kept_and_the_answer_gives_way() {
    let window = Window::new(1_000).max_output(50).max_reasoning(20);
    let transport = Transport::default();
    let sent = Arc::clone(&transport.sent);
    let guard = ContextWindowLayer::new(WindowBook::empty().with("mine", window))
        .on_exceed(OnExceed::Clamp)
        .layer(transport);
    let thinking = r#","max_tokens":60,"thinking_budget":20,"enable_thinking":true"#;
    call(&guard, request(CHAT, &body("mine", thinking)))
        .await
        .expect("sent");
    let sent = sent.lock().expect("lock").pop().expect("sent");
    assert_eq!(sent.ceiling(), Some(70));
    assert_eq!(
        sent.body,
        body("mine", &thinking.replace("60", "50")).as_bytes()
    );
    let all = r#","max_tokens":60,"thinking_budget":90,"enable_thinking":true"#;
    let exceeded = refusal(&guard, request(CHAT, &body("mine", all))).await;
    assert_eq!(exceeded.ceiling, Some(150), "nothing of the answer is left");
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_changed_is_refused() {
    let body = body("mine", r#","max_tokens":51"#);
    for (name, value) in [
        (
            "content-digest",
            "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:",
        ),
        ("signature", "sig1=:abc:"),
        ("authorization", "AWS4-HMAC-SHA256 Credential=x"),
    ] {
        let (guard, sent) = guard(OnExceed::Clamp);
        let mut signed = request(CHAT, &body);
        let value = http::HeaderValue::from_static(value);
        signed.headers_mut().insert(name, value);
        assert_eq!(refusal(&guard, signed).await.ceiling, Some(51));
        assert!(sent.lock().expect("lock").is_empty(), "{name}");
    }
    let (guard, _) = guard(OnExceed::Clamp);
    let mut plain = request(CHAT, &body);
    let bearer = http::HeaderValue::from_static("Bearer sk-1");
    plain.headers_mut().insert("authorization", bearer);
    assert!(call(&guard, plain).await.is_ok());

    // Read by a layer above, then encoded, or exchanged.
    let read = |body: &str| ReadCall::new(request(CHAT, body), &ReadOptions::default());
    let mut encoded = read(&body).await.expect("readable");
    let gzip = http::HeaderValue::from_static("gzip");
    encoded.headers_mut().insert("content-encoding", gzip);
    assert_eq!(refusal(&guard, encoded).await.ceiling, Some(51));
    let exchanged = read(&body).await.expect("readable");
    let exchanged = exchanged.map(|_| Full::from("something else"));
    assert_eq!(refusal(&guard, exchanged).await.ceiling, Some(51));
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_length_gets_none() {
    let (guard, sent) = guard(OnExceed::Clamp);
    let mut request = request(CHAT, &body("mine", r#","max_tokens":51"#));
    request.headers_mut().remove(CONTENT_LENGTH);
    call(&guard, request).await.expect("sent");
    assert!(
        !sent.lock().expect("lock")[0]
            .headers
            .contains_key(CONTENT_LENGTH)
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_read_is_sent_at_once() {
    let more = r#","max_tokens":51"#;
    for (on_exceed, is_sent) in [
        (OnExceed::Clamp, true),
        (OnExceed::Warn, true),
        (OnExceed::Reject, false),
    ] {
        let (mut guard, sent) = guard(on_exceed);
        let deadline = Deadline::after(Duration::from_secs(9));
        let mut request = request(CHAT, &body("mine", more));
        request.extensions_mut().insert(deadline);
        let read = ReadCall::new(request, &ReadOptions::default());
        let read = read.await.expect("readable");
        let arrived = Call::of(&read).expect("read").arrived();
        tokio::time::advance(Duration::from_secs(1)).await;
        guard.ready().await.expect("ready");
        let future = guard.call(read);
        assert_eq!(sent.lock().expect("lock").len(), usize::from(is_sent));
        drop(future);
        assert_eq!(sent.lock().expect("lock").len(), usize::from(is_sent));
        if let Some(sent) = sent.lock().expect("lock").first() {
            assert_eq!(sent.call().arrived(), arrived);
            assert_eq!(sent.call().deadline(), Some(deadline));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_fails_is_an_error() {
    let transport =
        tower::service_fn(|_: Request<Failing>| async { Ok::<_, Infallible>(Response::new(())) });
    let guard = ContextWindowLayer::default().layer(transport);
    let failing = Failing(BoxBody::new(StreamBody::new(futures::stream::iter([
        Err::<http_body::Frame<Bytes>, _>(std::io::Error::other("gone")),
    ]))));
    let request = Request::post(CHAT).body(failing).expect("a request");
    let error = guard.oneshot(request).await.expect_err("failed");
    assert!(matches!(
        error.downcast_ref::<ReadError<BoxError>>(),
        Some(ReadError::Body(_))
    ));
    let (guard, sent) = self::guard(OnExceed::Reject);
    let error = call(&guard, self::request(CHAT, "{")).await;
    assert!(error.expect_err("no JSON").is::<ReadError<BoxError>>());
    assert!(sent.lock().expect("lock").is_empty());
}

/// A body that fails while it is read.
struct Failing(BoxBody<Bytes, std::io::Error>);

impl From<Bytes> for Failing {
    fn from(bytes: Bytes) -> Self {
        Self(BoxBody::new(
            Full::from(bytes).map_err(|never| match never {}),
        ))
    }
}

impl http_body::Body for Failing {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        std::pin::Pin::new(&mut self.0).poll_frame(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn readiness_and_errors_are_the_inner_services() {
    let (mut service, mut handle) =
        mock::spawn_layer::<Request<Full<Bytes>>, Response<()>, _>(ContextWindowLayer::default());
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut future = task::spawn(service.call(request(CHAT, &body("qwen-plus", ""))));
    assert_pending!(future.poll());
    let (_, respond) = handle.next_request().await.expect("sent");
    respond.send_error("broken");
    let error = assert_ready_err!(future.poll());
    assert_eq!(error.to_string(), "broken");
    handle.send_error("closed");
    assert_eq!(
        assert_ready_err!(service.poll_ready()).to_string(),
        "closed"
    );
}

#[test]
fn futures_and_services_are_what_tower_needs() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    fn is_clone_and_sync<T: Clone + Send + Sync>(_: &T) {}
    let (mut guard, _) = guard(OnExceed::default());
    is_clone_and_sync(&guard);
    is_clone_and_sync(&ContextWindowLayer::default());
    drop(is_send(guard.call(request(CHAT, "{}"))));
    assert_eq!(OnExceed::default(), OnExceed::Reject);
}

/// Neither the inner service nor its error has to live for ever.
#[tokio::test(start_paused = true)]
async fn a_borrowed_service_can_be_guarded() {
    let calls = Mutex::new(0);
    let borrowed = tower::service_fn(|_: Request<Full<Bytes>>| async {
        *calls.lock().expect("lock") += 1;
        Ok::<_, Infallible>(Response::new(()))
    });
    let guard = ContextWindow::new(borrowed);
    assert!(
        guard
            .oneshot(request(CHAT, &body("qwen-plus", "")))
            .await
            .is_ok()
    );
    assert_eq!(*calls.lock().expect("lock"), 1);
}
