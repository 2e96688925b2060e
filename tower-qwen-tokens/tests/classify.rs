//! Classifying error answers: the verdict is there, and the body comes out as it would have without.

use std::{
    collections::VecDeque,
    future::Future,
    marker::PhantomPinned,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use futures::FutureExt;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use proptest::prelude::*;
use tokio::time::{Sleep, sleep};
use tower_qwen_tokens::{
    Cause, Verdict,
    internal::{
        Classify, PeekedBody, classify,
        clock::{self, WallClock},
    },
};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Data(Bytes),
    Trailers,
    Error(u8),
    Pending,
    Sleep(Duration),
}

/// A body that follows a script.
struct Script {
    steps: VecDeque<Step>,
    knows_length: bool,
    knows_end: bool,
    sleeping: Option<Pin<Box<Sleep>>>,
}

impl Script {
    fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            knows_length: true,
            knows_end: true,
            sleeping: None,
        }
    }

    fn left(&self) -> u64 {
        let data = |step: &Step| match step {
            Step::Data(data) => data.len() as u64,
            _ => 0,
        };
        self.steps.iter().map(data).sum()
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = u8;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, u8>>> {
        let script = &mut *self;
        if let Some(sleeping) = &mut script.sleeping {
            ready!(sleeping.as_mut().poll(cx));
            script.sleeping = None;
        }
        Poll::Ready(match script.steps.pop_front() {
            None => None,
            Some(Step::Data(data)) => Some(Ok(Frame::data(data))),
            Some(Step::Trailers) => {
                let trailers =
                    HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("x"))]);
                Some(Ok(Frame::trailers(trailers)))
            }
            Some(Step::Error(error)) => Some(Err(error)),
            Some(Step::Pending) => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(Step::Sleep(duration)) => {
                script.sleeping = Some(Box::pin(sleep(duration)));
                return self.poll_frame(cx);
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        let waits = |step: &Step| matches!(step, Step::Pending | Step::Sleep(_));
        self.knows_end && self.steps.iter().all(waits)
    }

    fn size_hint(&self) -> SizeHint {
        if self.knows_length {
            SizeHint::with_exact(self.left())
        } else {
            SizeHint::default()
        }
    }
}

fn answer<B>(status: u16, body: B) -> Response<B> {
    Response::builder()
        .status(status)
        .body(body)
        .expect("an answer")
}

fn scripted(steps: impl IntoIterator<Item = Step>) -> Script {
    Script::new(steps)
}

fn data(text: &str) -> Step {
    Step::Data(Bytes::copy_from_slice(text.as_bytes()))
}

fn cause<B>(response: &Response<B>) -> Option<Cause> {
    response.extensions().get::<Verdict>().map(Verdict::cause)
}

const GROWTH: &str = r#"{"code":"Throttling.BurstRate","message":"x"}"#;

/// What a body shows at one step: its length, whether it is over, and what it gives.
type Shown = (
    Option<u64>,
    bool,
    Option<Result<Result<Bytes, HeaderMap>, u8>>,
);

async fn shown<B: Body<Data = Bytes, Error = u8>>(body: B) -> Vec<Shown> {
    let mut body = pin!(body);
    let mut all = Vec::new();
    for _ in 0..100 {
        let (length, over) = (body.size_hint().exact(), body.is_end_stream());
        let given = body.frame().await.map(|frame| {
            frame.map(|frame| {
                frame
                    .into_data()
                    .map_err(|frame| frame.into_trailers().unwrap_or_default())
            })
        });
        let last = given.is_none();
        all.push((length, over, given));
        if last {
            break;
        }
    }
    all
}

#[tokio::test]
async fn an_error_is_classified_and_its_body_stays_whole() {
    let steps = [
        data(&GROWTH[..9]),
        Step::Pending,
        data(&GROWTH[9..]),
        Step::Trailers,
    ];
    let response = classify(answer(429, scripted(steps)), &WallClock::new()).await;
    assert_eq!(cause(&response), Some(Cause::Growth));
    let collected = response.into_body().collect().await.expect("a body");
    assert!(collected.trailers().is_some());
    assert_eq!(collected.to_bytes(), GROWTH);
}

#[tokio::test]
async fn a_success_is_neither_read_nor_classified() {
    for status in [200, 204, 302, 399] {
        let classify = classify(answer(status, scripted([data(GROWTH)])), &WallClock::new());
        let response = classify.now_or_never().expect("ready at once");
        assert_eq!(cause(&response), None, "{status}");
        assert_eq!(
            response.body().size_hint().exact(),
            Some(GROWTH.len() as u64)
        );
    }
}

#[tokio::test]
async fn an_answer_is_classified_once() {
    let verdict = Verdict::of_response(
        StatusCode::BAD_REQUEST,
        &HeaderMap::new(),
        b"",
        clock_wall(),
    );
    let mut response = answer(
        429,
        scripted([Step::Sleep(Duration::from_secs(9)), data(GROWTH)]),
    );
    response.extensions_mut().insert(verdict);
    let response = classify(response, &WallClock::new())
        .now_or_never()
        .expect("ready at once");
    assert_eq!(cause(&response), Some(Cause::InvalidRequest));
}

fn clock_wall() -> std::time::SystemTime {
    WallClock::new().now()
}

#[tokio::test]
async fn an_encoded_body_is_classified_by_its_status() {
    let with = |encoding: &'static str| {
        let mut response = answer(429, scripted([data(GROWTH)]));
        response
            .headers_mut()
            .insert("content-encoding", HeaderValue::from_static(encoding));
        cause(
            &classify(response, &WallClock::new())
                .now_or_never()
                .expect("ready at once"),
        )
    };
    assert_eq!(with("gzip"), Some(Cause::Throttled));
    assert_eq!(with("identity"), Some(Cause::Growth));
}

#[tokio::test]
async fn headers_count() {
    let mut response = answer(429, scripted([data(GROWTH)]));
    response
        .headers_mut()
        .insert("retry-after", HeaderValue::from_static("3"));
    let response = classify(response, &WallClock::new()).await;
    let verdict = response.extensions().get::<Verdict>().expect("classified");
    assert_eq!(verdict.retry_after(), Some(Duration::from_secs(3)));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_is_classified_by_what_came() {
    let begun = clock::now();
    let steps = [
        data(&GROWTH[..40]),
        Step::Sleep(Duration::from_secs(10)),
        data(&GROWTH[40..]),
    ];
    let response = classify(answer(429, scripted(steps)), &WallClock::new()).await;
    assert_eq!(clock::now() - begun, Duration::from_secs(1));
    assert_eq!(cause(&response), Some(Cause::Growth));
    let body = response
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    assert_eq!(body, GROWTH);
    assert_eq!(clock::now() - begun, Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_second_is_for_the_whole_head() {
    let begun = clock::now();
    let drops = (0..20).flat_map(|_| [Step::Sleep(Duration::from_millis(300)), data(" ")]);
    let response = classify(answer(503, scripted(drops)), &WallClock::new()).await;
    assert_eq!(clock::now() - begun, Duration::from_secs(1));
    assert_eq!(cause(&response), Some(Cause::Unavailable));
    assert_eq!(
        response
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes()
            .len(),
        20
    );
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_head_is_read() {
    let kilobyte = || Step::Data(Bytes::from(vec![b' '; 1024]));
    let body = scripted((0..200).map(|_| kilobyte()));
    let response = classify(answer(500, body), &WallClock::new()).await;
    assert_eq!(response.body().size_hint().exact(), Some(200 * 1024));
    let debug = format!("{:?}", response.body());
    assert!(debug.contains("head_frames: 64"), "{debug}");
    assert_eq!(
        response
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes()
            .len(),
        200 * 1024
    );
    // Frames without bytes end too.
    let endless = scripted((0..100_000).map(|_| data("")));
    let response = classify(answer(500, endless), &WallClock::new()).await;
    assert!(format!("{:?}", response.body()).contains("head_frames: 1024"));
}

#[tokio::test]
async fn a_chunk_in_pieces_is_seen_whole() {
    /// A buffer that shows one byte at a time.
    #[derive(Debug)]
    struct Pieces(Bytes);
    impl Buf for Pieces {
        fn remaining(&self) -> usize {
            self.0.len()
        }
        fn chunk(&self) -> &[u8] {
            &self.0[..self.0.len().min(1)]
        }
        fn advance(&mut self, count: usize) {
            self.0.advance(count);
        }
        fn chunks_vectored<'a>(&'a self, slices: &mut [std::io::IoSlice<'a>]) -> usize {
            let half = self.0.len() / 2;
            slices[0] = std::io::IoSlice::new(&self.0[..half]);
            slices[1] = std::io::IoSlice::new(&self.0[half..]);
            2
        }
    }
    let body = Full::new(Pieces(Bytes::from_static(GROWTH.as_bytes())));
    let response = classify(answer(429, body), &WallClock::new()).await;
    assert_eq!(cause(&response), Some(Cause::Growth));
}

/// A body that cannot move once it was polled.
struct Immovable(PhantomPinned);

impl Body for Immovable {
    type Data = Bytes;
    type Error = u8;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, u8>>> {
        Poll::Ready(None)
    }
}

#[tokio::test]
async fn a_body_need_not_be_unpin() {
    let response = classify(answer(429, Immovable(PhantomPinned)), &WallClock::new()).await;
    assert_eq!(cause(&response), Some(Cause::Throttled));
    let body = pin!(response.into_body());
    assert!(body.is_end_stream() && shown(body).await.len() == 1);
}

#[test]
fn send_and_sync_where_the_body_is() {
    fn is_send<T: Send>() {}
    fn is_sync<T: Sync>() {}
    fn is_unpin<T: Unpin>() {}
    is_send::<Classify<Full<Bytes>>>();
    is_send::<PeekedBody<Full<Bytes>>>();
    is_sync::<PeekedBody<Full<Bytes>>>();
    is_unpin::<PeekedBody<Full<Bytes>>>();
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_usize..40).prop_map(|length| Step::Data(Bytes::from(vec![b'x'; length]))),
        1 => (30_000_usize..70_000).prop_map(|length| Step::Data(Bytes::from(vec![b'y'; length]))),
        1 => Just(Step::Trailers),
        1 => any::<u8>().prop_map(Step::Error),
        3 => Just(Step::Pending),
        1 => (0_u64..3_000).prop_map(|millis| Step::Sleep(Duration::from_millis(millis))),
    ]
}

proptest! {
    #[test]
    fn the_body_comes_out_as_it_is(
        steps in proptest::collection::vec(step(), 0..16),
        status in prop::sample::select(vec![200_u16, 400, 429, 503]),
        knows_length in any::<bool>(),
        knows_end in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let body = || {
            let mut script = Script::new(steps.clone());
            script.knows_length = knows_length;
            script.knows_end = knows_end;
            script
        };
        runtime.block_on(async {
            let plain = shown(body()).await;
            let response = classify(answer(status, body()), &WallClock::new()).await;
            prop_assert_eq!(response.extensions().get::<Verdict>().is_some(), status >= 400);
            let classified = shown(response.into_body()).await;
            // Where the end was not announced, having met it beforehand is known to be over.
            let (over, told): (Vec<_>, Vec<_>) = classified.into_iter().map(|(length, over, given)| (over, (length, given))).unzip();
            let (plain_over, plain_told): (Vec<_>, Vec<_>) = plain.into_iter().map(|(length, over, given)| (over, (length, given))).unzip();
            for (at, ((length, given), (plain_length, plain_given))) in told.iter().zip(&plain_told).enumerate() {
                prop_assert_eq!(given, plain_given, "step {}", at);
                prop_assert!(length == plain_length || (!knows_length && length.is_some()), "step {}", at);
                prop_assert!(over[at] == plain_over[at] || (!knows_end && given.is_none()), "step {}", at);
            }
            prop_assert_eq!(told.len(), plain_told.len());
            Ok(())
        })?;
    }
}
