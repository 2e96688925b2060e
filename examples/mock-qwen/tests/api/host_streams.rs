//! Where each host states usage and thoughts, against streams as they were recorded.

use mock_qwen::{Config, Host, MockQwen, count_text};
use serde_json::{Value, json};

use crate::support::{chat, data, of, prompt_of, streamed, told};

const CHAT: &str = "/v1/chat/completions";

fn writes(host: Host, tokens: u64) -> MockQwen {
    MockQwen::new(Config {
        output_tokens: tokens,
        ..of(host)
    })
}

fn with_usage(events: &[Value]) -> Vec<&Value> {
    let stated = |event: &&Value| event["usage"].is_object();
    events.iter().filter(stated).collect()
}

/// The text of all deltas.
fn text(events: &[Value]) -> String {
    let content = |event: &Value| {
        let choice = &event["choices"][0];
        let part = choice["delta"]["content"]
            .as_str()
            .or(choice["text"].as_str());
        part.unwrap_or_default().to_owned()
    };
    events.iter().map(content).collect()
}

#[tokio::test(start_paused = true)]
async fn usage_is_right_wherever_it_stands() {
    for host in Host::all() {
        let events = data(&writes(host, 20), CHAT, &streamed("hello")).await;
        let output = count_text(&text(&events));
        let stated: Vec<(u64, u64)> = events
            .iter()
            .flat_map(|event| {
                [
                    &event["usage"],
                    &event["choices"][0]["usage"],
                    &event["x_groq"]["usage"],
                ]
            })
            .filter_map(|usage| {
                Some((
                    usage["prompt_tokens"].as_u64()?,
                    usage["completion_tokens"].as_u64()?,
                ))
            })
            .collect();
        assert!(!stated.is_empty(), "{host:?}");
        for usage in stated {
            assert_eq!(usage, (prompt_of("hello"), output), "{host:?}");
        }
        let nulls = events
            .iter()
            .filter(|event| event.get("usage") == Some(&Value::Null))
            .count();
        let says_null = matches!(
            host,
            Host::DashScope | Host::CodingPlan | Host::TokenPlan | Host::DeepSeek
        );
        assert_eq!(nulls > 0, says_null, "{host:?}");
    }
}

// vLLM 0.33.0 from its package; vllm-project/vllm-omni#2313, 2026-05-07.
#[tokio::test(start_paused = true)]
async fn vllm_states_usage_so_far_for_those_who_ask() {
    let mut body = streamed("hello");
    body["stream_options"]["continuous_usage_stats"] = json!(true);
    let mock = writes(Host::Vllm, 20);
    let events = data(&mock, CHAT, &body).await;
    assert_eq!(with_usage(&events).len(), events.len());
    assert_eq!(events[0]["usage"]["completion_tokens"], 0, "with the role");
    let counts: Vec<u64> = events
        .iter()
        .map(|event| {
            event["usage"]["completion_tokens"]
                .as_u64()
                .expect("a count")
        })
        .collect();
    assert!(counts.is_sorted() && counts[1] == 4);
    let keys: Vec<&String> = events[1]["usage"]
        .as_object()
        .expect("an object")
        .keys()
        .collect();
    assert_eq!(keys, ["completion_tokens", "prompt_tokens", "total_tokens"]);
    let plain = data(&mock, CHAT, &streamed("hello")).await;
    assert_eq!(with_usage(&plain).len(), 1);
}

// vercel/ai moonshotai-usage-live.chunks.txt, 2026-08-26: the finish event and the event of its own.
#[tokio::test(start_paused = true)]
async fn kimi_states_usage_twice() {
    let mock = MockQwen::new(Config {
        cached_share: 1.0,
        ..of(Host::Kimi)
    });
    let events = data(&mock, CHAT, &streamed("hello")).await;
    let usage = json!({
        "prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10, "cached_tokens": 9,
        "completion_tokens_details": { "reasoning_tokens": 0 },
        "prompt_tokens_details": { "cached_tokens": 9 },
    });
    let [.., finish, own] = &events[..] else {
        panic!("two events")
    };
    assert_eq!(
        finish["choices"],
        json!([{
            "index": 0, "delta": {}, "finish_reason": "stop", "logprobs": null, "usage": usage,
        }])
    );
    assert!(finish.get("usage").is_none());
    assert_eq!((&own["choices"], &own["usage"]), (&json!([]), &usage));
}

// vercel/ai groq-tool-call.chunks.txt, 2026-02-11, and #1651, 2024-05-19: without being asked.
#[tokio::test(start_paused = true)]
async fn groq_states_usage_under_its_own_name_too() {
    let mut body = chat("hello");
    body["stream"] = json!(true);
    let events = data(&writes(Host::Groq, 1), CHAT, &body).await;
    let finish = events.last().expect("an event");
    assert_eq!(
        (
            &finish["choices"][0]["delta"],
            &finish["choices"][0]["finish_reason"]
        ),
        (&json!({}), &json!("stop"))
    );
    assert_eq!(finish["x_groq"]["usage"], finish["usage"]);
    assert!(finish["usage"]["queue_time"].is_f64() && finish["usage"]["total_time"].is_f64());
    assert!(
        events[0]["x_groq"]["id"]
            .as_str()
            .expect("text")
            .starts_with("req_")
    );
}

// LiteLLM 1.106.12, run on 2026-11-29.
#[tokio::test(start_paused = true)]
async fn litellm_has_a_choice_in_its_usage_event() {
    let events = data(&writes(Host::LiteLlm, 1), CHAT, &streamed("hello")).await;
    let own = events.last().expect("an event");
    assert_eq!(own["choices"], json!([{ "index": 0, "delta": {} }]));
    assert_eq!(own["usage"]["prompt_tokens"], 9);
}

// vercel/ai deepseek-text.chunks.txt, 2025-12-02, and deepseek-text.json, 2026-08-15.
#[tokio::test(start_paused = true)]
async fn deepseek_states_hits_and_misses() {
    let mock = MockQwen::new(Config {
        cached_share: 0.5,
        ..of(Host::DeepSeek)
    });
    let events = data(&mock, CHAT, &streamed("hello")).await;
    let expected = json!({
        "prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10,
        "prompt_tokens_details": { "cached_tokens": 4 },
        "prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 5,
    });
    let last = events.last().expect("an event");
    assert_eq!(
        (&last["usage"], &last["choices"][0]["finish_reason"]),
        (&expected, &json!("stop"))
    );
    let (_, _, whole) = told(&mock, CHAT, &chat("hello")).await;
    let whole: Value = serde_json::from_str(&whole).expect("JSON");
    assert_eq!(whole["usage"], expected);
}

// `openai/openai.go` of Ollama, 2026: zeros in each event before the true figures.
#[tokio::test(start_paused = true)]
async fn ollama_states_zeros_before_the_figures() {
    let body = json!({
        "model": "m", "prompt": "hello", "stream": true, "stream_options": { "include_usage": true },
    });
    let events = data(&writes(Host::Ollama, 20), "/v1/completions", &body).await;
    let (last, before) = events.split_last().expect("an event");
    assert!(before.len() > 2);
    for event in before {
        assert_eq!(
            event["usage"],
            json!({ "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0 })
        );
    }
    let output = count_text(&text(&events));
    assert_eq!(
        last["usage"],
        json!({
            "prompt_tokens": 1, "completion_tokens": output, "total_tokens": output + 1,
        })
    );
    assert_eq!(last["choices"], json!([]));
}

// Clients' tests of 2026; the cost as in underpass-ai/AXLR, 2026-10-09.
#[tokio::test(start_paused = true)]
async fn openrouter_says_that_it_works_and_what_it_costs() {
    let mock = writes(Host::OpenRouter, 1);
    let (_, _, text) = told(&mock, "/api/v1/chat/completions", &streamed("hello")).await;
    assert!(
        text.starts_with(": OPENROUTER PROCESSING\n\ndata: "),
        "{text}"
    );
    let events = data(&mock, CHAT, &streamed("hello")).await;
    let last = events.last().expect("an event");
    assert!(last["usage"]["cost"].is_f64() && last["usage"]["is_byok"] == false);
}

#[tokio::test(start_paused = true)]
async fn thoughts_have_the_name_of_the_host() {
    for host in Host::all() {
        let mock = MockQwen::new(Config {
            thought_share: 0.5,
            output_tokens: 40,
            ..of(host)
        });
        let (named, other) = match host {
            Host::Vllm | Host::Ollama | Host::OpenRouter | Host::Groq => {
                ("reasoning", "reasoning_content")
            }
            _ => ("reasoning_content", "reasoning"),
        };
        let (_, _, whole) = told(&mock, CHAT, &chat("hello")).await;
        let whole: Value = serde_json::from_str(&whole).expect("JSON");
        let message = &whole["choices"][0]["message"];
        let thoughts = message[named].as_str().expect("thoughts");
        let content = message["content"].as_str().expect("text");
        assert!(message.get(other).is_none() && !thoughts.is_empty() && !content.is_empty());
        let output = whole["usage"]["completion_tokens"]
            .as_u64()
            .expect("a count");
        assert_eq!(
            count_text(&format!("{thoughts}{content}")),
            output,
            "{host:?}"
        );
        assert_eq!(count_text(thoughts), output / 2, "{host:?}");
        let stated = &whole["usage"]["completion_tokens_details"]["reasoning_tokens"];
        let states = !matches!(host, Host::Vllm | Host::Ollama | Host::LlamaCpp);
        assert_eq!(stated.as_u64(), states.then_some(output / 2), "{host:?}");

        let events = data(&mock, CHAT, &streamed("hello")).await;
        let streamed: String = events
            .iter()
            .filter_map(|event| event["choices"][0]["delta"][named].as_str())
            .collect();
        assert_eq!(
            (streamed.as_str(), text(&events).as_str()),
            (thoughts, content),
            "{host:?}"
        );
    }
}
