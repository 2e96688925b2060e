//! Streams that are held back for their first event: the verdict, and that no byte is lost.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, StreamBody};
use proptest::prelude::*;
use tower_qwen_tokens::{
    Cause, Verdict,
    call::{ReadCall, ReadOptions},
    classify::{ClassifyOptions, FirstEvent},
    internal::{
        RequestContext, classify,
        clock::{self, WallClock},
    },
};

const ROLE: &str = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n";
const TEXT: &str =
    "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"finish_reason\":null}]}\n\n";
const THROTTLE: &str = "id:1\nevent:error\n:HTTP_STATUS/429\ndata:{\"code\":\"Throttling.AllocationQuota\",\"message\":\"x\",\"request_id\":\"r\"}\n\n";
const BROKEN_OFF: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Throttling: TPM(10680324/10000000)\"},\"finish_reason\":\"error_finish\"}]}\n\n";

fn holding() -> RequestContext {
    RequestContext::default().by(ClassifyOptions::default().first_event(FirstEvent::default()))
}

fn event_stream<B>(body: B) -> Response<B> {
    Response::builder()
        .header("content-type", "text/event-stream;charset=UTF-8")
        .body(body)
        .expect("an answer")
}

/// A body of these pieces, with trailers.
fn pieces(pieces: Vec<Bytes>) -> impl Body<Data = Bytes, Error = Infallible> {
    let trailers = HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("x"))]);
    let frames = pieces.into_iter().map(Frame::data);
    StreamBody::new(stream::iter(
        frames.chain([Frame::trailers(trailers)]).map(Ok),
    ))
}

fn cause<B>(response: &Response<B>) -> Option<Cause> {
    response.extensions().get::<Verdict>().map(Verdict::cause)
}

/// The verdict on a stream that comes in these pieces; all of it has to come out again.
fn classified(parts: Vec<Bytes>) -> Option<Cause> {
    let whole = parts.concat();
    let classify = holding().classify(event_stream(pieces(parts)), &WallClock::new());
    let response = classify.now_or_never().expect("nothing to wait for");
    let cause = cause(&response);
    let collected = response.into_body().collect().now_or_never();
    let collected = collected.expect("all there").expect("a body");
    assert!(collected.trailers().is_some());
    assert_eq!(collected.to_bytes(), whole);
    cause
}

const STREAMS: &[(&str, &[&str], Option<Cause>)] = &[
    ("an error at once", &[THROTTLE], Some(Cause::TokenRate)),
    ("content, then an error", &[TEXT, THROTTLE], None),
    (
        "a role, then an error",
        &[ROLE, THROTTLE],
        Some(Cause::TokenRate),
    ),
    (
        "a role, then content, then an error",
        &[ROLE, TEXT, THROTTLE],
        None,
    ),
    (
        "an error that looks like content",
        &[BROKEN_OFF],
        Some(Cause::TokenRate),
    ),
    ("one after content", &[TEXT, BROKEN_OFF], None),
    (
        "comments first",
        &[": keep-alive\n\n", ":\n\n", THROTTLE],
        Some(Cause::TokenRate),
    ),
    (
        "responses",
        &[
            "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"error\":null}}\n\n",
            "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"id\":\"r\",\"error\":{\"code\":\"server_error\",\"message\":\"x\"}}}\n\n",
        ],
        Some(Cause::ServerError),
    ),
    (
        "native content",
        &[
            "id:1\nevent:result\n:HTTP_STATUS/200\ndata:{\"output\":{\"finish_reason\":\"null\",\"text\":\"1+\"},\"usage\":{\"total_tokens\":18},\"request_id\":\"r\"}\n\n",
            THROTTLE,
        ],
        None,
    ),
    ("nothing at all", &[], None),
    ("no content", &[ROLE, "data: [DONE]\n\n"], None),
    (
        "a bad request",
        &[
            "id:1\nevent:error\n:HTTP_STATUS/400\ndata:{\"code\":\"InvalidParameter\",\"message\":\"x\"}\n\n",
        ],
        Some(Cause::InvalidRequest),
    ),
];

#[test]
fn the_first_event_decides_for_every_cut() {
    for (name, events, expected) in STREAMS {
        let whole = Bytes::from(events.concat());
        assert_eq!(classified(vec![whole.clone()]), *expected, "{name}");
        for at in 0..=whole.len() {
            let cut = vec![whole.slice(..at), whole.slice(at..)];
            assert_eq!(classified(cut), *expected, "{name}, cut at {at}");
        }
        let bytes = (0..whole.len()).map(|at| whole.slice(at..=at)).collect();
        assert_eq!(classified(bytes), *expected, "{name}, byte by byte");
    }
}

#[test]
fn a_stream_cut_off_anywhere_before_its_first_content_is_a_broken_connection() {
    let whole = [ROLE, TEXT, TEXT].concat();
    let first_content = ROLE.len() + TEXT.len();
    for at in 0..=whole.len() {
        let frames = [
            Ok(Frame::data(Bytes::from(whole[..at].to_owned()))),
            Err("reset"),
        ];
        let body = StreamBody::new(stream::iter(frames));
        let classify = holding().classify(event_stream(body), &WallClock::new());
        let response = classify.now_or_never().expect("nothing to wait for");
        let expected = (at < first_content).then_some(Cause::Transport);
        assert_eq!(cause(&response), expected, "cut at {at}");
        let frames = response
            .into_body()
            .into_data_stream()
            .collect::<Vec<_>>()
            .now_or_never();
        let frames = frames.expect("all there");
        assert_eq!(frames[0].as_deref(), Ok(&whole.as_bytes()[..at]));
        assert_eq!(frames[1], Err("reset"));
    }
}

#[tokio::test]
async fn a_stream_is_not_held_without_a_request() {
    let never = || StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>());
    let clock = WallClock::new();
    assert!(
        classify(event_stream(never()), &clock)
            .now_or_never()
            .is_some()
    );
    assert!(
        holding()
            .classify(Response::new(never()), &clock)
            .now_or_never()
            .is_some()
    );
    let mut encoded = event_stream(never());
    let gzip = HeaderValue::from_static("gzip");
    encoded.headers_mut().insert("content-encoding", gzip);
    assert!(holding().classify(encoded, &clock).now_or_never().is_some());
    assert!(
        holding()
            .classify(event_stream(never()), &clock)
            .now_or_never()
            .is_none()
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_held_for_one_second_and_by_one_layer() {
    let start = clock::now();
    let slow = stream::once(async {
        tokio::time::sleep(Duration::from_secs(9)).await;
        Ok::<_, Infallible>(Frame::data(Bytes::from_static(THROTTLE.as_bytes())))
    });
    let body = StreamBody::new(slow.boxed());
    let held = holding()
        .classify(event_stream(body), &WallClock::new())
        .await;
    assert_eq!(clock::now() - start, Duration::from_secs(1));
    assert_eq!(cause(&held), None);
    let again = holding().classify(held, &WallClock::new());
    let again = again
        .now_or_never()
        .expect("a layer further out does not wait anew");
    let whole = again
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    assert_eq!(whole, THROTTLE);
    assert_eq!(clock::now() - start, Duration::from_secs(9));
}

#[test]
fn no_more_is_held_than_the_limit() {
    let comments = (0..100).map(|_| Bytes::from(format!(": {}\n\n", "x".repeat(1_000))));
    let first = FirstEvent::within(Duration::from_secs(1)).at_most(10_000);
    let context = RequestContext::default().by(ClassifyOptions::default().first_event(first));
    let body = pieces(comments.collect());
    let classify = context.classify(event_stream(body), &WallClock::new());
    let held = classify.now_or_never().expect("enough");
    let debug = format!("{:?}", held.body());
    assert!(debug.contains("head_frames: 10,"), "{debug}");
    assert_eq!(
        FirstEvent::default(),
        FirstEvent::within(Duration::from_secs(1))
    );
    assert_eq!(FirstEvent::default().bytes, 65_536);
}

#[tokio::test]
async fn the_rule_decides_last_and_sees_the_request() {
    let options = ClassifyOptions::default().rule(|verdict, headers| {
        let busy = headers.contains_key("x-busy");
        busy.then(|| verdict.clone().with_cause(Cause::Concurrency))
    });
    let answer = |busy| {
        let mut answer = Response::builder().status(500);
        if busy {
            answer = answer.header("x-busy", "1");
        }
        answer.body(pieces(vec![])).expect("an answer")
    };
    let mut request = Request::new(());
    request.extensions_mut().insert(options);
    let context = RequestContext::of(&request);
    let clock = WallClock::new();
    for (busy, expected) in [(true, Cause::Concurrency), (false, Cause::ServerError)] {
        let once = context.classify(answer(busy), &clock).await;
        assert_eq!(cause(&once), Some(expected));
        // Also where a layer that knows of no rule came first.
        let twice = context
            .classify(classify(answer(busy), &clock).await, &clock)
            .await;
        assert_eq!(cause(&twice), Some(expected));
    }
}

#[tokio::test]
async fn a_throttle_of_an_impossible_task_is_permanent() {
    let request = |path: &str, body: &'static str| {
        Request::post(format!("https://host{path}"))
            .header("x-dashscope-async", "enable")
            .body(http_body_util::Full::<Bytes>::from(body))
            .expect("a request")
    };
    let chat = (
        "/compatible-mode/v1/chat/completions",
        r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Hi"}]}"#,
    );
    let embedding = (
        "/api/v1/services/embeddings/text-embedding/text-embedding",
        r#"{"model":"text-embedding-async-v1","input":{"texts":["a"]}}"#,
    );
    let clock = WallClock::new();
    for ((path, body), expected) in [
        (chat, Cause::AsyncUnsupported),
        (embedding, Cause::Throttled),
    ] {
        let read = ReadCall::new(request(path, body), &ReadOptions::default()).await;
        let context = RequestContext::of(&read.expect("a call"));
        let throttled = Response::builder().status(429).body(pieces(vec![]));
        let classified = context
            .classify(throttled.expect("an answer"), &clock)
            .await;
        assert_eq!(cause(&classified), Some(expected), "{path}");
    }
}

proptest! {
    /// Whatever comes in whatever pieces goes on as it came.
    #[test]
    fn all_bytes_go_on(
        events in proptest::collection::vec(prop::sample::select(vec![ROLE, TEXT, THROTTLE, BROKEN_OFF, ": x\n\n", "data: {\r\n\r\n", "\u{feff}"]), 0..6),
        garbage in proptest::collection::vec(any::<u8>(), 0..40),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let whole = Bytes::from([events.concat().as_bytes(), &garbage].concat());
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(whole.len() + 1)).collect();
        cuts.extend([0, whole.len()]);
        cuts.sort_unstable();
        let parts = cuts.windows(2).map(|pair| whole.slice(pair[0]..pair[1])).collect();
        prop_assert_eq!(classified(parts), classified(vec![whole]));
    }
}
