//! The compatible dialect.

use mock_qwen::{Config, MockQwen, count_prompt, count_text};
use serde_json::{Value, json};

use crate::support::{COMPATIBLE, call, chat, frame, pass, post, prompt_of, read, seconds};

/// The events of a stream; all but the last are JSON.
fn events(text: &str) -> (Vec<Value>, String) {
    let mut events: Vec<&str> = text.split("\n\n").collect();
    assert_eq!(events.pop(), Some(""));
    let last = events.pop().expect("an event").to_owned();
    let parse = |event: &str| {
        let data = event.strip_prefix("data: ").expect("a data line");
        serde_json::from_str(data).expect("JSON")
    };
    (events.into_iter().map(parse).collect(), last)
}

async fn stream(mock: &MockQwen, options: Value) -> (Vec<Value>, String) {
    let mut body = chat("hello");
    body["stream"] = json!(true);
    body["stream_options"] = options;
    let response = post(mock, COMPATIBLE, &[], &body).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let id = response.headers()["x-request-id"]
        .to_str()
        .expect("text")
        .to_owned();
    let (events, last) = events(&read(response).await);
    for event in &events {
        assert_eq!(event["id"], format!("chatcmpl-{id}"));
        assert_eq!(event["object"], "chat.completion.chunk");
        assert_eq!(event["model"], "qwen-plus");
        assert!(event["created"].is_u64() && event["system_fingerprint"].is_null());
    }
    (events, last)
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_one_piece() {
    let mock = MockQwen::new(Config {
        cached_share: 0.5,
        ..Config::default()
    });
    for path in [COMPATIBLE, "/v1/chat/completions"] {
        let (status, headers, body) = call(&mock, path, &chat("hello")).await;
        assert_eq!(status, 200);
        let id = headers["x-request-id"].to_str().expect("text");
        assert_eq!(id.len(), 36);
        let text = body["choices"][0]["message"]["content"]
            .as_str()
            .expect("text");
        let (prompt, output) = (prompt_of("hello"), count_text(text));
        assert!(body["created"].as_u64() > Some(1_700_000_000));
        assert_eq!(
            body,
            json!({
                "id": format!("chatcmpl-{id}"),
                "object": "chat.completion",
                "created": body["created"],
                "model": "qwen-plus",
                "system_fingerprint": null,
                "choices": [{
                    "index": 0,
                    "finish_reason": "stop",
                    "logprobs": null,
                    "message": { "role": "assistant", "content": text },
                }],
                "usage": {
                    "prompt_tokens": prompt,
                    "completion_tokens": output,
                    "total_tokens": prompt + output,
                    "prompt_tokens_details": { "cached_tokens": prompt / 2 },
                },
            })
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_with_usage() {
    let mock = MockQwen::new(Config::default());
    let (events, last) = stream(&mock, json!({ "include_usage": true })).await;
    assert_eq!(last, "data: [DONE]");
    let choice = |event: &Value| event["choices"][0].clone();
    assert_eq!(
        choice(&events[0]),
        json!({
            "index": 0, "finish_reason": null, "logprobs": null,
            "delta": { "role": "assistant", "content": "" },
        })
    );
    let count = events.len();
    let mut text = String::new();
    for event in &events[1..count - 2] {
        let content = event["choices"][0]["delta"]["content"]
            .as_str()
            .expect("text");
        assert!((1..=4).contains(&count_text(content)));
        assert_eq!(
            choice(event),
            json!({
                "index": 0, "finish_reason": null, "logprobs": null,
                "delta": { "content": content },
            })
        );
        text.push_str(content);
    }
    assert_eq!(
        choice(&events[count - 2]),
        json!({
            "index": 0, "finish_reason": "stop", "logprobs": null, "delta": { "content": "" },
        })
    );
    for event in &events[..count - 1] {
        assert_eq!(event.get("usage"), Some(&Value::Null));
    }
    let (prompt, output) = (prompt_of("hello"), count_text(&text));
    assert_eq!(events[count - 1]["choices"], json!([]));
    assert_eq!(
        events[count - 1]["usage"],
        json!({
            "prompt_tokens": prompt,
            "completion_tokens": output,
            "total_tokens": prompt + output,
            "completion_tokens_details": null,
            "prompt_tokens_details": { "audio_tokens": null, "cached_tokens": 0 },
        })
    );
    let whole = call(&mock, COMPATIBLE, &chat("hello")).await.2;
    assert_eq!(
        whole["choices"][0]["message"]["content"], text,
        "the same prompt, the same answer"
    );
    assert_eq!(mock.stats().tokens.output, 2 * output);
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_usage() {
    let mock = MockQwen::new(Config::default());
    for options in [Value::Null, json!({}), json!({ "include_usage": false })] {
        let (events, last) = stream(&mock, options).await;
        assert_eq!(last, "data: [DONE]");
        assert!(events.iter().all(|event| event["usage"].is_null()));
        assert!(
            events
                .iter()
                .all(|event| event["choices"][0]["delta"].is_object())
        );
    }
}

#[tokio::test(start_paused = true)]
async fn usage_is_what_the_vocabulary_counts() {
    let mock = MockQwen::new(Config::default());
    for number in 0..40 {
        let question = format!("第{number}个问题：why is the sky {number} times blue?\r\n");
        let (_, _, body) = call(&mock, COMPATIBLE, &chat(&question)).await;
        let text = body["choices"][0]["message"]["content"]
            .as_str()
            .expect("text");
        assert_eq!(body["usage"]["completion_tokens"], count_text(text));
        assert_eq!(
            body["usage"]["prompt_tokens"],
            count_text(&question) + 5 + 3
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_ceiling_cuts_the_answer() {
    let mock = MockQwen::new(Config::default());
    for name in ["max_tokens", "max_completion_tokens"] {
        let mut body = chat("hello");
        body[name] = json!(7);
        let (_, _, answer) = call(&mock, COMPATIBLE, &body).await;
        let choice = &answer["choices"][0];
        assert_eq!(choice["finish_reason"], "length");
        assert_eq!(answer["usage"]["completion_tokens"], 7);
        let text = choice["message"]["content"].as_str().expect("text");
        assert_eq!(count_text(text), 7);
    }
}

#[tokio::test(start_paused = true)]
async fn content_may_come_in_parts() {
    let mock = MockQwen::new(Config::default());
    let messages = json!([
        { "role": "system", "content": "You are a helpful assistant." },
        { "role": "user", "content": [
            { "type": "text", "text": "What is " },
            { "type": "image_url", "image_url": { "url": "data:," } },
            { "type": "text", "text": "this?" },
        ] },
        { "role": "assistant", "content": null, "tool_calls": [] },
    ]);
    let body = json!({ "model": "m", "messages": messages });
    let (status, _, answer) = call(&mock, COMPATIBLE, &body).await;
    assert_eq!(status, 200);
    let expected = count_prompt(["You are a helpful assistant.", "What is this?", ""]);
    assert_eq!(answer["usage"]["prompt_tokens"], expected);
}

#[test]
fn prompts_count_as_the_provider_counted_them() {
    assert_eq!(count_prompt(["请问 1+1 是多少？"]), 16);
    assert_eq!(count_prompt(["Hello!"]), 10);
    assert_eq!(count_prompt(["你好呀!"]), 11);
    assert_eq!(
        count_prompt(["You are a helpful assistant.", "你是谁？"]),
        22
    );
    assert_eq!(
        count_text("\u{e9}"),
        count_text("e\u{301}"),
        "composed before it is counted"
    );
    assert_eq!(
        count_prompt(["\nhi"]),
        count_prompt(["hi"]),
        "one token with the frame's break"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_comes_at_its_pace() {
    let mock = MockQwen::new(Config {
        ttft: seconds(10),
        tpot: seconds(1),
        ..Config::default()
    });
    let mut body = chat("hello");
    body["stream"] = json!(true);
    body["max_tokens"] = json!(6);
    let mut stream = post(&mock, COMPATIBLE, &[], &body).await.into_body();
    for (wait, expected) in [(10, "\"role\""), (4, "\"content\""), (2, "\"content\"")] {
        let late = tokio::time::timeout(seconds(wait) - seconds(1) / 100, frame(&mut stream)).await;
        assert!(late.is_err(), "too early for {expected}");
        pass(seconds(1) / 100).await;
        let event = tokio::time::timeout(seconds(1) / 100, frame(&mut stream)).await;
        assert!(
            event
                .expect("in time")
                .expect("an event")
                .contains(expected)
        );
    }
    while frame(&mut stream).await.is_some() {}
    assert_eq!(mock.stats().completed, 1);
}
