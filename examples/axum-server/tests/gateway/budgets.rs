//! What budgets reject, and that they charge what the ledger books.

use std::{
    convert::Infallible,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{body::Body, response::Response};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use mock_qwen::{Config, MockQwen};
use serde_json::{Value, json};
use tower::service_fn;
use tower_qwen_tokens::{Money, call::BoxError};

use crate::{
    config::write,
    support::{ANTHROPIC, CHAT, Harness, NATIVE, TestResult, problem, read},
};

/// A call without a ceiling, or with this one.
fn call(key: &str, prompt: &str, max_tokens: Option<u64>) -> Request<Body> {
    let mut body = json!({"model": "qwen-plus", "messages": [{"role": "user", "content": prompt}]});
    if let Some(most) = max_tokens {
        body["max_tokens"] = most.into();
    }
    post(key, CHAT, &body.to_string())
}

fn post(key: &str, path: &str, body: &str) -> Request<Body> {
    Request::post(path)
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .body(Body::from(body.to_owned()))
        .expect("a request")
}

/// Long answers to those who ask for them, and short ones to all others.
async fn answer(request: Request<Body>) -> Result<Response, Infallible> {
    let body = request.into_body().collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let is_long = String::from_utf8_lossy(&body).contains("a long one");
    let output = if is_long { 30_000 } else { 20 };
    let answer = json!({
        "choices": [{"message": {"content": "Hello!"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": output, "total_tokens": 10 + output},
    });
    let answer = Response::builder()
        .header("content-type", "application/json")
        .body(Body::from(answer.to_string()));
    Ok(answer.expect("an answer"))
}

const CALLERS: &str = r#"
    [[callers]]
    name = "small"
    key = "sk-small"
    cost_per_day = "0.02 USD"
    [[callers]]
    name = "begun"
    key = "sk-begun"
    cost_per_day = "0.05 USD"
    [[callers]]
    name = "big"
    key = "sk-big"
    cost_per_day = "50 USD"
"#;

#[tokio::test(start_paused = true)]
async fn a_call_larger_than_its_budget_says_what_helps() -> TestResult {
    let folder = tempfile::tempdir()?;
    let flag = write(&folder, CALLERS)?;
    let mock = MockQwen::new(Config::default());
    let harness = Harness::before(service_fn(answer), mock, &[&flag])?;
    for _ in 0..30 {
        let (status, body) = harness.text(call("sk-big", "a long one", None)).await?;
        assert_eq!(status, StatusCode::OK, "{body}");
    }
    // It states a ceiling, and an answer like the others' would cost more than the whole day's budget: no time helps.
    let answer = harness.send(call("sk-small", "Hi", Some(100_000))).await;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(!answer.headers().contains_key("retry-after"));
    let (_, body) = read(answer).await?;
    let (message, code) = problem(std::str::from_utf8(&body)?)?;
    assert_eq!(code, "request_too_large");
    assert!(
        message.contains("more than the whole budget of 0.02 USD"),
        "{message}"
    );
    assert!(message.contains("state max_tokens"), "{message}");

    // Without a ceiling others' answers say nothing of this one: it goes while nothing is spent.
    let (status, body) = harness.text(call("sk-small", "Hi", None)).await?;
    assert_eq!(status, StatusCode::OK, "{body}");

    // It would fit into the day's budget, but not into what is left of it.
    let long = call("sk-begun", "a long one", Some(30_000));
    assert_eq!(harness.text(long).await?.0, StatusCode::OK);
    let answer = harness.send(call("sk-begun", "Hi", None)).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = answer.headers()["retry-after"].to_str()?.parse()?;
    assert!((1..=86_400).contains(&wait), "{wait}");
    let (_, body) = read(answer).await?;
    let (message, code) = problem(std::str::from_utf8(&body)?)?;
    assert_eq!(code, "budget_exceeded");
    assert!(message.contains("more than what is left"), "{message}");

    // A ceiling helps both; and answers of its own say more than those of another caller.
    for key in ["sk-small", "sk-begun"] {
        for _ in 0..8 {
            let (status, body) = harness.text(call(key, "Hi", Some(100))).await?;
            assert_eq!(status, StatusCode::OK, "{body}");
        }
    }
    let (status, body) = harness.text(call("sk-small", "Hi", None)).await?;
    assert_eq!(status, StatusCode::OK, "{body}");
    Ok(())
}

/// What is spent of the only budget, and what the ledger has.
fn sums(harness: &Harness) -> (String, Vec<Money>) {
    let limits = harness.gateway.budgets().snapshot().limits;
    let limit = limits
        .into_iter()
        .find(|limit| limit.owner.name() == "acme");
    let spent = limit.expect("its budget").spent;
    (spent.to_string(), harness.total().cost)
}

#[tokio::test(start_paused = true)]
async fn a_budget_has_the_ledgers_sum_also_after_a_restart() -> TestResult {
    let folder = tempfile::tempdir()?;
    let caller = "[[callers]]\nname = \"acme\"\nkey = \"sk-acme\"\ncost_per_day = \"5 USD\"";
    let config = write(&folder, caller)?;
    let ledger = format!("--ledger={}", folder.path().join("ledger.jsonl").display());
    let flags = [config.as_str(), ledger.as_str()];
    let number = Arc::new(AtomicUsize::new(0));
    let silent = service_fn(move |_: Request<Body>| {
        let number = number.fetch_add(1, Ordering::Relaxed);
        let (encoding, body) = match number {
            0 => ("gzip", "not to be read"),
            1 => ("identity", r#"{"choices":[],"usage":{}}"#),
            2 => ("identity", r#"{"choices":[{"message"#),
            _ => (
                "identity",
                r#"{"data":[],"usage":{"prompt_tokens":99999999,"total_tokens":99999999}}"#,
            ),
        };
        let answer = Response::builder()
            .header("content-type", "application/json")
            .header("content-encoding", encoding)
            .body(Body::from(body));
        async { answer.map_err(BoxError::from) }
    });
    let mock = MockQwen::new(Config::default());
    let harness = Harness::before(silent, mock, &flags)?;
    for _ in 0..3 {
        harness.text(call("sk-acme", "Hi", None)).await?;
    }
    let text = "hello ".repeat(3_000);
    let embedding = json!({"model": "text-embedding-v4", "input": text}).to_string();
    harness
        .text(post("sk-acme", "/v1/embeddings", &embedding))
        .await?;
    let total = harness.total();
    assert_eq!((total.calls, total.estimated, total.unknown), (4, 4, 0));
    assert!(
        total.input_tokens > 3_000,
        "the prompts are known: {total:?}"
    );
    let (spent, booked) = sums(&harness);
    let booked: Vec<_> = booked.iter().map(ToString::to_string).collect();
    assert_eq!(booked, std::slice::from_ref(&spent));
    drop(harness);

    let again = Harness::before(service_fn(answer), MockQwen::new(Config::default()), &flags)?;
    assert_eq!(sums(&again).0, spent, "as before the restart");
    Ok(())
}

/// The ledger had no tokens of it, so a restart forgot what the budget had taken.
#[tokio::test(start_paused = true)]
async fn an_answer_that_never_comes_costs_its_prompt_also_after_a_restart() -> TestResult {
    let folder = tempfile::tempdir()?;
    let caller = "[[callers]]\nname = \"acme\"\nkey = \"sk-acme\"\ncost_per_day = \"5 USD\"";
    let config = write(&folder, caller)?;
    let ledger = format!("--ledger={}", folder.path().join("ledger.jsonl").display());
    let flags = [config.as_str(), ledger.as_str(), "--timeout=5"];
    let silent = service_fn(|request: Request<Body>| async {
        // Else it was never written.
        request.into_body().collect().await?;
        pending::<Result<Response, BoxError>>().await
    });
    let harness = Harness::before(silent, MockQwen::new(Config::default()), &flags)?;
    let prompt = "hello ".repeat(3_000);
    let (status, _) = harness.text(call("sk-acme", &prompt, None)).await?;
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
    let total = harness.total();
    assert_eq!((total.calls, total.estimated, total.unknown), (1, 1, 0));
    assert_eq!(total.output_tokens, 0);
    let (spent, booked) = sums(&harness);
    let booked: Vec<_> = booked.iter().map(ToString::to_string).collect();
    assert_eq!(booked, std::slice::from_ref(&spent));
    drop(harness);

    let again = Harness::before(service_fn(answer), MockQwen::new(Config::default()), &flags)?;
    assert_eq!(sums(&again).0, spent, "as before the restart");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_request_that_names_two_models_is_not_sent() -> TestResult {
    let folder = tempfile::tempdir()?;
    let caller = "[[callers]]\nname = \"acme\"\nkey = \"sk-acme\"\nmodels = [\"qwen-max\"]";
    let harness = Harness::new(Config::default(), &[&write(&folder, caller)?])?;
    for (path, rest, code) in [
        (CHAT, r#""messages":[]"#, "invalid_parameter_error"),
        (NATIVE, r#""input":{"messages":[]}"#, "InvalidParameter"),
        (
            ANTHROPIC,
            r#""messages":[],"max_tokens":9"#,
            "invalid_request_error",
        ),
    ] {
        let body = format!(r#"{{"model":"qwen-plus",{rest},"model":"qwen-max"}}"#);
        let (status, text) = harness.text(post("sk-acme", path, &body)).await?;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}: {text}");
        let (message, found) = problem(&text)?;
        assert_eq!(found, code, "{path}");
        assert!(message.contains("`model` twice"), "{message}");
        assert!(serde_json::from_str::<Value>(&text).is_ok());
    }
    assert_eq!(harness.mock.stats().seen, 0);
    Ok(())
}

/// Some hosts throttle with a status of 200: as other errors, it costs nothing.
#[tokio::test(start_paused = true)]
async fn an_error_in_json_of_status_200_costs_no_tokens() -> TestResult {
    let folder = tempfile::tempdir()?;
    let caller = "[[callers]]\nname = \"acme\"\nkey = \"sk-acme\"\ncost_per_day = \"5 USD\"";
    let flag = write(&folder, caller)?;
    let mut config = Config::default();
    config.faults.error_200 = 1.0;
    let mock = MockQwen::new(config);
    let harness = Harness::before(mock.router(), mock, &[&flag])?;
    for prompt in ["Hi", "Tell me of rivers."] {
        // The host's own words, or the gateway's when the call has waited as long as it may.
        let (_, body) = harness.text(call("sk-acme", prompt, Some(100))).await?;
        assert!(!problem(&body)?.0.is_empty(), "{body}");
    }
    assert_eq!(harness.mock.stats().completed, 0);
    let total = harness.total();
    assert_eq!((total.calls, total.estimated), (2, 0));
    assert_eq!((total.input_tokens, total.output_tokens), (0, 0));
    assert_eq!(sums(&harness).0, "0 USD");
    let accounts = harness.gateway.upstream().snapshot();
    let charged: u64 = accounts.iter().map(|account| account.settled_tokens).sum();
    assert_eq!(charged, 0);
    Ok(())
}

/// What no call can have had is neither believed nor shown.
#[tokio::test(start_paused = true)]
async fn parts_of_usage_that_cannot_be_are_not_booked() -> TestResult {
    let mock = MockQwen::new(Config::default());
    let absurd = service_fn(|_: Request<Body>| async {
        let usage = json!({
            "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 1_000_000_000_000_u64,
            "prompt_tokens_details": {"cached_tokens": u64::MAX, "cache_creation_input_tokens": u64::MAX},
            "completion_tokens_details": {"reasoning_tokens": u64::MAX},
        });
        let answer = json!({"choices": [{"message": {"content": "Hello!"}, "finish_reason": "stop"}], "usage": usage});
        let answer = Response::builder()
            .header("content-type", "application/json")
            .body(Body::from(answer.to_string()));
        Ok::<_, Infallible>(answer.expect("an answer"))
    });
    let harness = Harness::before(absurd, mock, &[])?;
    let request = call("sk-secret-acme", "Hi", Some(100));
    assert_eq!(harness.text(request).await?.0, StatusCode::OK);
    let total = harness.total();
    assert_eq!((total.input_tokens, total.output_tokens), (10, 5));
    let shown = format!("{total:?}");
    for absurd in ["18446744073709551615", "1000000000000"] {
        assert!(!shown.contains(absurd), "{shown}");
    }
    Ok(())
}
