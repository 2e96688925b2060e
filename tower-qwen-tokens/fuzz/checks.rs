//! What must hold whatever the bytes are. The fuzz targets call this, and so do the tests that replay the corpora.

use std::{
    convert::Infallible,
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::Value;
use tower::{Layer, ServiceExt, service_fn};
use tower_qwen_tokens::{
    Call, Dialect, Ledger, MeterLayer, Verdict,
    call::{ReadCall, ReadOptions},
    scan::{Scanned, Scanner},
};

/// Reading the prices takes longer than all else.
static LEDGER: LazyLock<Ledger> = LazyLock::new(Ledger::default);

const PATHS: [&str; 9] = [
    "/compatible-mode/v1/chat/completions",
    "/compatible-mode/v1/completions",
    "/compatible-mode/v1/embeddings",
    "/compatible-mode/v1/responses",
    "/api/v1/services/aigc/text-generation/generation",
    "/api/v1/services/aigc/multimodal-generation/generation",
    "/api/v1/services/embeddings/text-embedding/text-embedding",
    "/apps/anthropic/v1/messages",
    "/v1/generate",
];

/// Takes a byte that steers off the front.
fn steer(data: &[u8]) -> (usize, &[u8]) {
    match data.split_first() {
        Some((&first, rest)) => (usize::from(first), rest),
        None => (0, data),
    }
}

fn scan(mut scanner: Scanner, data: &[u8], piece: usize) -> Scanned {
    for piece in data.chunks(piece.max(1)) {
        scanner.push(piece);
    }
    scanner.finish()
}

/// The findings do not depend on the cuts. First byte: the length of the pieces.
pub(crate) fn scan_json(data: &[u8]) {
    let (piece, data) = steer(data);
    let whole = scan(Scanner::json(), data, data.len());
    assert_eq!(scan(Scanner::json(), data, piece), whole);
    assert_eq!(scan(Scanner::json(), data, 1), whole);
}

/// The findings do not depend on the cuts. First byte: the dialect; second: the length of the pieces.
pub(crate) fn scan_sse(data: &[u8]) {
    let (dialect, data) = steer(data);
    let (piece, data) = steer(data);
    let dialect = Dialect::of_path(PATHS[dialect % PATHS.len()]).expect("a known path");
    let whole = scan(Scanner::sse(dialect), data, data.len());
    assert_eq!(scan(Scanner::sse(dialect), data, piece), whole);
    assert_eq!(scan(Scanner::sse(dialect), data, 1), whole);
}

/// A request is read whenever it is one JSON object, keeps its bytes, and asks for usage without other changes.
///
/// First byte: the dialect; second: where the body is cut.
pub(crate) fn call_read(data: &[u8]) {
    let (path, data) = steer(data);
    let (cut, data) = steer(data);
    let (left, right) = data.split_at(cut.min(data.len()));
    let body = StreamOf(vec![left.to_vec(), right.to_vec()]);
    let path = PATHS[path % PATHS.len()];
    let request = Request::post(path).body(body).expect("a request");
    let read = ReadCall::new(request, &ReadOptions::default());
    let is_object = serde_json::from_slice::<Value>(data).map(|value| value.is_object());
    match read.now_or_never().expect("at once") {
        Ok(request) => {
            let call = Call::of(&request).expect("read");
            assert_eq!(call.body().expect("kept"), data);
            let Some(model_call) = call.model_call() else {
                return assert!(data.is_empty());
            };
            // A value has limits that the reader does not need: numbers beyond a float, halves of surrogates.
            assert_ne!(is_object.ok(), Some(false));
            let was_asked = model_call.include_usage || !model_call.stream;
            asks(request, data, was_asked);
        }
        Err(_) => assert_ne!(is_object.ok(), Some(true)),
    }
}

fn asks(request: Request<StreamOf>, data: &[u8], was_asked: bool) {
    let service = service_fn(|request: Request<StreamOf>| async move {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(
            request.into_body().0.concat(),
        ))))
    });
    let layer = MeterLayer::new(LEDGER.clone());
    let answer = layer.layer(service).oneshot(request).now_or_never();
    let answer = answer.expect("at once").expect("infallible");
    let sent = answer.into_body().collect().now_or_never();
    let sent = sent.expect("at once").expect("infallible").to_bytes();
    if sent == data {
        return;
    }
    assert!(!was_asked, "asked twice");
    if let Ok(mut original) = serde_json::from_slice::<Value>(data) {
        if !original["stream_options"].is_object() {
            original["stream_options"] = Value::Object(serde_json::Map::new());
        }
        original["stream_options"]["include_usage"] = Value::Bool(true);
        let sent: Value = serde_json::from_slice(&sent).expect("JSON still");
        assert_eq!(sent, original);
    }
}

/// What comes out of a stream is what went in without at most one event, and does not depend on the cuts.
///
/// First byte: the length of the pieces.
pub(crate) fn usage_event(data: &[u8]) {
    let (piece, data) = steer(data);
    let whole = sorted(data, data.len());
    assert_eq!(sorted(data, piece), whole);
    assert_eq!(sorted(data, 1), whole);
    let start = data.iter().zip(&whole).take_while(|(a, b)| a == b).count();
    let end = whole.len() - start;
    assert!(data.len() >= whole.len() && data.ends_with(&whole[whole.len() - end..]));
    assert!(data.len() - whole.len() <= 8 * 1024 + 1);
}

fn sorted(data: &[u8], piece: usize) -> Vec<u8> {
    let pieces: Vec<Bytes> = data
        .chunks(piece.max(1))
        .map(Bytes::copy_from_slice)
        .collect();
    let service = service_fn(move |_: Request<Full<Bytes>>| {
        let frames =
            stream::iter(pieces.clone()).map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
        async {
            Response::builder()
                .header("content-type", "text/event-stream")
                .body(StreamBody::new(frames))
        }
    });
    let request = Request::post(PATHS[0])
        .body(Full::from(r#"{"model":"qwen-plus","stream":true}"#))
        .expect("a request");
    let answer = MeterLayer::new(LEDGER.clone())
        .layer(service)
        .oneshot(request);
    let answer = answer.now_or_never().expect("at once").expect("an answer");
    let body = answer.into_body().collect().now_or_never();
    body.expect("at once")
        .expect("infallible")
        .to_bytes()
        .to_vec()
}

/// An error answer is classified, whatever its headers and body say. Lines up to an empty one are headers.
pub(crate) fn hint(data: &[u8]) {
    let (status, data) = steer(data);
    let status = StatusCode::from_u16(400 + status as u16 % 200).expect("a status");
    let mut headers = HeaderMap::new();
    let mut rest = data;
    while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
        let line = &rest[..end];
        rest = &rest[end + 1..];
        let Some(colon) = line.iter().position(|&byte| byte == b':') else {
            break;
        };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(&line[colon + 1..]);
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
    let verdict = Verdict::of_response(status, &headers, rest, now);
    assert_eq!(verdict.status(), Some(status));
    let again = Verdict::of_response(status, &headers, rest, now);
    assert_eq!(verdict.retry_after(), again.retry_after());
}

/// A body in pieces that can be made of bytes.
struct StreamOf(Vec<Vec<u8>>);

impl From<Bytes> for StreamOf {
    fn from(bytes: Bytes) -> Self {
        Self(vec![bytes.to_vec()])
    }
}

impl http_body::Body for StreamOf {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.0.is_empty() {
            return std::task::Poll::Ready(None);
        }
        let piece = self.0.remove(0);
        std::task::Poll::Ready(Some(Ok(Frame::data(piece.into()))))
    }
}
