//! The endpoints beside chats.

use axum::body::Body;
use http::Request;
use mock_qwen::{Config, Host, MockQwen, count_prompt, count_text};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{COMPATIBLE, call, chat, data, instant, of, prompt_of, read, streamed, told};

const MULTIMODAL: &str = "/api/v1/services/aigc/multimodal-generation/generation";

fn writes(tokens: u64, thought_share: f64) -> MockQwen {
    MockQwen::new(Config {
        output_tokens: tokens,
        thought_share,
        ..instant()
    })
}

async fn get(mock: &MockQwen, path: &str) -> (u16, Value) {
    let request = Request::get(path).body(Body::empty()).expect("a request");
    let response = mock.router().oneshot(request).await.expect("an answer");
    let status = response.status().as_u16();
    (
        status,
        serde_json::from_str(&read(response).await).unwrap_or_default(),
    )
}

/// The names and the data of a stream's events.
async fn named(mock: &MockQwen, path: &str, body: &Value) -> Vec<(String, Value)> {
    let (status, headers, text) = told(mock, path, body).await;
    assert_eq!(
        (status, &headers["content-type"]),
        (200, &"text/event-stream".parse().expect("a value"))
    );
    let event = |event: &str| {
        let (name, data) = event.strip_prefix("event: ")?.split_once("\ndata: ")?;
        Some((name.to_owned(), serde_json::from_str(data).ok()?))
    };
    let events = text
        .strip_suffix("\n\n")
        .expect("an empty line")
        .split("\n\n");
    events
        .map(|text| event(text).expect("a named event"))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn models() {
    let mock = MockQwen::new(Config {
        quota_models: vec!["qwen-plus".to_owned(), "qwen-flash".to_owned()],
        ..instant()
    });
    for path in ["/v1/models", "/compatible-mode/v1/models"] {
        let (status, body) = get(&mock, path).await;
        assert_eq!((status, &body["object"]), (200, &json!("list")));
        assert_eq!(body["data"][1]["id"], "qwen-flash");
        assert_eq!(
            (&body["data"][0]["object"], &body["data"][0]["owned_by"]),
            (&json!("model"), &json!("system"))
        );
    }
    for (host, path) in [
        (Host::OpenRouter, "/api/v1/models"),
        (Host::Groq, "/openai/v1/models"),
        (Host::Zai, "/api/paas/v4/models"),
        (Host::Volc, "/api/v3/models"),
    ] {
        let mock = MockQwen::new(of(host));
        assert_eq!(get(&mock, path).await.0, 200);
        let path = path.replace("models", "chat/completions");
        assert_eq!(told(&mock, &path, &chat("hello")).await.0, 200);
        assert_eq!(
            get(&mock, "/api/v1/quotas").await.0,
            404,
            "only Model Studio has it"
        );
    }
    let mock = MockQwen::new(Config {
        require_key: true,
        ..instant()
    });
    assert_eq!(get(&mock, "/v1/models").await.0, 401);
    assert_eq!(mock.stats().seen, 0);
}

// docs of Model Studio: prompt and total alone.
#[tokio::test(start_paused = true)]
async fn embeddings() {
    let mock = MockQwen::new(instant());
    let body = json!({ "model": "text-embedding-v4", "input": ["hello", "how are you today"], "dimensions": 64 });
    let (status, _, answer) = call(&mock, "/v1/embeddings", &body).await;
    assert_eq!(
        (status.as_u16(), &answer["usage"]),
        (200, &json!({ "prompt_tokens": 5, "total_tokens": 5 }))
    );
    let vectors = answer["data"].as_array().expect("a list");
    assert_eq!((vectors.len(), vectors[1]["index"].as_u64()), (2, Some(1)));
    let vector: Vec<f64> =
        serde_json::from_value(vectors[0]["embedding"].clone()).expect("numbers");
    let length: f64 = vector.iter().map(|number| number * number).sum();
    assert!(vector.len() == 64 && (length - 1.0).abs() < 1e-9);
    let body = json!({ "model": "text-embedding-v4", "input": { "texts": ["hello"] }, "parameters": { "dimension": 64 } });
    let (_, _, native) = call(
        &mock,
        "/api/v1/services/embeddings/text-embedding/text-embedding",
        &body,
    )
    .await;
    assert_eq!(native["usage"], json!({ "total_tokens": 1 }));
    assert_eq!(
        native["output"]["embeddings"][0]["embedding"], vectors[0]["embedding"],
        "the same text"
    );
    assert_eq!(native["output"]["embeddings"][0]["text_index"], 0);
    let stats = mock.stats();
    assert_eq!(
        (stats.completed, stats.tokens.prompt, stats.tokens.output),
        (2, 6, 0)
    );
    let (status, _, _) = call(
        &mock,
        "/v1/embeddings",
        &json!({ "model": "m", "input": [] }),
    )
    .await;
    assert_eq!(status, 400);
}

#[tokio::test(start_paused = true)]
async fn responses() {
    let mock = writes(20, 0.0);
    let body = json!({ "model": "qwen-plus", "instructions": "be kind", "input": "hello" });
    let (status, _, answer) = call(&mock, "/v1/responses", &body).await;
    let text = answer["output"][0]["content"][0]["text"]
        .as_str()
        .expect("text");
    let (input, output) = (count_prompt(["be kind", "hello"]), count_text(text));
    assert_eq!(
        (status.as_u16(), &answer["status"]),
        (200, &json!("completed"))
    );
    let usage = json!({
        "input_tokens": input, "input_tokens_details": { "cached_tokens": 0 },
        "output_tokens": output, "output_tokens_details": { "reasoning_tokens": 0 },
        "total_tokens": input + output,
    });
    assert_eq!(answer["usage"], usage);

    let mut body = body.clone();
    body["stream"] = json!(true);
    let events = named(&mock, "/compatible-mode/v1/responses", &body).await;
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names[..4],
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
        ]
    );
    assert_eq!(
        names[names.len() - 3..],
        [
            "response.output_text.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    for (number, (name, data)) in events.iter().enumerate() {
        assert_eq!(
            (&data["type"], &data["sequence_number"]),
            (&json!(name), &json!(number))
        );
    }
    let deltas: String = events
        .iter()
        .filter(|(name, _)| name == "response.output_text.delta")
        .filter_map(|(_, data)| data["delta"].as_str())
        .collect();
    assert_eq!(deltas, text);
    let last = &events.last().expect("an event").1["response"];
    assert_eq!(
        (&last["usage"], &last["output"][0]["content"][0]["text"]),
        (&usage, &json!(text))
    );

    let items = json!({ "model": "m", "max_output_tokens": 5, "input": [
        { "role": "user", "content": [{ "type": "input_text", "text": "hello" }] },
        { "type": "function_call", "call_id": "1", "name": "f", "arguments": "{}" },
        { "type": "function_call_output", "call_id": "1", "output": "42" },
    ]});
    let (_, _, cut) = call(&mock, "/v1/responses", &items).await;
    assert_eq!(
        (&cut["status"], &cut["usage"]["output_tokens"]),
        (&json!("incomplete"), &json!(5))
    );
    assert_eq!(
        cut["incomplete_details"],
        json!({ "reason": "max_output_tokens" })
    );
}

#[tokio::test(start_paused = true)]
async fn responses_with_thoughts() {
    let mock = writes(40, 0.5);
    let body = json!({ "model": "m", "input": "hello", "stream": true });
    let events = named(&mock, "/v1/responses", &body).await;
    let last = &events.last().expect("an event").1["response"];
    assert_eq!(
        (&last["output"][0]["type"], &last["output"][1]["type"]),
        (&json!("reasoning"), &json!("message"))
    );
    let thoughts: String = events
        .iter()
        .filter(|(name, _)| name == "response.reasoning_summary_text.delta")
        .filter_map(|(_, data)| data["delta"].as_str())
        .collect();
    assert_eq!(last["output"][0]["summary"][0]["text"], thoughts);
    assert_eq!(
        last["usage"]["output_tokens_details"]["reasoning_tokens"],
        count_text(&thoughts)
    );
}

// help.aliyun.com context-cache, and llama-server run on 2026-11-29: input without what was read from the cache.
#[tokio::test(start_paused = true)]
async fn messages() {
    let mock = MockQwen::new(Config {
        output_tokens: 20,
        cached_share: 0.5,
        ..instant()
    });
    let mut body = json!({
        "model": "qwen-plus",
        "max_tokens": 100,
        "system": [{ "type": "text", "text": "be kind" }],
        "messages": [
            { "role": "user", "content": [{ "type": "text", "text": "hello" }] },
            { "role": "assistant", "content": [{ "type": "tool_use", "id": "1", "name": "f", "input": { "a": 1 } }] },
            { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "1", "content": "42" }] },
        ],
    });
    let prompt = count_prompt([
        "be kind",
        "hello",
        "\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>",
        "42",
    ]);
    let (_, _, counted) = call(&mock, "/apps/anthropic/v1/messages/count_tokens", &body).await;
    assert_eq!(counted, json!({ "input_tokens": prompt }));
    assert_eq!(mock.stats().seen, 0);
    let (status, _, answer) = call(&mock, "/v1/messages", &body).await;
    let text = answer["content"][0]["text"].as_str().expect("text");
    assert_eq!(
        (status.as_u16(), &answer["stop_reason"]),
        (200, &json!("end_turn"))
    );
    assert_eq!(
        answer["usage"],
        json!({
            "input_tokens": prompt - prompt / 2,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": prompt / 2,
            "output_tokens": count_text(text),
        })
    );

    body["stream"] = json!(true);
    let events = named(&mock, "/apps/anthropic/v1/messages", &body).await;
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names[..3],
        [
            "message_start",
            "content_block_start",
            "content_block_delta"
        ]
    );
    assert_eq!(
        names[names.len() - 3..],
        ["content_block_stop", "message_delta", "message_stop"]
    );
    assert_eq!(
        events[0].1["message"]["usage"]["cache_read_input_tokens"],
        prompt / 2
    );
    let delta = &events[names.len() - 2].1;
    assert_eq!(
        (&delta["usage"], &delta["delta"]["stop_reason"]),
        (
            &json!({ "output_tokens": count_text(text) }),
            &json!("end_turn")
        )
    );
    let deltas: String = events
        .iter()
        .filter_map(|(_, data)| data["delta"]["text"].as_str())
        .collect();
    assert_eq!(deltas, text);
    let key = MockQwen::new(Config {
        require_key: true,
        ..instant()
    });
    let response = crate::support::post(
        &key,
        "/v1/messages",
        &[("x-api-key", "sk-1")],
        &chat("hello"),
    )
    .await;
    assert_eq!(response.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn messages_with_thoughts() {
    let mock = writes(40, 0.5);
    let mut body = chat("hello");
    body["stream"] = json!(true);
    let events = named(&mock, "/v1/messages", &body).await;
    let starts: Vec<(&Value, &Value)> = events
        .iter()
        .filter(|(name, _)| name == "content_block_start")
        .map(|(_, data)| (&data["index"], &data["content_block"]["type"]))
        .collect();
    assert_eq!(
        starts,
        [(&json!(0), &json!("thinking")), (&json!(1), &json!("text"))]
    );
    let stops: Vec<&Value> = events
        .iter()
        .filter(|(name, _)| name == "content_block_stop")
        .map(|(_, data)| &data["index"])
        .collect();
    assert_eq!(stops, [&json!(0), &json!(1)]);
}

// cnblogs/dashscope-sdk@7afccbd: the content is a list of parts.
#[tokio::test(start_paused = true)]
async fn native_pictures_and_texts() {
    let mock = writes(20, 0.0);
    let body = json!({ "model": "qwen3-vl-plus", "input": { "messages": [{ "role": "user", "content": [
        { "image": "https://example.com/a.png" }, { "text": "hello" },
    ]}]}});
    let (status, _, answer) = call(&mock, MULTIMODAL, &body).await;
    let message = &answer["output"]["choices"][0]["message"];
    let text = message["content"][0]["text"].as_str().expect("text");
    assert_eq!(status, 200);
    assert_eq!(
        (
            &answer["usage"]["input_tokens"],
            &answer["usage"]["output_tokens"]
        ),
        (&json!(prompt_of("hello")), &json!(count_text(text)))
    );
    let response =
        crate::support::post(&mock, MULTIMODAL, &[("x-dashscope-sse", "enable")], &body).await;
    let events = read(response).await;
    assert!(events.contains(r#""content":[{"text":""#) && events.contains(":HTTP_STATUS/200"));
}

#[tokio::test(start_paused = true)]
async fn texts_to_be_continued() {
    let mock = writes(20, 0.0);
    let mut body = json!({ "model": "qwen-coder-turbo", "prompt": "fn main() {", "max_tokens": 8 });
    let (status, _, answer) = call(&mock, "/compatible-mode/v1/completions", &body).await;
    let text = answer["choices"][0]["text"]
        .as_str()
        .expect("text")
        .to_owned();
    assert_eq!(
        (status.as_u16(), &answer["object"]),
        (200, &json!("text_completion"))
    );
    assert_eq!(
        (
            &answer["usage"]["prompt_tokens"],
            &answer["usage"]["completion_tokens"]
        ),
        (&json!(count_text("fn main() {")), &json!(count_text(&text)))
    );
    body["stream"] = json!(true);
    let events = data(&mock, "/v1/completions", &body).await;
    let streamed: String = events
        .iter()
        .filter_map(|event| event["choices"][0]["text"].as_str())
        .collect();
    assert_eq!(streamed, text);
    assert!(events[0]["choices"][0].get("delta").is_none());
}

#[tokio::test(start_paused = true)]
async fn tools_count_as_the_template_writes_them() {
    let mock = MockQwen::new(instant());
    let tool = json!({ "type": "function", "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": { "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] },
    }});
    let mut body = chat("hello");
    body["tools"] = json!([tool]);
    let (_, _, answer) = call(&mock, COMPATIBLE, &body).await;
    let with_one = answer["usage"]["prompt_tokens"].as_u64().expect("a count");
    // The frame is about 92 tokens, and a system's message 5.
    let json = tool.to_string();
    let least = prompt_of("hello") + 92 + count_text(&json);
    assert!(
        (least - 15..least + 40).contains(&with_one),
        "{with_one} {least}"
    );
    body["tools"] = json!([tool, tool]);
    let (_, _, answer) = call(&mock, COMPATIBLE, &body).await;
    let with_two = answer["usage"]["prompt_tokens"].as_u64().expect("a count");
    assert!(with_two - with_one >= count_text(&json) - 10);
    assert_eq!(mock.stats().tokens.prompt, with_one + with_two);
}

// Qwen Code 0.24.4 sends it; qwen-plus writes as much.
#[tokio::test(start_paused = true)]
async fn what_qwen_code_asks_for_fits() {
    let mock = MockQwen::new(instant());
    let mut body = streamed("hello");
    body["max_tokens"] = json!(32_768);
    assert_eq!(told(&mock, COMPATIBLE, &body).await.0, 200);
}
