//! Calls of tools.

use mock_qwen::{Config, MockQwen};
use serde_json::{Value, json};

use crate::support::{COMPATIBLE, NATIVE, call, data, post, read};

const ARGUMENTS: &str = "{\"river\": \"river\"}";

fn function() -> Value {
    let schema = json!({ "type": "object", "properties": { "river": { "type": "string" } }, "required": ["river"] });
    json!({ "name": "depth", "parameters": schema })
}

fn request(tools: &Value, choice: &Value) -> Value {
    json!({
        "model": "qwen-plus",
        "max_tokens": 1_000,
        "messages": [{ "role": "user", "content": "How deep is it?" }],
        "tools": [tools],
        "tool_choice": choice,
    })
}

fn mock() -> MockQwen {
    MockQwen::new(Config::default())
}

/// All strings at a place of many events, one after the other.
fn joined(events: &[Value], place: &str) -> String {
    let texts = events
        .iter()
        .filter_map(|event| event.pointer(place)?.as_str());
    texts.collect()
}

#[tokio::test(start_paused = true)]
async fn a_chat_that_requires_a_call_gets_one() {
    let mock = mock();
    let mut body = request(
        &json!({ "type": "function", "function": function() }),
        &json!("required"),
    );
    let (status, _, whole) = call(&mock, COMPATIBLE, &body).await;
    assert_eq!(status, 200);
    let choice = &whole["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    let function = &choice["message"]["tool_calls"][0]["function"];
    assert_eq!(
        function,
        &json!({ "name": "depth", "arguments": ARGUMENTS })
    );
    assert_eq!(mock.stats().tokens.total, whole["usage"]["total_tokens"]);

    body["stream"] = json!(true);
    body["stream_options"] = json!({ "include_usage": true });
    let events = data(&mock, COMPATIBLE, &body).await;
    let place = "/choices/0/delta/tool_calls/0";
    assert_eq!(
        joined(&events, &format!("{place}/function/name")),
        "depth",
        "once"
    );
    assert_eq!(
        joined(&events, &format!("{place}/function/arguments")),
        ARGUMENTS
    );
    assert!(joined(&events, &format!("{place}/id")).starts_with("call_"));
    assert_eq!(joined(&events, "/choices/0/finish_reason"), "tool_calls");
    let usage = &events.last().expect("an event")["usage"];
    assert_eq!(usage["total_tokens"], whole["usage"]["total_tokens"]);

    body["tool_choice"] = json!("auto");
    let events = data(&mock, COMPATIBLE, &body).await;
    assert_eq!(joined(&events, "/choices/0/finish_reason"), "stop");
}

#[tokio::test(start_paused = true)]
async fn a_call_is_cut_as_a_text_is() {
    let mut body = request(
        &json!({ "type": "function", "function": function() }),
        &json!("required"),
    );
    body["max_tokens"] = json!(15);
    let (_, _, whole) = call(&mock(), COMPATIBLE, &body).await;
    assert_eq!(whole["choices"][0]["finish_reason"], "length");
    assert_eq!(whole["usage"]["completion_tokens"], 15);
}

#[tokio::test(start_paused = true)]
async fn a_native_call() {
    let tool = json!({ "type": "function", "function": function() });
    let choice = json!({ "type": "function", "function": { "name": "depth" } });
    let mut body = json!({
        "model": "qwen-plus",
        "input": { "messages": [{ "role": "user", "content": "How deep is it?" }] },
        "parameters": { "result_format": "message", "tools": [tool], "tool_choice": choice },
    });
    let mock = mock();
    let (_, _, whole) = call(&mock, NATIVE, &body).await;
    let choice = &whole["output"]["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(
        choice["message"]["tool_calls"][0]["function"]["arguments"],
        ARGUMENTS
    );
    for incremental in [true, false] {
        body["parameters"]["incremental_output"] = json!(incremental);
        let response = post(&mock, NATIVE, &[("x-dashscope-sse", "enable")], &body).await;
        let text = read(response).await;
        let events: Vec<Value> = text
            .lines()
            .filter_map(|line| serde_json::from_str(line.strip_prefix("data:")?).ok())
            .collect();
        let place = "/output/choices/0/message/tool_calls/0/function";
        let last = events.last().expect("an event");
        let (name, arguments) = if incremental {
            let all = |member| joined(&events, &format!("{place}/{member}"));
            (all("name"), all("arguments"))
        } else {
            let function = last.pointer(place).expect("a call");
            let last = |member: &str| function[member].as_str().expect("text").to_owned();
            (last("name"), last("arguments"))
        };
        assert_eq!((name.as_str(), arguments.as_str()), ("depth", ARGUMENTS));
        assert_eq!(
            last["usage"]["total_tokens"],
            whole["usage"]["total_tokens"]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_in_the_dialect_of_anthropic() {
    let tool = json!({ "name": "depth", "input_schema": function()["parameters"] });
    let mut body = request(&tool, &json!({ "type": "any" }));
    let mock = mock();
    let (_, _, whole) = call(&mock, "/apps/anthropic/v1/messages", &body).await;
    assert_eq!(whole["stop_reason"], "tool_use");
    let block = &whole["content"][0];
    assert_eq!(
        (&block["name"], &block["input"]),
        (&json!("depth"), &json!({ "river": "river" }))
    );

    body["stream"] = json!(true);
    let events = data(&mock, "/apps/anthropic/v1/messages", &body).await;
    assert_eq!(joined(&events, "/content_block/name"), "depth");
    assert_eq!(joined(&events, "/delta/partial_json"), ARGUMENTS);
    assert_eq!(joined(&events, "/delta/stop_reason"), "tool_use");
}

#[tokio::test(start_paused = true)]
async fn a_call_in_the_dialect_of_responses() {
    let mut tool = function();
    tool["type"] = json!("function");
    let mut body = json!({ "model": "qwen-plus", "input": "How deep is it?", "tools": [tool], "tool_choice": "required" });
    let mock = mock();
    let (_, _, whole) = call(&mock, "/v1/responses", &body).await;
    let item = &whole["output"][0];
    assert_eq!(item["type"], "function_call");
    assert_eq!(
        (&item["name"], &item["arguments"]),
        (&json!("depth"), &json!(ARGUMENTS))
    );

    body["stream"] = json!(true);
    let events = data(&mock, "/v1/responses", &body).await;
    let of = |kind: &str| -> Vec<Value> {
        let kind = format!("response.{kind}");
        events
            .iter()
            .filter(|event| event["type"] == kind)
            .cloned()
            .collect()
    };
    assert_eq!(
        joined(&of("function_call_arguments.delta"), "/delta"),
        ARGUMENTS
    );
    assert_eq!(
        of("function_call_arguments.done")[0]["arguments"],
        ARGUMENTS
    );
    assert_eq!(
        of("output_item.done")[0]["item"]["call_id"],
        of("output_item.added")[0]["item"]["call_id"]
    );
    assert_eq!(of("completed")[0]["response"]["output"][0]["name"], "depth");
}
