//! Requesting usage for a caller that did not, and removing the usage event again.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use proptest::prelude::*;
use serde_json::Value;
use tower::{Layer, ServiceExt, service_fn};
use tower_qwen_tokens::{
    Basis, Call, End, Ledger, MeterLayer, Verdict,
    call::{ReadCall, ReadOptions},
    meter::ResponseBody,
};

use crate::support::{Recorder, STREAM, Script, Step, WHOLE, answer, seen, stream, unread};

const WITHOUT_USAGE: &str = r#"{"model":"qwen-plus","stream":true,"messages":[]}"#;
const WITH_USAGE: &str =
    r#"{"model":"qwen-plus","stream":true,"stream_options":{"include_usage":true},"messages":[]}"#;
const USAGE_EVENT: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":22,\"completion_tokens\":17,\"total_tokens\":39}}\n\n";
const CONTENT: &str =
    "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"index\":0}],\"usage\":null}\n\n";
const LAST: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"\"},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n";
const DONE: &str = "data: [DONE]\n\n";

fn request(body: &'static str) -> (Request<Script>, Arc<Recorder>) {
    let (mut request, recorder) = unread::<Script>();
    *request.body_mut() = Script::from(Bytes::from_static(body.as_bytes()));
    (request, recorder)
}

/// What was sent of a request: its headers and its body.
type Sent = Arc<Mutex<Option<(HeaderMap, Bytes)>>>;

async fn send(
    layer: MeterLayer,
    request: Request<Script>,
    answer: Response<Script>,
) -> (Response<ResponseBody<Script>>, HeaderMap, Bytes) {
    let sent = Sent::default();
    let service = service_fn(|request: Request<Script>| {
        let (sent, answer) = (Arc::clone(&sent), answer.clone());
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.expect("a body").to_bytes();
            *sent.lock().expect("no panic while held") = Some((parts.headers, body));
            Ok::<_, Infallible>(answer)
        }
    });
    let answer = layer.layer(service).oneshot(request).await;
    let sent = sent.lock().expect("no panic while held").take();
    let (headers, body) = sent.expect("sent");
    (answer.expect("infallible"), headers, body)
}

fn meter() -> MeterLayer {
    MeterLayer::new(Ledger::default())
}

/// What comes out of a stream of these chunks where the Meter has asked.
async fn filtered(chunks: impl IntoIterator<Item = Step>) -> String {
    let (request, recorder) = request(WITHOUT_USAGE);
    let (answer, ..) = send(meter(), request, stream(Script::of(chunks))).await;
    let body = answer.into_body().collect().await.expect("no error");
    assert_eq!(recorder.reports().len(), 1);
    String::from_utf8(body.to_bytes().to_vec()).expect("text")
}

#[tokio::test]
async fn a_caller_without_a_request_is_metered_by_an_event_that_it_does_not_see() {
    let (request, recorder) = request(WITHOUT_USAGE);
    let whole = [CONTENT, LAST, USAGE_EVENT, DONE].concat();
    let (answer, headers, body) = send(meter(), request, stream(Script::text(&whole))).await;
    assert_eq!(
        body,
        r#"{"model":"qwen-plus","stream":true,"messages":[],"stream_options":{"include_usage":true}}"#
    );
    assert!(headers.get("content-length").is_none());
    let body = answer.into_body().collect().await.expect("no error");
    assert_eq!(body.to_bytes(), [CONTENT, LAST, DONE].concat());
    let report = recorder.report();
    assert_eq!(
        (report.basis, report.end, report.usage.total()),
        (Basis::Reported, End::Complete, Some(39))
    );
}

/// A gateway's Meter above, a client's below, with a retry between them that sends the body of the call it finds.
#[tokio::test]
async fn an_inner_meter_leaves_the_event_to_the_outer_one() {
    let (request, recorder) = request(WITHOUT_USAGE);
    let whole = [CONTENT, LAST, USAGE_EVENT, DONE].concat();
    let transport = service_fn(|_: Request<Script>| {
        let answer = stream(Script::text(&whole));
        async move { Ok::<_, Infallible>(answer) }
    });
    let inner = Ledger::default();
    let client = MeterLayer::new(inner.clone()).layer(transport);
    let gateway = service_fn(|mut request: Request<Script>| {
        let call = Call::of(&request).expect("read").clone();
        assert!(call.model_call().expect("a model call").include_usage);
        *request.body_mut() = Script::from(call.body().expect("kept").clone());
        client.clone().oneshot(request)
    });
    let answer = meter().layer(gateway).oneshot(request).await;
    let body = answer.expect("infallible").into_body().collect().await;
    assert_eq!(
        body.expect("no error").to_bytes(),
        [CONTENT, LAST, DONE].concat()
    );
    assert_eq!(recorder.report().basis, Basis::Reported);
    let inner = inner.snapshot().total;
    assert_eq!(
        (inner.calls, inner.estimated, inner.output_tokens),
        (1, 0, 17)
    );
}

#[tokio::test]
async fn the_length_is_corrected() {
    let (mut request, _) = request(WITHOUT_USAGE);
    let length = WITHOUT_USAGE.len().to_string().parse().expect("a value");
    request.headers_mut().insert("content-length", length);
    let (_, headers, body) = send(meter(), request, stream(Script::default())).await;
    assert!(body.len() > WITHOUT_USAGE.len());
    assert_eq!(headers["content-length"], body.len().to_string());
}

#[tokio::test]
async fn what_must_not_change_does_not() {
    let header = |name: &'static str, value: &str| {
        let (mut request, _) = request(WITHOUT_USAGE);
        request
            .headers_mut()
            .insert(name, value.parse().expect("a value"));
        request
    };
    let native = || {
        let (mut request, _) = request(WITHOUT_USAGE);
        *request.uri_mut() = "https://host.example/api/v1/services/aigc/text-generation/generation"
            .parse()
            .expect("a URI");
        request
    };
    let unrelated = header("authorization", "Bearer sk-x");
    let (_, _, body) = send(meter(), unrelated, stream(Script::default())).await;
    assert_ne!(body, WITHOUT_USAGE, "an ordinary key signs nothing");
    for (layer, request) in [
        (meter().request_usage(false), request(WITHOUT_USAGE).0),
        (meter(), native()),
        (meter(), header("content-encoding", "gzip")),
        (meter(), header("content-length", "7")),
        (meter(), header("signature", "sig1=:x:")),
        (meter(), header("content-digest", "sha-256=:x:")),
        (meter(), header("digest", "SHA-256=x")),
        (meter(), header("x-amz-content-sha256", "x")),
        (meter(), header("x-acs-content-sha256", "x")),
        (meter(), header("authorization", "AWS4-HMAC-SHA256 x")),
        (meter(), header("authorization", "ACS3-HMAC-SHA256 x")),
        (meter(), header("authorization", "Signature keyId=x")),
    ] {
        let headers = request.headers().clone();
        let (_, sent, body) = send(layer, request, stream(Script::default())).await;
        assert_eq!(body, WITHOUT_USAGE, "{headers:?}");
        assert_eq!(sent, headers);
    }
    for body in [
        WITH_USAGE,
        r#"{"model":"qwen-plus","messages":[]}"#,
        r#"{"model":"qwen-plus","stream":false}"#,
        r#"{"stream":true,"stream_options":[]}"#,
    ] {
        let (_, _, sent) = send(meter(), request(body).0, stream(Script::default())).await;
        assert_eq!(sent, body);
    }
}

#[tokio::test]
async fn a_body_that_another_layer_replaced_is_not_changed() {
    let read = ReadCall::new(request(WITHOUT_USAGE).0, &ReadOptions::default()).await;
    let mut request = read.expect("readable");
    *request.body_mut() = Script::text("another");
    let (_, _, body) = send(meter(), request, stream(Script::default())).await;
    assert_eq!(body, "another");
}

#[tokio::test]
async fn every_attempt_sends_the_same_copy() {
    let read = ReadCall::new(request(WITHOUT_USAGE).0, &ReadOptions::default()).await;
    let request = read.expect("readable");
    let call = Call::of(&request).map(Arc::clone).expect("read");
    let mut bodies = Vec::new();
    for _ in 0..3 {
        let mut attempt = Request::post(request.uri().clone())
            .extension(Arc::clone(&call))
            .body(Script::from(call.body().expect("kept").clone()))
            .expect("a request");
        *attempt.headers_mut() = request.headers().clone();
        bodies.push(send(meter(), attempt, stream(Script::default())).await.2);
    }
    assert_eq!(call.body().expect("kept"), WITHOUT_USAGE);
    assert!(bodies.iter().all(|body| body.len() > WITHOUT_USAGE.len()));
    assert!(
        bodies
            .iter()
            .all(|body| body.as_ptr() == bodies[0].as_ptr()),
        "one copy"
    );
}

#[tokio::test]
async fn the_event_is_removed_whatever_the_stream_is_called() {
    let whole = [CONTENT, LAST, USAGE_EVENT, DONE].concat();
    for called in ["text/plain", "application/json", "application/octet-stream"] {
        for piece in [1, 3, whole.len()] {
            let pieces = whole.as_bytes().chunks(piece);
            let steps = pieces.map(|piece| Step::Data(Bytes::copy_from_slice(piece)));
            let response = answer(called, Script::of(steps));
            let (answer, ..) = send(meter(), request(WITHOUT_USAGE).0, response).await;
            let body = answer.into_body().collect().await.expect("no error");
            assert_eq!(body.to_bytes(), [CONTENT, LAST, DONE].concat(), "{called}");
        }
    }
}

#[tokio::test]
async fn json_under_any_name_comes_through_as_it_is() {
    for called in ["text/plain", "application/json"] {
        for piece in [1, 3, WHOLE.len()] {
            let pieces = WHOLE.as_bytes().chunks(piece);
            let steps = pieces.map(|piece| Step::Data(Bytes::copy_from_slice(piece)));
            let response = answer(called, Script::of(steps));
            let (answer, ..) = send(meter(), request(WITHOUT_USAGE).0, response).await;
            let body = answer.into_body().collect().await.expect("no error");
            assert_eq!(body.to_bytes(), WHOLE, "{called}");
        }
    }
}

/// llama-server ends each of several answers with a usage of its own.
#[tokio::test]
async fn as_many_events_are_removed_as_answers_were_asked_for() {
    let two = r#"{"model":"qwen-plus","n":2,"stream":true,"messages":[]}"#;
    let whole = [CONTENT, LAST, USAGE_EVENT, CONTENT, LAST, USAGE_EVENT, DONE].concat();
    for ending in ["\n", "\r\n"] {
        let whole = whole.replace('\n', ending);
        let expected = [CONTENT, LAST, CONTENT, LAST, DONE]
            .concat()
            .replace('\n', ending);
        for piece in [1, 3, whole.len()] {
            let pieces = whole.as_bytes().chunks(piece);
            let steps = pieces.map(|piece| Step::Data(Bytes::copy_from_slice(piece)));
            let (answer, ..) = send(meter(), request(two).0, stream(Script::of(steps))).await;
            let body = answer.into_body().collect().await.expect("no error");
            assert_eq!(body.to_bytes(), expected);
        }
    }
}

#[tokio::test]
async fn the_answer_stays_whole_if_the_event_cannot_be_removed() {
    let with = |name: &'static str, value: &'static str| {
        let mut response = stream(Script::text(STREAM));
        response
            .headers_mut()
            .insert(name, value.parse().expect("a value"));
        response
    };
    for response in [
        with("content-length", "1"),
        with("content-encoding", "gzip"),
        with("content-digest", "sha-256=:x:"),
        answer("text/html", Script::text(STREAM)),
    ] {
        let (answer, ..) = send(meter(), request(WITHOUT_USAGE).0, response).await;
        assert_eq!(
            answer.body().size_hint().exact(),
            Some(STREAM.len() as u64),
            "{:?}",
            answer.headers()
        );
        let body = answer.into_body().collect().await.expect("no error");
        assert_eq!(body.to_bytes(), STREAM);
    }
}

#[tokio::test]
async fn only_one_event_is_removed_and_only_a_usage_event() {
    for (sent, expected) in [
        ([USAGE_EVENT, USAGE_EVENT].concat(), USAGE_EVENT.to_owned()),
        ([CONTENT, USAGE_EVENT].concat(), CONTENT.to_owned()),
        (USAGE_EVENT.trim_end().to_owned(), String::new()),
        ([DONE, USAGE_EVENT].concat(), DONE.to_owned()),
        (
            format!(": a comment\nid: 1\n{USAGE_EVENT}{DONE}"),
            DONE.to_owned(),
        ),
        (
            "data: { \"usage\" : {}, \"choices\" : [ ] }\n\n".to_owned(),
            String::new(),
        ),
        (
            "data: {\"usage\":{},\ndata: \"choices\":[]}\n\n".to_owned(),
            String::new(),
        ),
    ] {
        assert_eq!(filtered([Step::data(&sent)]).await, expected, "{sent}");
    }
    for kept in [
        "data: {\"choices\":[]}\n\n",
        "data: {\"choices\":[],\"usage\":null}\n\n",
        "data: {\"choices\":[null],\"usage\":{}}\n\n",
        "data: {\"choices\":[{}],\"usage\":{}}\n\n",
        "data: {\"choices\":[1],\"usage\":{}}\n\n",
        "data: {\"choices\":[1],\"choices\":[],\"usage\":{}}\n\n",
        "data: {\"choices\":{},\"usage\":{}}\n\n",
        "data: {\"choices\":null,\"usage\":{}}\n\n",
        "data: {\"choices\":\"\",\"usage\":{}}\n\n",
        "data: {\"usage\":{\"total_tokens\":7}}\n\n",
        "data: {\"choices\":[],\"x\":{\"usage\":{}}}\n\n",
        "data: {\"x\":{\"choices\":[]},\"usage\":{}}\n\n",
        "data: {\"choices\":[],\"usage\":{\n\n",
        "data: {\"choices\":[],\"usage\":{}\n\n",
        "data: {\"choices\":[],\"usage\":{},\"error\":{\"code\":\"x\"}}\n\n",
        "event: error\ndata: {\"choices\":[],\"usage\":{}}\n\n",
        "id: {\"choices\":[],\"usage\":{}}\n\n",
        ": {\"choices\":[],\"usage\":{}}\n\n",
        "{\"choices\":[],\"usage\":{}}\n\n",
        "data: {\"choices\":[],\"usa",
        ": keep-alive\n\n",
        "",
    ] {
        assert_eq!(filtered([Step::data(kept)]).await, kept);
        let bytes = kept.as_bytes().chunks(1);
        let steps = bytes.map(|byte| Step::Data(Bytes::copy_from_slice(byte)));
        assert_eq!(filtered(steps).await, kept, "byte by byte");
    }
}

#[tokio::test]
async fn content_is_not_held_and_a_possible_usage_event_is() {
    let (request, _) = request(WITHOUT_USAGE);
    let (start, end) = USAGE_EVENT.split_at(30);
    let (begin, rest) = CONTENT.split_at(30);
    let script = [CONTENT, begin, rest, start].map(Step::data);
    let script = Script::of(script)
        .with(Step::Wait)
        .with(Step::data(end))
        .with(Step::data(DONE));
    let (answer, ..) = send(meter(), request, stream(script)).await;
    let mut body = answer.into_body();
    for expected in [CONTENT, begin, rest, DONE] {
        assert_eq!(crate::support::next_data(&mut body).await, expected);
    }
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn no_more_than_eight_kilobytes_are_held() {
    let padding = "x".repeat(8_100);
    for (padding, is_taken) in [(padding.clone(), true), (padding + &"x".repeat(100), false)] {
        let event = format!("data: {{\"id\":\"{padding}\",\"choices\":[],\"usage\":{{}}}}\n\n");
        let expected = if is_taken { "" } else { &*event };
        assert_eq!(filtered([Step::data(&event)]).await, expected);
        let chunks = event.as_bytes().chunks(1_000);
        let chunks = chunks.map(|chunk| Step::Data(Bytes::copy_from_slice(chunk)));
        assert_eq!(filtered(chunks).await, expected);
    }
    let endless = Script::of((0..9).map(|_| Step::data(&"x".repeat(1_000))));
    let (answer, ..) = send(meter(), request(WITHOUT_USAGE).0, stream(endless)).await;
    let mut body = answer.into_body();
    let first = crate::support::next_data(&mut body).await;
    assert_eq!(first.len(), 8_000, "what was held goes on in one piece");
    assert_eq!(crate::support::next_data(&mut body).await.len(), 1_000);
}

#[tokio::test]
async fn trailers_and_errors_come_after_what_was_held() {
    let cut = "data: {\"choices\":[],";
    for last in [Step::Trailers, Step::Fail] {
        let script = Script::text(cut).with(last.clone()).with(Step::data("x"));
        let (answer, ..) = send(meter(), request(WITHOUT_USAGE).0, stream(script)).await;
        let frames = seen(answer.into_body(), false).await;
        assert_eq!(frames.len(), 3, "{frames:?}");
        assert!(frames[0].contains("choices"), "{frames:?}");
        assert_eq!(frames[1] == "error", matches!(last, Step::Fail));
    }
}

#[tokio::test]
async fn an_error_event_is_seen_and_reported() {
    let (request, recorder) = request(WITHOUT_USAGE);
    let body = include_str!("../fixtures/compat_throttled.sse");
    let (answer, ..) = send(meter(), request, stream(Script::text(body))).await;
    let sent = answer.into_body().collect().await.expect("no error");
    assert_eq!(sent.to_bytes(), body);
    assert!(
        recorder
            .report()
            .verdict
            .as_ref()
            .is_some_and(Verdict::is_throttle)
    );
}

#[tokio::test]
async fn the_size_is_not_exact_until_the_event_has_come() {
    let script = [CONTENT, USAGE_EVENT, DONE].map(Step::data);
    let (answer, ..) = send(
        meter(),
        request(WITHOUT_USAGE).0,
        stream(Script::of(script)),
    )
    .await;
    let mut body = answer.into_body();
    assert_eq!(body.size_hint().exact(), None);
    let whole = [CONTENT, USAGE_EVENT, DONE].concat().len() as u64;
    assert_eq!(body.size_hint().upper(), Some(whole));
    crate::support::next_data(&mut body).await;
    assert_eq!(body.size_hint().exact(), None);
    crate::support::next_data(&mut body).await;
    assert_eq!(body.size_hint().exact(), Some(0));
}

/// Is this event one that the Meter's asking brings? By a full parser.
#[tokio::test]
async fn cut_events_that_match_the_template_are_not_held() {
    let body = [CONTENT, CONTENT, CONTENT, USAGE_EVENT, CONTENT, DONE].concat();
    let without = [CONTENT, CONTENT, CONTENT, CONTENT, DONE].concat();
    for at in 0..=body.len() {
        let (left, right) = body.split_at(at);
        let steps = [left, right].map(|piece| Step::Data(Bytes::copy_from_slice(piece.as_bytes())));
        assert_eq!(filtered(steps).await, without, "cut at {at}");
    }
    let bytes = body.bytes().map(|byte| Step::Data(vec![byte].into()));
    assert_eq!(filtered(bytes).await, without);
}

fn is_usage_event(event: &str) -> bool {
    let data: Vec<&str> = event
        .split(['\n', '\r'])
        .filter_map(|line| line.strip_prefix("data:"))
        .collect();
    let value: Value = serde_json::from_str(&data.join("\n")).unwrap_or_default();
    value["choices"].as_array().is_some_and(Vec::is_empty)
        && value["usage"].is_object()
        && value.get("error").is_none()
        && !event.contains("event: error")
}

fn events() -> impl Strategy<Value = Vec<String>> {
    let event = prop_oneof![
        4 => "[a-z你🙂\\\\{}\\[\\] \"]{0,8}".prop_map(|text| {
            let text = Value::from(text);
            format!("data: {{\"choices\":[{{\"delta\":{{\"content\":{text}}},\"index\":0}}],\"usage\":null}}\n\n")
        }),
        2 => Just(USAGE_EVENT.to_owned()),
        4 => prop::sample::select(vec![
            LAST, DONE, ": keep-alive\n\n", "\n", "event: error\ndata: {\"choices\":[],\"usage\":{}}\n\n",
            "data: {\"choices\":[],\"usage\":null}\n\n", "data: {\"usage\":{\"total_tokens\":1}}\n\n", "data: x\n\n",
            "data: {\"choices\":[],\ndata: \"usage\":{}}\n\n", "id: 7\ndata:{\"usage\":{\"a\":[{}]},\"choices\":[ ]}\n\n",
            "data: {\"choices\":[],\"usage\":{},\"error\":{\"code\":\"Throttling\"}}\n\n", "data\n\n",
        ]).prop_map(str::to_owned),
        1 => (7_000..9_000_usize).prop_map(|length| {
            let padding = "x".repeat(length);
            format!("data: {{\"choices\":[],\"id\":\"{padding}\",\"usage\":{{}}}}\n\n")
        }),
    ];
    let ending = prop::sample::select(vec!["\n", "\r\n", "\r"]);
    let event = (event, ending).prop_map(|(event, ending)| event.replace('\n', ending));
    prop::collection::vec(event, 0..12)
}

/// A stream cut into frames at these places.
fn frames(body: &str, cuts: &[prop::sample::Index]) -> Vec<Step> {
    let mut borders: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
    borders.extend([0, body.len()]);
    borders.sort_unstable();
    borders
        .windows(2)
        .map(|pair| Step::Data(Bytes::copy_from_slice(&body.as_bytes()[pair[0]..pair[1]])))
        .collect()
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(test)
}

proptest! {
    /// What the Meter asked for is what goes, and nothing else, wherever the stream is cut.
    #[test]
    fn the_stream_is_the_same_without_its_extra_event(
        events in events(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        announces_end in any::<bool>(),
    ) {
        // A line feed behind a carriage return belongs to the break before it.
        let is_mixed = events.windows(2).any(|pair| pair[0].ends_with('\r') && pair[1].starts_with('\n'));
        prop_assume!(!is_mixed);
        let taken = events.iter().position(|event| is_usage_event(event) && event.len() <= 8 * 1024);
        let mut rest = events.clone();
        if let Some(taken) = taken {
            rest.remove(taken);
        }
        let mut script = Script::of(frames(&events.concat(), &cuts));
        script.announces_end = announces_end;
        let (request, recorder) = request(WITHOUT_USAGE);
        let body = run(async {
            let (answer, ..) = send(meter(), request, stream(script)).await;
            answer.into_body().collect().await.expect("no error").to_bytes()
        });
        prop_assert_eq!(String::from_utf8_lossy(&body), rest.concat());
        prop_assert_eq!(recorder.report().end, End::Complete);
    }

    /// Where the Meter has not asked, the stream is the one that was sent: bytes, borders and hints.
    #[test]
    fn the_stream_is_untouched_where_the_meter_did_not_ask(
        events in events(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        announces_end in any::<bool>(),
        requests_usage in any::<bool>(),
    ) {
        let mut script = Script::of(frames(&events.concat(), &cuts));
        script.announces_end = announces_end;
        let (request, recorder) = request(if requests_usage { WITH_USAGE } else { WITHOUT_USAGE });
        run(async {
            let plain = seen(script.clone(), true).await;
            let layer = meter().request_usage(requests_usage);
            let (answer, ..) = send(layer, request, stream(script)).await;
            prop_assert_eq!(seen(answer.into_body(), true).await, plain);
            prop_assert_eq!(recorder.reports().len(), 1);
            Ok(())
        })?;
    }

    /// Fewer bytes than the lower bound never come, nor more than the upper one.
    #[test]
    fn the_hints_hold(
        events in events(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let script = Script::of(frames(&events.concat(), &cuts));
        run(async {
            let (answer, ..) = send(meter(), request(WITHOUT_USAGE).0, stream(script)).await;
            let mut body = answer.into_body();
            let mut hints = vec![(0, body.size_hint())];
            let mut given = 0;
            while let Some(frame) = body.frame().await {
                given += frame.expect("no error").into_data().expect("data").len() as u64;
                hints.push((given, body.size_hint()));
            }
            for (before, hint) in hints {
                let left = given - before;
                prop_assert!(hint.lower() <= left && hint.upper().is_none_or(|upper| left <= upper));
            }
            Ok(())
        })?;
    }
}
