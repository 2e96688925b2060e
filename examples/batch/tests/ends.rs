//! When the program itself ends before its input does: key, account, model, address, caps.

mod support;

use std::{
    fs,
    path::Path,
    process::Output,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Response, StatusCode},
};
use serde_json::{Value, json};
use support::{TestResult, chat, line, lines};
use tempfile::TempDir;
use tokio::{net::TcpListener, process::Command, task::JoinHandle};

const CHAT: &str = "/v1/chat/completions";

const BAD_KEY: &str = r#"{"error":{"code":"invalid_api_key","message":"Incorrect API key provided.","param":null,"type":"invalid_request_error"}}"#;
const NO_MODEL: &str = r#"{"error":{"code":"model_not_found","message":"The model does not exist.","param":null,"type":"invalid_request_error"}}"#;
const ARREARS: &str = r#"{"error":{"code":"Arrearage","message":"Access denied, please make sure your account is in good standing.","param":null,"type":"Arrearage"}}"#;
const PLAN: &str = r#"{"error":{"type":"usage_limit_reached","message":"The usage limit has been reached","resets_in_seconds":7139}}"#;
const BAD_CALL: &str = r#"{"error":{"code":"invalid_parameter_error","message":"Range of top_p should be (0.0, 1.0]","param":null,"type":"invalid_request_error"}}"#;

/// What a provider answers to its call of this number, from 1, for this model.
type Script = fn(u64, &str) -> (u16, String);

/// A provider that answers by a script.
struct Server {
    base: String,
    seen: Arc<AtomicU64>,
    serving: JoinHandle<()>,
}

impl Server {
    async fn start(script: Script) -> TestResult<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base = format!("http://{}/v1", listener.local_addr()?);
        let seen = Arc::new(AtomicU64::new(0));
        let router = Router::new()
            .fallback(answer)
            .with_state((script, seen.clone()));
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.ok();
        });
        Ok(Self {
            base,
            seen,
            serving,
        })
    }

    fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(
    State((script, seen)): State<(Script, Arc<AtomicU64>)>,
    _: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let number = seen.fetch_add(1, Ordering::Relaxed) + 1;
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (status, text) = script(number, body["model"].as_str().unwrap_or_default());
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    let json = axum::http::HeaderValue::from_static("application/json");
    response.headers_mut().insert("content-type", json);
    response
}

/// An answer of ten tokens to a prompt of ten.
fn good() -> (u16, String) {
    let body = json!({
        "choices": [{"index": 0, "message": {"content": "Ten words"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20},
    });
    (200, body.to_string())
}

fn bad(status: u16, body: &str) -> (u16, String) {
    (status, body.to_owned())
}

/// A folder that holds so many calls of qwen-plus.
fn folder(calls: usize) -> TestResult<TempDir> {
    let folder = tempfile::tempdir()?;
    let calls: String = (0..calls)
        .map(|number| chat(&format!("c{number}"), "Why?"))
        .collect();
    fs::write(folder.path().join("calls.jsonl"), calls)?;
    Ok(folder)
}

async fn batch(folder: &Path, args: &[&str], environment: &[(&str, &str)]) -> TestResult<Output> {
    Ok(Command::new(env!("CARGO_BIN_EXE_batch"))
        .current_dir(folder)
        // No test is to wait for its quota.
        .args(["--input", "calls.jsonl", "--rpm", "600000"])
        .args(["--tpm", "600000000", "--summary", "summary.json"])
        .args(args)
        .env_remove("DASHSCOPE_API_KEY")
        .env_remove("DASHSCOPE_BASE_URL")
        .envs(environment.iter().copied())
        .output()
        .await?)
}

/// What a run said at its end on the standard error, and its summary.
fn ending(folder: &TempDir, run: &Output) -> TestResult<(String, Value)> {
    let said = String::from_utf8(run.stderr.clone())?;
    let last = said.lines().last().unwrap_or_default().to_owned();
    let summary = fs::read(folder.path().join("summary.json"))?;
    Ok((last, serde_json::from_slice(&summary)?))
}

/// The sentence with `HOST` in place of the server's address.
fn without_port(said: &str) -> String {
    let Some((before, after)) = said.split_once("127.0.0.1:") else {
        return said.to_owned();
    };
    let after = after.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{before}HOST{after}")
}

/// A run of a thousand calls against a provider that rejects each of them, and what it said.
async fn rejected(script: Script, args: &[&str]) -> TestResult<(i32, u64, String, Value)> {
    let server = Server::start(script).await?;
    let folder = folder(1_000)?;
    let args = [&["--base-url", server.base.as_str()], args].concat();
    let key = [("DASHSCOPE_API_KEY", "sk-test")];
    let run = batch(folder.path(), &args, &key).await?;
    let (said, summary) = ending(&folder, &run)?;
    let output = lines(&folder.path().join("calls.output.jsonl"))?;
    assert_eq!(output.keys().collect::<Vec<_>>(), ["c0"], "the first line");
    let code = run.status.code().ok_or("it was killed")?;
    Ok((code, server.seen(), said, summary))
}

#[tokio::test]
async fn what_concerns_all_calls_ends_the_run_after_the_first() -> TestResult {
    let rows: [(Script, &str, &str); 5] = [
        (
            |_, _| bad(401, BAD_KEY),
            "key",
            "The key is not valid at HOST (401 invalid_api_key: ",
        ),
        (
            |_, _| bad(400, ARREARS),
            "account",
            "The account cannot be used at HOST (400 Arrearage: ",
        ),
        (
            |_, _| bad(429, PLAN),
            "plan_window",
            "A window of the account's plan is used up (429 usage_limit_reached: ",
        ),
        (
            |_, _| bad(404, NO_MODEL),
            "model",
            "There is no model \"qwen-plus\" for this key at HOST (404 model_not_found: ",
        ),
        (
            |_, _| bad(404, "Not Found"),
            "path",
            "There is nothing at /v1/chat/completions of HOST (404",
        ),
    ];
    for (script, reason, expected) in rows {
        let (code, seen, said, summary) = rejected(script, &[]).await?;
        assert_eq!((code, seen), (3, 1), "{reason}: {said}");
        assert_eq!(summary["advice"][0], said);
        assert!(without_port(&said).starts_with(expected), "{said}");
        assert_eq!(summary["ended"], reason);
        assert_eq!(summary["calls"]["failed"], 1);
    }
    Ok(())
}

#[tokio::test]
async fn a_page_in_place_of_a_provider_ends_the_run() -> TestResult {
    let (code, seen, said, _) = rejected(|_, _| bad(200, "<html></html>"), &[]).await?;
    assert_eq!((code, seen), (3, 1), "{said}");
    assert!(
        said.contains("does not answer as a provider of models does"),
        "{said}"
    );
    Ok(())
}

#[tokio::test]
async fn a_bad_first_line_stops_no_other() -> TestResult {
    let server = Server::start(|number, _| match number {
        1 => bad(400, BAD_CALL),
        _ => good(),
    })
    .await?;
    let folder = folder(50)?;
    let run = batch(folder.path(), &["--base-url", &server.base], &[]).await?;
    assert_eq!(run.status.code(), Some(1));
    let (_, summary) = ending(&folder, &run)?;
    assert_eq!(summary["calls"]["succeeded"], 49);
    assert_eq!(summary["ended"], Value::Null);
    Ok(())
}

#[tokio::test]
async fn an_address_where_nothing_listens_ends_the_run_and_is_named() -> TestResult {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}/v1", listener.local_addr()?);
    drop(listener);
    let folder = folder(1_000)?;
    // A deadline that passes while the first call is tried again: it does not hide the cause.
    for deadline in ["30m", "300ms"] {
        let args = ["--base-url", &base, "--deadline", deadline];
        let run = batch(folder.path(), &args, &[]).await?;
        assert_eq!(run.status.code(), Some(3));
        let (said, summary) = ending(&folder, &run)?;
        let origin = base.trim_end_matches("/v1");
        assert!(
            said.starts_with(&format!(
                "{origin} cannot be reached: connection refused. Check"
            )),
            "{said}"
        );
        assert_eq!(summary["calls"]["failed_by"], json!({"transport": 1}));
        let first = &lines(&folder.path().join("calls.output.jsonl"))?["c0"];
        let message = first["error"]["message"].as_str().ok_or("a message")?;
        assert!(
            message.starts_with("cannot connect: connection refused"),
            "{message}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn one_model_that_is_not_there_does_not_stop_the_others() -> TestResult {
    let server = Server::start(|_, model| match model {
        "qwen-nope" => bad(404, NO_MODEL),
        _ => good(),
    })
    .await?;
    let folder = tempfile::tempdir()?;
    let calls: String = (0..100)
        .map(|number| {
            let model = if number % 2 == 0 {
                "qwen-plus"
            } else {
                "qwen-nope"
            };
            let body = json!({"model": model, "messages": [{"role": "user", "content": "Hi"}]});
            line(&format!("c{number}"), CHAT, &body)
        })
        .collect();
    fs::write(folder.path().join("calls.jsonl"), calls)?;
    let run = batch(folder.path(), &["--base-url", &server.base], &[]).await?;
    let said = String::from_utf8(run.stderr.clone())?;
    assert_eq!(run.status.code(), Some(1), "{said}");
    let (last, summary) = ending(&folder, &run)?;
    assert_eq!(server.seen(), 51);
    let calls = &summary["calls"];
    assert_eq!(
        (&calls["succeeded"], &calls["not_sent"]),
        (&json!(50), &json!(49))
    );
    let notice = "Calls of \"qwen-nope\" to /v1/chat/completions cannot succeed and are not sent: 404 model_not_found";
    assert!(said.contains(notice), "{said}");
    assert!(
        last.starts_with("There is no model \"qwen-nope\" for this key at 127.0.0.1:"),
        "{last}"
    );
    Ok(())
}

#[tokio::test]
async fn a_key_that_dies_on_the_way_ends_the_run_and_what_was_answered_stays() -> TestResult {
    let server = Server::start(|number, _| match number {
        ..=100 => good(),
        _ => bad(401, BAD_KEY),
    })
    .await?;
    let folder = folder(2_000)?;
    let args = ["--base-url", &server.base, "--concurrency", "8"];
    let run = batch(folder.path(), &args, &[("DASHSCOPE_API_KEY", "sk-test")]).await?;
    let (said, summary) = ending(&folder, &run)?;
    assert_eq!(run.status.code(), Some(3), "{said}");
    assert!(
        said.starts_with("The key is not valid at 127.0.0.1"),
        "{said}"
    );
    assert_eq!(summary["calls"]["succeeded"], 100);
    // Three in a row, and those that were on their way when the key died and when the run ended.
    assert!(server.seen() <= 100 + 3 + 8 + 8, "{}", server.seen());
    assert!(summary["failures"][0]["message"].is_string());
    let again = Server::start(|_, _| good()).await?;
    let port = again.base.clone();
    let other = batch(folder.path(), &["--base-url", &port], &[]).await?;
    assert_eq!(other.status.code(), Some(2), "another provider");
    Ok(())
}

#[tokio::test]
async fn so_many_failures_end_the_run() -> TestResult {
    let server = Server::start(|_, _| bad(400, BAD_CALL)).await?;
    let folder = folder(1_000)?;
    let args = [
        "--base-url",
        &server.base,
        "--max-failures",
        "5",
        "--concurrency",
        "4",
    ];
    let run = batch(folder.path(), &args, &[]).await?;
    let (said, summary) = ending(&folder, &run)?;
    assert_eq!(run.status.code(), Some(1), "{said}");
    assert_eq!(said, "5 calls failed, which ends the run (--max-failures).");
    assert_eq!(summary["ended"], "max_failures");
    assert!(server.seen() <= 5 + 4, "{}", server.seen());
    let printed = String::from_utf8(run.stdout)?;
    let top = "such as \"c0\": invalid_parameter_error: Range of top_p should be (0.0, 1.0]\n";
    assert!(
        printed.contains("Most frequent failures:\n- ") && printed.contains(top),
        "{printed}"
    );
    Ok(())
}

#[tokio::test]
async fn the_cost_stays_below_its_cap_and_the_run_goes_on_later() -> TestResult {
    let server = Server::start(|_, _| good()).await?;
    let folder = folder(1_000)?;
    // At its most an answer of 100 tokens is 0.00012 USD or 0.0004 USD, by whether the model thinks.
    let args = ["--base-url", &server.base, "--max-cost", "0.003USD"];
    let run = batch(folder.path(), &args, &[]).await?;
    let (said, summary) = ending(&folder, &run)?;
    assert_eq!(run.status.code(), Some(4), "{said}");
    assert!(
        said.starts_with("The cap of 0.003 USD is reached: "),
        "{said}"
    );
    assert_eq!(summary["ended"], "max_cost");
    let cost: f64 = summary["cost"][0]["amount"]
        .as_str()
        .ok_or("a cost")?
        .parse()?;
    assert!((0.002..=0.003).contains(&cost), "{cost}");
    let first = lines(&folder.path().join("calls.output.jsonl"))?.len();
    assert!(first >= 50, "{first}");
    let rest = batch(folder.path(), &["--base-url", &server.base], &[]).await?;
    assert_eq!(rest.status.code(), Some(0));
    assert_eq!(
        lines(&folder.path().join("calls.output.jsonl"))?.len(),
        1_000
    );
    assert_eq!(server.seen(), 1_000);
    Ok(())
}

#[tokio::test]
async fn tokens_stay_below_their_cap() -> TestResult {
    let server = Server::start(|_, _| good()).await?;
    let folder = folder(1_000)?;
    let args = ["--base-url", &server.base, "--max-tokens-total", "2000"];
    let run = batch(folder.path(), &args, &[]).await?;
    let (said, summary) = ending(&folder, &run)?;
    assert_eq!(run.status.code(), Some(4), "{said}");
    assert!(
        said.starts_with("The cap of 2000 tokens is reached: "),
        "{said}"
    );
    let tokens = &summary["tokens"];
    let used =
        tokens["prompt"].as_u64().ok_or("prompt")? + tokens["output"].as_u64().ok_or("output")?;
    assert!((1_800..=2_000).contains(&used), "{used}");
    // No call fits at all: nothing is sent.
    let args = [
        "--base-url",
        &server.base,
        "--max-tokens-total",
        "50",
        "--output",
        "other.jsonl",
    ];
    let seen = server.seen();
    let run = batch(folder.path(), &args, &[]).await?;
    assert_eq!((run.status.code(), server.seen()), (Some(4), seen));
    let (said, _) = ending(&folder, &run)?;
    assert!(
        said.contains("more than all of --max-tokens-total (50 tokens)"),
        "{said}"
    );
    Ok(())
}

#[tokio::test]
async fn a_cap_in_another_currency_needs_a_rate() -> TestResult {
    let folder = folder(3)?;
    let run = batch(folder.path(), &["--mock", "--max-cost", "150CNY"], &[]).await?;
    assert_eq!(run.status.code(), Some(2));
    assert_eq!(
        String::from_utf8(run.stderr)?,
        "error: --max-cost is in CNY, and this provider's prices are in USD: give the cap in USD, or a rate of exchange \
         (--rate USD=..CNY)\n"
    );
    assert_eq!(fs::read_dir(folder.path())?.count(), 1, "nothing was made");
    let args = ["--mock", "--max-cost", "150CNY", "--rate", "USD=7.1CNY"];
    let run = batch(folder.path(), &args, &[]).await?;
    assert_eq!(
        run.status.code(),
        Some(0),
        "{}",
        String::from_utf8(run.stderr)?
    );
    // A model without a price, which only its line names.
    let body = json!({"model": "nobodys-model", "messages": []});
    fs::write(folder.path().join("calls.jsonl"), line("x", CHAT, &body))?;
    let server = Server::start(|_, _| good()).await?;
    let args = ["--base-url", &server.base, "--max-cost", "1USD"];
    let run = batch(folder.path(), &args, &[]).await?;
    assert_eq!((run.status.code(), server.seen()), (Some(2), 0));
    let (said, _) = ending(&folder, &run)?;
    assert!(
        said.starts_with("--max-cost: no price of \"nobodys-model\" is known"),
        "{said}"
    );
    Ok(())
}

#[tokio::test]
async fn the_key_of_a_plan_gets_one_line() -> TestResult {
    let server = Server::start(|_, _| good()).await?;
    let folder = folder(2)?;
    let key = [("DASHSCOPE_API_KEY", "sk-sp-secret")];
    let run = batch(folder.path(), &["--base-url", &server.base], &key).await?;
    assert_eq!(run.status.code(), Some(0));
    let said = String::from_utf8(run.stderr)?;
    let warnings = said
        .lines()
        .filter(|line| line.contains("the plan's terms forbid scripts"));
    assert_eq!(warnings.count(), 1, "{said}");
    assert!(!said.contains("secret"));
    Ok(())
}

#[tokio::test]
async fn a_model_that_the_mock_does_not_know_is_an_error() -> TestResult {
    let folder = folder(10)?;
    let run = batch(folder.path(), &["--mock", "--model", "qwen-nope"], &[]).await?;
    let (said, summary) = ending(&folder, &run)?;
    assert_eq!(run.status.code(), Some(3), "{said}");
    assert!(said.starts_with("There is no model \"qwen-nope\" for this key at the built-in provider (404 model_not_found: The model `qwen-nope`"), "{said}");
    assert_eq!(summary["provider_view"]["seen"], 1);
    Ok(())
}

#[tokio::test]
async fn a_call_that_would_wait_too_long_says_how_long() -> TestResult {
    let folder = folder(20)?;
    let args = ["--mock", "--deadline", "400ms", "--concurrency", "20"];
    let run = Command::new(env!("CARGO_BIN_EXE_batch"))
        .current_dir(folder.path())
        .args(["--input", "calls.jsonl", "--rpm", "600", "--tpm", "6000000"])
        .args(["--summary", "summary.json"])
        .args(args)
        .output()
        .await?;
    assert_eq!(run.status.code(), Some(1));
    let (_, summary) = ending(&folder, &run)?;
    let kinds = summary["failures"].as_array().ok_or("failures")?;
    let waits = kinds.iter().filter(|kind| kind["code"] == "deadline");
    let texts: Vec<_> = waits.filter_map(|kind| kind["message"].as_str()).collect();
    assert!(
        texts.iter().any(|text| {
            text.starts_with("waited ")
                && text.contains(" s, needs ")
                && text.ends_with(" s more, and has 0.4 s in all")
        }),
        "{kinds:?}"
    );
    Ok(())
}

#[tokio::test]
async fn the_built_in_provider_answers_embeddings() -> TestResult {
    let folder = tempfile::tempdir()?;
    let body = json!({"model": "text-embedding-v4", "input": "words"});
    let calls = line("e", "/v1/embeddings", &body);
    fs::write(folder.path().join("calls.jsonl"), calls)?;
    let run = batch(folder.path(), &["--mock"], &[]).await?;
    assert_eq!(run.status.code(), Some(0));
    Ok(())
}
