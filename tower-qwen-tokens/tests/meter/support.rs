//! What the Meter's tests stand on: a body that follows a script, a sink that remembers, requests.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use tower_qwen_tokens::{
    Call, OnUsage, Report, UsageSink,
    call::{ReadCall, ReadOptions},
};

pub(crate) const CHAT: &str = "https://host.example/compatible-mode/v1/chat/completions";
pub(crate) const PROMPT: &str =
    r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Hello!"}]}"#;
pub(crate) const STREAM: &str = include_str!("../fixtures/compat.sse");
pub(crate) const WHOLE: &str = include_str!("../fixtures/compat.json");

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Data(Bytes),
    Trailers,
    Fail,
    Wait,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken;

/// A body that does what it is told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    pub(crate) steps: VecDeque<Step>,
    /// Whether it says that it is over as soon as nothing is left.
    pub(crate) announces_end: bool,
}

/// Remembers what it was told.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<Vec<Report>>);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken")
    }
}

impl std::error::Error for Broken {}

impl Script {
    pub(crate) fn of(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            announces_end: false,
        }
    }

    pub(crate) fn text(text: &str) -> Self {
        Self::of([Step::data(text)])
    }

    pub(crate) fn announcing(mut self) -> Self {
        self.announces_end = true;
        self
    }

    pub(crate) fn with(mut self, step: Step) -> Self {
        self.steps.push_back(step);
        self
    }
}

impl Step {
    pub(crate) fn data(text: &str) -> Self {
        Self::Data(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<Bytes> for Script {
    fn from(bytes: Bytes) -> Self {
        Self::of([Step::Data(bytes)]).announcing()
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        Poll::Ready(match self.steps.pop_front() {
            Some(Step::Data(data)) => Some(Ok(Frame::data(data))),
            Some(Step::Trailers) => Some(Ok(Frame::trailers(HeaderMap::new()))),
            Some(Step::Fail) => Some(Err(Broken)),
            Some(Step::Wait) => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.announces_end && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.steps.iter().map(|step| match step {
            Step::Data(data) => data.len() as u64,
            _ => 0,
        });
        SizeHint::with_exact(left.sum())
    }
}

impl OnUsage for Recorder {
    fn on_usage(&self, report: &Report) {
        self.0
            .lock()
            .expect("no panic while held")
            .push(report.clone());
    }
}

impl Recorder {
    pub(crate) fn reports(&self) -> Vec<Report> {
        self.0.lock().expect("no panic while held").clone()
    }

    /// The one report there is.
    pub(crate) fn report(&self) -> Report {
        let reports = self.reports();
        assert_eq!(reports.len(), 1, "exactly one report: {reports:?}");
        reports[0].clone()
    }
}

/// A chat call that nobody has read, and the sink that waits for its usage.
pub(crate) fn unread<B: From<Bytes>>() -> (Request<B>, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::default());
    let request = Request::post(CHAT)
        .header("content-type", "application/json")
        .extension(UsageSink::new(Arc::<Recorder>::clone(&recorder)))
        .body(B::from(Bytes::from_static(PROMPT.as_bytes())))
        .expect("a request");
    (request, recorder)
}

/// A chat call that a layer above has read.
pub(crate) async fn read() -> (Request<Full<Bytes>>, Arc<Recorder>) {
    let (request, recorder) = unread();
    let request = ReadCall::new(request, &ReadOptions::default())
        .await
        .expect("readable");
    assert!(Call::of(&request).is_some());
    (request, recorder)
}

pub(crate) fn answer<B>(content_type: &str, body: B) -> Response<B> {
    Response::builder()
        .header("content-type", content_type)
        .body(body)
        .expect("an answer")
}

pub(crate) fn stream<B>(body: B) -> Response<B> {
    answer("text/event-stream;charset=UTF-8", body)
}

pub(crate) fn json<B>(body: B) -> Response<B> {
    answer("application/json", body)
}

/// The next frame as data; panics where there is none.
pub(crate) async fn next_data<B: Body<Data = Bytes> + Unpin>(body: &mut B) -> Bytes
where
    B::Error: fmt::Debug,
{
    let frame = body.frame().await.expect("a frame").expect("no error");
    frame.into_data().expect("data")
}

/// What a reader sees of a body: data, borders, trailers, errors and hints.
///
/// The hints of an error answer are left out: once it is classified, its end is known earlier.
pub(crate) async fn seen<B: Body<Data = Bytes>>(body: B, with_hints: bool) -> Vec<String> {
    let mut body = std::pin::pin!(body);
    let mut seen = Vec::new();
    loop {
        if with_hints {
            seen.push(format!("{} {:?}", body.is_end_stream(), body.size_hint()));
        }
        match body.frame().await {
            None => return seen,
            Some(Err(_)) => seen.push("error".into()),
            Some(Ok(frame)) => seen.push(format!("{frame:?}")),
        }
    }
}
