//! The native dialect.

use mock_qwen::{Config, MockQwen, count_text};
use serde_json::{Value, json};

use crate::support::{NATIVE, call, post, prompt_of, read};

fn native(parameters: Value) -> Value {
    json!({
        "model": "qwen-plus",
        "input": { "messages": [{ "role": "user", "content": "hello" }] },
        "parameters": parameters,
    })
}

/// The data of a stream's events, their frame checked.
async fn stream(mock: &MockQwen, header: (&str, &str), parameters: Value) -> Vec<Value> {
    let response = post(mock, NATIVE, &[header], &native(parameters)).await;
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.headers()["content-type"],
        "text/event-stream;charset=UTF-8"
    );
    let id = response.headers()["x-request-id"]
        .to_str()
        .expect("text")
        .to_owned();
    let text = read(response).await;
    let events = text
        .strip_suffix("\n\n")
        .expect("an empty line")
        .split("\n\n");
    let parse = |(place, event): (usize, &str)| {
        let head = format!("id:{}\nevent:result\n:HTTP_STATUS/200\ndata:", place + 1);
        let data = event.strip_prefix(&head).expect("the head of an event");
        let data: Value = serde_json::from_str(data).expect("JSON");
        assert_eq!(data["request_id"], id);
        data
    };
    events.enumerate().map(parse).collect()
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_one_piece() {
    let mock = MockQwen::new(Config::default());
    let (status, headers, body) = call(&mock, NATIVE, &native(json!({}))).await;
    assert_eq!(status, 200);
    let text = body["output"]["text"].as_str().expect("text");
    let (prompt, output) = (prompt_of("hello"), count_text(text));
    let expected = |output_field: Value, id: &http::HeaderValue| {
        json!({
            "output": output_field,
            "usage": {
                "input_tokens": prompt,
                "output_tokens": output,
                "total_tokens": prompt + output,
                "prompt_tokens_details": { "cached_tokens": 0 },
            },
            "request_id": id.to_str().expect("text"),
        })
    };
    let shape = json!({ "finish_reason": "stop", "text": text });
    assert_eq!(body, expected(shape, &headers["x-request-id"]));

    let (_, headers, message) = call(
        &mock,
        NATIVE,
        &native(json!({ "result_format": "message" })),
    )
    .await;
    let shape = json!({ "choices": [{
        "finish_reason": "stop",
        "message": { "role": "assistant", "content": text },
    }]});
    assert_eq!(message, expected(shape, &headers["x-request-id"]));
}

#[tokio::test(start_paused = true)]
async fn a_prompt_instead_of_messages() {
    let mock = MockQwen::new(Config::default());
    let body = json!({ "model": "m", "input": { "prompt": "hello" } });
    let (status, _, answer) = call(&mock, NATIVE, &body).await;
    assert_eq!(status, 200);
    assert_eq!(answer["usage"]["input_tokens"], prompt_of("hello"));
}

#[tokio::test(start_paused = true)]
async fn an_incremental_stream() {
    let mock = MockQwen::new(Config::default());
    let options = json!({ "incremental_output": true });
    for header in [
        ("X-DashScope-SSE", "enable"),
        ("accept", "text/event-stream"),
    ] {
        let events = stream(&mock, header, options.clone()).await;
        let mut text = String::new();
        let (last, parts) = events.split_last().expect("an event");
        for event in parts {
            text.push_str(event["output"]["text"].as_str().expect("text"));
            assert_eq!(event["output"]["finish_reason"], "null");
            let (prompt, output) = (prompt_of("hello"), count_text(&text));
            assert_eq!(
                event["usage"],
                json!({
                    "input_tokens": prompt,
                    "output_tokens": output,
                    "total_tokens": prompt + output,
                }),
                "all so far"
            );
        }
        assert_eq!(
            last["output"],
            json!({ "finish_reason": "stop", "text": "" })
        );
        assert_eq!(last["usage"]["output_tokens"], count_text(&text));
        let whole = call(&mock, NATIVE, &native(json!({}))).await.2;
        assert_eq!(whole["output"]["text"], text);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_repeats() {
    let mock = MockQwen::new(Config::default());
    let header = ("X-DashScope-SSE", "enable");
    let options = json!({ "result_format": "message", "max_tokens": 10 });
    let events = stream(&mock, header, options).await;
    assert_eq!(events.len(), 4, "10 tokens by 4, and the end");
    let mut before = String::new();
    for (event, (output, finish)) in
        events
            .iter()
            .zip([(4, "null"), (8, "null"), (10, "null"), (10, "length")])
    {
        let choice = &event["output"]["choices"][0];
        assert_eq!(choice["finish_reason"], finish);
        assert_eq!(choice["message"]["role"], "assistant");
        let text = choice["message"]["content"].as_str().expect("text");
        assert!(text.starts_with(&before));
        assert_eq!(count_text(text), output);
        assert_eq!(event["usage"]["output_tokens"], output);
        before = text.to_owned();
    }
}
