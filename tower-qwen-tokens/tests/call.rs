//! Reading requests: what every dialect asks for, and that the request goes on unchanged.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::FutureExt;
use http::Request;
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use proptest::prelude::*;
use serde_json::{Value, json};
use tower_qwen_tokens::{
    Call, Deadline, Dialect,
    call::{ModelCall, ParseErrorKind, ReadCall, ReadError, ReadOptions, UnbufferedBody},
    estimate::estimate_text,
    internal::clock,
};

/// A body of chunks, of unknown length; `None` is an error.
#[derive(Debug, Clone, PartialEq)]
struct Chunks(Vec<Option<Bytes>>);

#[derive(Debug)]
struct Broken;

impl From<Bytes> for Chunks {
    fn from(bytes: Bytes) -> Self {
        Self(vec![Some(bytes)])
    }
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.0.is_empty() {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(self.0.remove(0).map(Frame::data).ok_or(Broken)))
    }
}

fn post(path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post(path)
        .header("content-type", "application/json")
        .body(Full::new(body.into()))
        .expect("a request")
}

fn read<B: Body + From<Bytes>>(request: Request<B>) -> Result<Request<B>, ReadError<B::Error>> {
    ReadCall::new(request, &ReadOptions::default())
        .now_or_never()
        .expect("nothing to wait for")
}

fn call_of(request: Request<Full<Bytes>>) -> Arc<Call> {
    let request = read(request).expect("a readable request");
    Arc::clone(Call::of(&request).expect("a call"))
}

fn model_call(path: &str, body: &Value) -> ModelCall {
    call_of(post(path, body.to_string()))
        .model_call()
        .expect("a model call")
        .clone()
}

const CHAT: &str = "/compatible-mode/v1/chat/completions";
const NATIVE: &str = "/api/v1/services/aigc/text-generation/generation";
const MULTIMODAL: &str = "/api/v1/services/aigc/multimodal-generation/generation";
const TEXT: &str = "Why is the sky blue, and why are sunsets red?";

#[tokio::test]
async fn chat() {
    let call = model_call(
        CHAT,
        &json!({
            "model": "qwen-plus", "stream": true, "stream_options": {"include_usage": true}, "n": 2, "max_tokens": 100,
            "messages": [{"role": "system", "content": TEXT}, {"role": "user", "content": TEXT}]
        }),
    );
    assert_eq!(call.dialect, Dialect::Chat);
    assert_eq!(&*call.model, "qwen-plus");
    assert!(call.stream && call.include_usage);
    assert_eq!(call.incremental_output, None);
    assert_eq!(call.choices, 2);
    assert_eq!(call.output_ceiling, Some(100));
    assert_eq!(call.output_ceiling_of_all(), Some(200));
    assert_eq!(call.input_tokens, 2 * (estimate_text(TEXT) + 5) + 3);
}

#[tokio::test]
async fn defaults_of_a_bare_chat() {
    let call = model_call(CHAT, &json!({"messages": []}));
    assert_eq!(&*call.model, "");
    assert!(!call.stream && !call.include_usage);
    assert_eq!(
        (call.choices, call.output_ceiling, call.input_tokens),
        (1, None, 3)
    );
}

#[tokio::test]
async fn the_same_prompt_in_every_dialect() {
    let text = estimate_text(TEXT);
    let user = json!([{"role": "user", "content": TEXT}]);
    let parts = json!([{"role": "user", "content": [{"type": "text", "text": TEXT}]}]);
    let rows = [
        (CHAT, json!({"messages": user}), text + 8),
        (CHAT, json!({"messages": parts}), text + 8),
        ("/v1/completions", json!({"prompt": TEXT}), text),
        ("/v1/completions", json!({"prompt": [TEXT, TEXT]}), 2 * text),
        ("/v1/completions", json!({"prompt": [1, 2, 3]}), 3),
        ("/v1/completions", json!({"prompt": [[1, 2], [3]]}), 3),
        (
            "/v1/completions",
            json!({"prompt": TEXT, "suffix": TEXT}),
            2 * text,
        ),
        ("/v1/embeddings", json!({"input": TEXT}), text),
        ("/v1/embeddings", json!({"input": [TEXT, TEXT]}), 2 * text),
        ("/v1/responses", json!({"input": TEXT}), text + 8),
        (
            "/v1/responses",
            json!({"input": user, "instructions": TEXT}),
            2 * text + 13,
        ),
        (
            "/v1/responses",
            json!({"input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": TEXT}]}]}),
            text + 8,
        ),
        (
            "/apps/anthropic/v1/messages",
            json!({"system": TEXT, "messages": user}),
            2 * text + 13,
        ),
        (
            "/apps/anthropic/v1/messages",
            json!({"system": [{"type": "text", "text": TEXT}], "messages": parts}),
            2 * text + 13,
        ),
        (NATIVE, json!({"input": {"messages": user}}), text + 8),
        (NATIVE, json!({"input": {"prompt": TEXT}}), text + 8),
        (
            NATIVE,
            json!({"input": {"prompt": TEXT, "history": [{"user": TEXT, "bot": TEXT}]}}),
            3 * text + 18,
        ),
        (
            MULTIMODAL,
            json!({"input": {"messages": [{"role": "user", "content": [{"text": TEXT}]}]}}),
            text + 8,
        ),
        (
            "/api/v1/services/embeddings/text-embedding/text-embedding",
            json!({"input": {"texts": [TEXT, TEXT]}}),
            2 * text,
        ),
        (
            "/v1/generate",
            json!({"prompt": TEXT, "max_tokens": 50}),
            text + 8,
        ),
    ];
    for (path, body, tokens) in rows {
        assert_eq!(
            model_call(path, &body).input_tokens,
            tokens,
            "{path} {body}"
        );
    }
}

#[tokio::test]
async fn what_is_no_text_counts_too() {
    let image = "data:image/png;base64,".to_owned() + &"A".repeat(100_000);
    let with = |content: Value| {
        model_call(
            CHAT,
            &json!({"messages": [{"role": "user", "content": content}]}),
        )
        .input_tokens
    };
    assert_eq!(
        with(json!([{"type": "image_url", "image_url": {"url": image}}])),
        1_280 + 8
    );
    assert_eq!(with(json!([{"type": "image_url", "image_url": null}])), 8);
    assert_eq!(
        with(json!([{"type": "input_audio", "input_audio": {"data": image}}])),
        750 + 8
    );
    assert_eq!(
        with(json!([{"type": "video_url", "video_url": {"url": "x"}}])),
        4_096 + 8
    );
    let native = json!({"input": {"messages": [{"role": "user", "content": [{"image": "http://x/y.png"}, {"text": TEXT}]}]}});
    assert_eq!(
        model_call(MULTIMODAL, &native).input_tokens,
        1_280 + 8 + estimate_text(TEXT)
    );
}

#[tokio::test]
async fn tools_count_as_their_schema() {
    // 123 tokens in the Qwen2 vocabulary.
    let tool = json!({"type": "function", "function": {"name": "get_current_weather", "description": "Get the current weather in a given location", "parameters": {"type": "object", "properties": {"location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}, "days": {"type": "integer", "minimum": 1, "maximum": 14}}, "required": ["location"], "additionalProperties": false}}});
    let with =
        |tools: Value| model_call(CHAT, &json!({"messages": [], "tools": tools})).input_tokens;
    let schema = with(json!([tool])) - 92 - 3;
    assert!((105..=145).contains(&schema), "{schema}");
    assert!(with(json!([tool, tool])) >= 92 + 2 * schema - 3);
    assert!(with(json!([])) < 6 && with(json!(null)) < 7);
    let spoken = model_call(
        CHAT,
        &json!({"messages": [{"role": "assistant", "content": null, "tool_calls": [
            {"id": "call_0123456789", "type": "function", "function": {"name": "get_current_weather", "arguments": "{\"location\": \"Boston, MA\"}"}}
        ]}]}),
    );
    assert!(
        (20..=40).contains(&spoken.input_tokens),
        "{}",
        spoken.input_tokens
    );
}

#[tokio::test]
async fn earlier_thinking_counts_where_it_is_preserved() {
    let with = |preserve: Value| {
        let messages = json!([{"role": "assistant", "content": "", "reasoning_content": TEXT}]);
        model_call(
            CHAT,
            &json!({"messages": messages, "preserve_thinking": preserve}),
        )
        .input_tokens
    };
    assert_eq!(with(json!(true)) - with(json!(false)), estimate_text(TEXT));
    // Nobody says so: then a template may keep them.
    let some = TEXT.len().div_ceil(4) as u64;
    assert_eq!(with(json!(null)) - with(json!(false)), some);
    let of_model = |model: &str| {
        let messages = json!([{"role": "assistant", "content": "", "reasoning_content": TEXT}]);
        model_call(CHAT, &json!({"messages": messages, "model": model})).input_tokens
    };
    assert_eq!(of_model("qwen3.8-max"), with(json!(true)));
    assert_eq!(of_model("qwen-plus"), with(json!(null)));
}

#[tokio::test]
async fn output_ceilings() {
    let rows = [
        (CHAT, json!({"max_tokens": 7}), Some(7)),
        (CHAT, json!({"model": "qwen3-32b", "max_tokens": 7}), None),
        (
            CHAT,
            json!({"model": "qwen3-32b", "max_tokens": 7, "enable_thinking": false}),
            Some(7),
        ),
        (
            CHAT,
            json!({"model": "qwen3.7-plus", "max_tokens": 7, "thinking_budget": 5}),
            Some(12),
        ),
        (
            CHAT,
            json!({"model": "qwen3.7-plus", "max_completion_tokens": 9}),
            Some(9),
        ),
        (
            CHAT,
            json!({"max_tokens": 7, "enable_thinking": false}),
            Some(7),
        ),
        (
            CHAT,
            json!({"max_tokens": 7, "enable_thinking": true}),
            None,
        ),
        (
            CHAT,
            json!({"max_tokens": 7, "enable_thinking": true, "thinking_budget": 5}),
            Some(12),
        ),
        (
            CHAT,
            json!({"max_tokens": 7, "thinking_budget": 5}),
            Some(12),
        ),
        (
            CHAT,
            json!({"max_tokens": 7, "enable_thinking": false, "thinking_budget": 5}),
            Some(7),
        ),
        (
            CHAT,
            json!({"enable_thinking": true, "thinking_budget": 5}),
            None,
        ),
        (
            CHAT,
            json!({"max_completion_tokens": 9, "max_tokens": 7, "enable_thinking": true}),
            Some(9),
        ),
        (
            CHAT,
            json!({"max_tokens": 7, "chat_template_kwargs": {"enable_thinking": true}}),
            None,
        ),
        (
            CHAT,
            json!({"max_tokens": 7, "reasoning_effort": "low"}),
            None,
        ),
        (
            CHAT,
            json!({"max_tokens": 7, "reasoning_effort": "none"}),
            Some(7),
        ),
        (CHAT, json!({"max_tokens": 7.0}), Some(7)),
        (CHAT, json!({"max_tokens": -7}), None),
        (CHAT, json!({"max_tokens": "7"}), Some(7)),
        (CHAT, json!({"max_tokens": null}), None),
        (
            CHAT,
            json!({"max_tokens": u64::MAX, "thinking_budget": 5}),
            Some(u64::MAX),
        ),
        (CHAT, json!({}), None),
        ("/v1/completions", json!({"max_tokens": 7}), Some(7)),
        (
            "/v1/responses",
            json!({"max_output_tokens": 7, "reasoning": {"effort": "high"}}),
            Some(7),
        ),
        ("/v1/responses", json!({}), None),
        ("/v1/embeddings", json!({"input": "x"}), Some(0)),
        (
            "/v1/messages",
            json!({"max_tokens": 7, "thinking": {"type": "enabled", "budget_tokens": 5}}),
            Some(7),
        ),
        (NATIVE, json!({"parameters": {"max_tokens": 7}}), Some(7)),
        (NATIVE, json!({"max_tokens": 7}), None),
        (
            NATIVE,
            json!({"parameters": {"max_tokens": 7, "enable_thinking": true, "thinking_budget": 5}}),
            Some(12),
        ),
        (
            "/v1/generate",
            json!({"prompt": "x", "max_tokens": 7}),
            Some(7),
        ),
    ];
    for (path, body, ceiling) in rows {
        assert_eq!(
            model_call(path, &body).output_ceiling,
            ceiling,
            "{path} {body}"
        );
    }
    assert_eq!(
        model_call(NATIVE, &json!({"parameters": {"n": 3}})).choices,
        3
    );
    for (body, expected) in [
        (
            json!({"parameters": {"incremental_output": true}}),
            Some(true),
        ),
        (
            json!({"parameters": {"incremental_output": false}}),
            Some(false),
        ),
        (json!({"parameters": {"incremental_output": null}}), None),
        (json!({"incremental_output": true}), None),
    ] {
        assert_eq!(model_call(NATIVE, &body).incremental_output, expected);
    }
    for (n, choices) in [
        (json!(0), 1),
        (json!(u64::MAX), u32::MAX),
        (json!("2"), 2),
        (json!("two"), 1),
    ] {
        assert_eq!(model_call(CHAT, &json!({"n": n})).choices, choices);
    }
}

#[test]
fn each_prompt_of_a_list_has_answers_of_its_own() {
    for (body, answers) in [
        (json!({"prompt": "Hi"}), 1),
        (json!({"prompt": ["Hi", "Hi", "Hi"]}), 3),
        (json!({"prompt": ["Hi", "Hi"], "n": 3}), 6),
        (json!({"prompt": "Hi", "n": 2, "best_of": 5}), 5),
        (json!({"prompt": "Hi", "best_of": "4"}), 4),
        (json!({"prompt": ["Hi", "Hi"], "n": 3, "best_of": 1}), 6),
        // Tokens: of one prompt, and of two.
        (json!({"prompt": [15339, 11, 1917]}), 1),
        (json!({"prompt": [[15339, 11], [1917]]}), 2),
        (json!({"prompt": []}), 1),
        (json!({"prompt": ["Hi", "Hi"], "n": u64::MAX}), u32::MAX),
    ] {
        let path = "/v1/completions";
        assert_eq!(model_call(path, &body).answers, answers, "{body}");
    }
    // What is one question elsewhere stays one.
    let messages = json!([{"role": "user", "content": [{"type": "text", "text": "Hi"}]}, {"role": "user", "content": "Hi"}]);
    assert_eq!(
        model_call(CHAT, &json!({"messages": messages, "best_of": 2})).answers,
        2
    );
    let ids = |body| model_call("/v1/completions", &body).input_tokens;
    assert_eq!(
        ids(json!({"prompt": [[15339, 11], [1917]]})),
        ids(json!({"prompt": [1, 2, 3]}))
    );
}

#[tokio::test]
async fn a_native_stream_is_asked_for_by_a_header() {
    let stream = |path: &str, name: &str, value: &str, body: &str| {
        let mut request = post(path, body.to_owned());
        let name = http::HeaderName::try_from(name).expect("a name");
        request
            .headers_mut()
            .insert(name, value.parse().expect("a value"));
        call_of(request).model_call().expect("a model call").stream
    };
    assert!(stream(NATIVE, "X-DashScope-SSE", "enable", "{}"));
    assert!(stream(
        NATIVE,
        "accept",
        "application/json, text/event-stream",
        "{}"
    ));
    assert!(!stream(NATIVE, "X-DashScope-SSE", "disable", "{}"));
    assert!(!stream(
        NATIVE,
        "accept",
        "application/json",
        r#"{"stream":true}"#
    ));
    assert!(!stream(CHAT, "X-DashScope-SSE", "enable", "{}"));
    assert!(stream(CHAT, "accept", "*/*", r#"{"stream":true}"#));
}

#[tokio::test]
async fn a_body_of_one_chunk_is_neither_copied_nor_changed() {
    let bytes = Bytes::from(format!(
        "  {{\"model\":\"qwen-plus\",\"messages\":[],\"x\":\"{TEXT}\"}}\n"
    ));
    let request = read(post(CHAT, bytes.clone())).expect("a readable request");
    let call = Arc::clone(Call::of(&request).expect("a call"));
    let kept = call.body().expect("kept").clone();
    let sent = request
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    assert_eq!(sent, bytes);
    for same in [kept, sent] {
        assert!(std::ptr::eq(same.as_ptr(), bytes.as_ptr()));
    }
}

#[tokio::test]
async fn the_request_keeps_its_head() {
    let mut request = post(CHAT, r#"{"model":"m"}"#);
    request
        .headers_mut()
        .insert("x-mine", "1".parse().expect("a value"));
    request.extensions_mut().insert(7_u8);
    let deadline = Deadline::after(Duration::from_secs(3));
    request.extensions_mut().insert(deadline);
    let read = read(request).expect("a readable request");
    assert_eq!(
        (read.method(), read.uri().path()),
        (&http::Method::POST, CHAT)
    );
    assert_eq!(
        read.headers().get("x-mine").map(|value| value.as_bytes()),
        Some(&b"1"[..])
    );
    assert_eq!(read.extensions().get::<u8>(), Some(&7));
    assert_eq!(Call::of(&read).expect("a call").deadline(), Some(deadline));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_read_stays_as_it_is() {
    let arrived = clock::now();
    let first = read(post(CHAT, r#"{"model":"m"}"#)).expect("a readable request");
    let call = Arc::clone(Call::of(&first).expect("a call"));
    tokio::time::advance(Duration::from_secs(5)).await;
    let mut again = Request::post(CHAT)
        .body(Full::new(Bytes::from_static(b"not read")))
        .expect("a request");
    *again.extensions_mut() = first.extensions().clone();
    let again = read(again).expect("untouched");
    let same = Call::of(&again).expect("a call");
    assert!(Arc::ptr_eq(same, &call));
    assert_eq!(same.arrived(), arrived);
}

#[tokio::test]
async fn what_is_left_unread() {
    let json = r#"{"model":"m"}"#;
    let with = |name: &'static str, value: &str| {
        let mut request = post(CHAT, json);
        request
            .headers_mut()
            .insert(name, value.parse().expect("a value"));
        request
    };
    let mut get = post(CHAT, json);
    *get.method_mut() = http::Method::GET;
    let mut unrepeatable = post(CHAT, json);
    unrepeatable.extensions_mut().insert(UnbufferedBody);
    let rows = [
        ("a path of no model", post("/v1/files", json)),
        ("no POST", get),
        ("unrepeatable", unrepeatable),
        (
            "no JSON",
            with("content-type", "multipart/form-data; boundary=x"),
        ),
        ("compressed", with("content-encoding", "gzip")),
    ];
    for (why, request) in rows {
        let request = read(request).expect("untouched");
        let call = Call::of(&request).expect("a call").clone();
        assert!(
            call.model_call().is_none() && call.body().is_none(),
            "{why}"
        );
        let body = request
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes();
        assert_eq!(body, json, "{why}");
    }
    for request in [
        with("content-type", "Application/JSON; charset=utf-8"),
        with("content-type", "application/vnd.x+json"),
        with("content-encoding", "identity"),
    ] {
        assert!(call_of(request).model_call().is_some());
    }
    let mut bare = post(CHAT, json);
    bare.headers_mut().clear();
    assert!(call_of(bare).model_call().is_some());
}

#[tokio::test]
async fn an_empty_body_is_known_to_be_empty() {
    for request in [post(CHAT, ""), post("/v1/files", "")] {
        let call = call_of(request);
        assert_eq!(call.body(), Some(&Bytes::new()));
        assert!(call.model_call().is_none());
    }
    let chunks = Request::post(CHAT)
        .body(Chunks(Vec::new()))
        .expect("a request");
    let read = read(chunks).expect("an empty request");
    assert_eq!(Call::of(&read).expect("a call").body(), Some(&Bytes::new()));
}

#[tokio::test]
async fn the_cap() {
    let body = r#"{"model":"qwen"}"#;
    let read = |body: Chunks, cap: usize| {
        let request = Request::post(CHAT).body(body).expect("a request");
        ReadCall::new(request, &ReadOptions::default().max_body(cap))
            .now_or_never()
            .expect("ready")
    };
    let halves = || {
        Chunks(vec![
            Some(Bytes::from(&body[..6])),
            Some(Bytes::from(&body[6..])),
        ])
    };
    assert!(read(halves(), body.len()).is_ok());
    let error = read(halves(), body.len() - 1).expect_err("too large");
    assert!(
        matches!(error, ReadError::TooLarge { limit: 15 }),
        "{error}"
    );
    // A length that is known beforehand passes untouched.
    let known = ReadCall::new(post(CHAT, body), &ReadOptions::default().max_body(15));
    let request = known.now_or_never().expect("ready").expect("untouched");
    assert!(Call::of(&request).expect("a call").body().is_none());
    assert_eq!(request.body().size_hint().exact(), Some(16));
}

#[tokio::test]
async fn bodies_that_cannot_be_read() {
    let deep = format!("{{\"messages\":{}{}}}", "[".repeat(200), "]".repeat(200));
    let rows = [
        ("{", ParseErrorKind::NotJson),
        ("secret prompt", ParseErrorKind::NotJson),
        (r#"{"model":"m"} {}"#, ParseErrorKind::NotJson),
        (" [1]", ParseErrorKind::NotObject),
        ("\"secret\"", ParseErrorKind::NotObject),
        ("null", ParseErrorKind::NotObject),
        (&deep, ParseErrorKind::TooDeep),
        (
            r#"{"model":"m","messages":[],"model":"secret"}"#,
            ParseErrorKind::ModelTwice,
        ),
        // However it is written, and whatever it is.
        (
            r#"{"mod\u0065l":null,"model":"m"}"#,
            ParseErrorKind::ModelTwice,
        ),
        (
            r#"{"model":"m","model":"m","user":"\ud83d"}"#,
            ParseErrorKind::ModelTwice,
        ),
    ];
    for (body, kind) in rows {
        let Err(ReadError::Parse(error)) = read(post(CHAT, body.to_owned())) else {
            panic!("read: {body}");
        };
        assert_eq!(error.kind(), kind, "{body}");
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
    // Further in it is no model of the call's.
    let once =
        r#"{"model":"m","metadata":{"model":"a","model":"b"},"tools":[{"model":1,"model":2}]}"#;
    assert!(read(post(CHAT, once)).is_ok());
    let broken = Request::post(CHAT)
        .body(Chunks(vec![Some(Bytes::from_static(b"{")), None]))
        .expect("a request");
    assert!(matches!(read(broken), Err(ReadError::Body(Broken))));
}

/// Agents cut texts in the middle of a character; servers take what is left of it.
#[tokio::test]
async fn half_a_surrogate_pair_in_a_prompt_passes_byte_for_byte() {
    let halves: [&[u8]; 5] = [
        br"\ud83d",
        br"\uDE42",
        br"\ude42\ud83d",
        br"\ud83d\n",
        b"\xed\xa0\xbd",
    ];
    let bodies: [(&str, &str, &str); 5] = [
        (
            CHAT,
            r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"Why is the sky blue"#,
            r#""}],"max_tokens":7}"#,
        ),
        (
            CHAT,
            r#"{"model":"m","messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"Why is the sky blue"#,
            r#""}}]}],"max_tokens":7}"#,
        ),
        (
            CHAT,
            r#"{"model":"m","tools":[{"Why is the sky blue"#,
            r#"":1}],"messages":[],"max_tokens":7}"#,
        ),
        (
            "/v1/messages",
            r#"{"model":"m","system":"Why is the sky blue"#,
            r#"","messages":[],"max_tokens":7}"#,
        ),
        (
            NATIVE,
            r#"{"model":"m","input":{"prompt":"Why is the sky blue"#,
            r#""},"parameters":{"max_tokens":7}}"#,
        ),
    ];
    for (path, before, after) in bodies {
        let whole = call_of(post(path, [before, after].concat()));
        let of_whole = whole.model_call().expect("a model call");
        for half in halves {
            let body = Bytes::from([before.as_bytes(), half, after.as_bytes()].concat());
            let call = call_of(post(path, body.clone()));
            assert_eq!(call.body(), Some(&body), "{path}");
            let of_half = call.model_call().expect("a model call");
            assert_eq!((&*of_half.model, of_half.output_ceiling), ("m", Some(7)));
            assert_eq!(of_half.stream, of_whole.stream);
            let more = of_half.input_tokens - of_whole.input_tokens;
            assert!(more <= 6, "{path}: {more} for half a character");
        }
    }
    let broken = r#"{"messages":[{"content":"\ud83d"}]"#;
    assert!(matches!(
        read(post(CHAT, broken)),
        Err(ReadError::Parse(error)) if error.kind() == ParseErrorKind::NotJson
    ));
}

#[tokio::test]
async fn a_byte_order_mark_before_a_request_passes() {
    let body = "\u{feff}{\"model\":\"m\",\"messages\":[]}";
    let call = call_of(post(CHAT, body));
    assert_eq!(call.body().map(|bytes| &bytes[..]), Some(body.as_bytes()));
    assert_eq!(&*call.model_call().expect("a model call").model, "m");
}

#[tokio::test]
async fn numbers_that_are_written_as_texts_are_read() {
    let call = model_call(CHAT, &json!({"max_tokens": " 4096", "n": "2"}));
    assert_eq!((call.output_ceiling, call.choices), (Some(4_096), 2));
    let call = model_call(CHAT, &json!({"max_tokens": "many", "n": ""}));
    assert_eq!((call.output_ceiling, call.choices), (None, 1));
}

#[tokio::test]
async fn debug_shows_no_prompt() {
    let call = call_of(post(
        CHAT,
        r#"{"model":"m","messages":[{"role":"user","content":"secret"}]}"#,
    ));
    let shown = format!("{call:?}");
    assert!(
        shown.contains("body_bytes") && !shown.contains("secret"),
        "{shown}"
    );
}

#[test]
fn the_future_is_send_where_the_body_is() {
    fn is_send<T: Send>() {}
    is_send::<ReadCall<Full<Bytes>>>();
    is_send::<ReadError<Infallible>>();
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("model"),
        Just("messages"),
        Just("content"),
        Just("prompt"),
        Just("input"),
        Just("parameters"),
        Just("n"),
        Just("max_tokens"),
        Just("stream"),
        Just("stream_options"),
        Just("include_usage"),
        Just("tools"),
        Just("text"),
        Just("image"),
        Just("tool_calls"),
        Just("thinking"),
        Just("history"),
        Just("x"),
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((key.clone(), inner), 0..6).prop_map(|members| members
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

fn path() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        CHAT,
        NATIVE,
        MULTIMODAL,
        "/v1/completions",
        "/v1/embeddings",
        "/v1/responses",
        "/v1/messages",
        "/v1/generate",
    ])
}

fn with_clock<T>(test: impl FnOnce() -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let _guard = runtime.enter();
    test()
}

proptest! {
    #[test]
    fn random_bytes_never_panic(path in path(), body in proptest::collection::vec(any::<u8>(), 0..200)) {
        with_clock(|| {
            let _ = read(post(path, body));
        });
    }

    #[test]
    fn any_object_is_read_and_sent_on_unchanged(path in path(), value in json_value()) {
        let body = value.to_string();
        let result = with_clock(|| read(post(path, body.clone())));
        prop_assert_eq!(result.is_ok(), value.is_object());
        if let Ok(request) = result {
            let sent = request.into_body().collect().now_or_never().expect("ready").expect("a body").to_bytes();
            prop_assert_eq!(sent, body);
        }
    }

    #[test]
    fn chunks_do_not_matter(path in path(), value in json_value(), cuts in proptest::collection::vec(0_usize..300, 0..6)) {
        let body = Bytes::from(json!({"model": "m", "messages": [value]}).to_string());
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(body.len())).collect();
        cuts.extend([0, body.len()]);
        cuts.sort_unstable();
        let chunks = cuts.windows(2).map(|pair| Some(body.slice(pair[0]..pair[1]))).collect();
        let (whole, cut) = with_clock(|| {
            let whole = read(post(path, body.clone())).expect("read");
            let cut = Request::post(path).body(Chunks(chunks)).expect("a request");
            (whole, read(cut).expect("read"))
        });
        let (whole, call) = (Call::of(&whole).expect("a call"), Call::of(&cut).expect("a call"));
        prop_assert_eq!(whole.model_call(), call.model_call());
        prop_assert_eq!(call.body(), Some(&body));
        prop_assert_eq!(cut.body(), &Chunks(vec![Some(body)]));
    }
}
