//! Where the program itself has its quotas from, and what it says of them and of what holds it up.

mod support;

use std::{
    fs,
    path::Path,
    process::Output,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{extract::Request, http::header::AUTHORIZATION, middleware::map_request};
use mock_qwen::{Config, MockQwen, QuotaList};
use serde_json::Value;
use support::{TestResult, line};
use tempfile::TempDir;
use tokio::{net::TcpListener, process::Command, task::JoinHandle};

/// A folder with `calls.jsonl`: these numbers of calls of these models.
fn folder(models: &[(&str, usize)]) -> TestResult<TempDir> {
    let folder = tempfile::tempdir()?;
    let mut calls = String::new();
    for (model, count) in models {
        for number in 0..*count {
            let body = serde_json::json!({
                "model": model,
                "messages": [{"role": "user", "content": "How far?"}],
                "max_tokens": 20,
            });
            let id = format!("{model}-{number}");
            calls += &line(&id, "/v1/chat/completions", &body);
        }
    }
    fs::write(folder.path().join("calls.jsonl"), calls)?;
    Ok(folder)
}

/// Runs the program on `calls.jsonl` in the folder, without a key and an address of its own.
fn program(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_batch"));
    command
        .current_dir(folder)
        .args(["--input", "calls.jsonl", "--summary", "summary.json"])
        .args(args)
        .env_remove("DASHSCOPE_API_KEY")
        .env_remove("DASHSCOPE_BASE_URL");
    command
}

fn said(run: Output) -> TestResult<String> {
    Ok(String::from_utf8(run.stderr)?)
}

fn summary(folder: &TempDir) -> TestResult<Value> {
    let json = fs::read(folder.path().join("summary.json"))?;
    Ok(serde_json::from_slice(&json)?)
}

/// The path that was asked for, and the key that came with it.
type Seen = (String, Option<String>);

/// A provider at an address of its own, with the paths that were asked for and the keys that they came with.
struct Server {
    mock: MockQwen,
    base: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    serving: JoinHandle<()>,
}

impl Server {
    async fn start(config: Config) -> TestResult<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base = format!("http://{}/compatible-mode/v1", listener.local_addr()?);
        let mock = MockQwen::new(config);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&seen);
        let router = mock.router().layer(map_request(move |request: Request| {
            let key = request.headers().get(AUTHORIZATION);
            let key = key.map(|key| String::from_utf8_lossy(key.as_bytes()).into_owned());
            let path = request.uri().path().to_owned();
            notes.lock().expect("no test failed here").push((path, key));
            async { request }
        }));
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.ok();
        });
        Ok(Self {
            mock,
            base,
            seen,
            serving,
        })
    }

    /// How often the list was asked for, and the keys that came.
    fn lists(&self) -> (usize, Vec<Option<String>>) {
        let seen = self.seen.lock().expect("no test failed here").clone();
        let lists = seen.iter().filter(|(path, _)| path == "/api/v1/quotas");
        (
            lists.count(),
            seen.into_iter().map(|(_, key)| key).collect(),
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn quick(quota_list: QuotaList) -> Config {
    Config {
        rpm: 6_000,
        tpm: 3_000_000,
        quota_models: vec!["qwen-plus".into(), "qwen-max".into()],
        quota_list,
        ttft: Duration::from_millis(1),
        tpot: Duration::ZERO,
        ..Config::default()
    }
}

#[tokio::test]
async fn by_default_each_model_has_the_quota_of_the_accounts_list() -> TestResult {
    let server = Server::start(quick(QuotaList::Open)).await?;
    let folder = folder(&[("qwen-plus", 3), ("qwen-max", 2), ("mine", 1)])?;
    let run = program(folder.path(), &["--base-url", &server.base])
        .env("DASHSCOPE_API_KEY", "sk-test")
        .output()
        .await?;
    assert_eq!(run.status.code(), Some(0));
    let said = said(run)?;
    for sentence in [
        "Quota of qwen-plus: 6,000 requests and 3,000,000 tokens a minute, by the account's own list.\n",
        "Quota of qwen-max: 6,000 requests and 3,000,000 tokens a minute, by the account's own list.\n",
        "Quota of mine: not known (the account's list has no such model, and the built-in one does not know the \
         host). It starts with 60 requests and 60,000 tokens a minute and tries for more.\n",
    ] {
        assert_eq!(said.matches(sentence).count(), 1, "{said}");
    }
    let (lists, keys) = server.lists();
    assert_eq!((lists, keys.len()), (1, 7), "six calls and one list");
    assert!(
        keys.iter()
            .all(|key| key.as_deref() == Some("Bearer sk-test"))
    );
    assert_eq!(server.mock.stats().seen, 6, "the list is no call");
    let summary = summary(&folder)?;
    let origin = |at: usize| summary["quotas"][at]["origin"].clone();
    assert_eq!(summary["quotas"][0]["model"], "mine");
    assert_eq!(
        [origin(0), origin(1), origin(2)],
        ["discover", "account", "account"]
    );
    assert_eq!(
        summary["quota"]["requests"], 12_060,
        "of all models together"
    );
    Ok(())
}

#[tokio::test]
async fn without_a_list_it_says_why_and_finds_the_quota_out() -> TestResult {
    for (quota_list, why) in [
        (
            QuotaList::Forbidden,
            "the key may not read the account's list (403)",
        ),
        (QuotaList::Missing, "the host has no list of quotas"),
    ] {
        let server = Server::start(quick(quota_list)).await?;
        let folder = folder(&[("qwen-plus", 2)])?;
        let run = program(folder.path(), &["--base-url", &server.base])
            .output()
            .await?;
        assert_eq!(run.status.code(), Some(0));
        let said = said(run)?;
        let expected = format!(
            "Quota of qwen-plus: not known ({why}, and the built-in one does not know the host)."
        );
        assert!(said.contains(&expected), "{said}");
        assert_eq!(summary(&folder)?["quotas"][0]["origin"], "discover");
    }
    Ok(())
}

#[tokio::test]
async fn figures_on_the_command_line_win_and_no_list_is_asked_for() -> TestResult {
    for (args, expected, origin) in [
        (
            &["--rpm", "3000"][..],
            "Quota of each model: 3,000 requests and 800,000 tokens a minute (--rpm, and the default of --tpm).\n",
            "told",
        ),
        (
            &["--quota", "discover", "--tpm", "900000"],
            "Quota of each model: 800 requests and 900,000 tokens a minute (--tpm, and the default of --rpm).\n",
            "told",
        ),
        (
            &["--quota", "at-least", "--rpm", "3000"],
            "Quota of each model: at least 3,000 requests and 800,000 tokens a minute",
            "at_least",
        ),
        (
            &["--quota", "discover"],
            "Quota of each model: not known (--quota discover). It starts with 60 requests",
            "discover",
        ),
    ] {
        let server = Server::start(quick(QuotaList::Open)).await?;
        let folder = folder(&[("qwen-plus", 2)])?;
        let mut run = program(folder.path(), &["--base-url", &server.base]);
        let run = run.args(args).output().await?;
        assert_eq!(run.status.code(), Some(0));
        let said = said(run)?;
        assert!(said.contains(expected), "{said}");
        assert_eq!(server.lists().0, 0, "{args:?}");
        assert_eq!(summary(&folder)?["quotas"][0]["origin"], origin);
    }
    Ok(())
}

#[tokio::test]
async fn the_built_in_provider_has_the_quota_that_it_is_started_with() -> TestResult {
    let folder = folder(&[("qwen-plus", 2)])?;
    let run = program(folder.path(), &["--mock"]).output().await?;
    assert_eq!(run.status.code(), Some(0));
    let said = said(run)?;
    let expected = "Quota: 800 requests and 800,000 tokens a minute, as the built-in mock has.\n";
    assert!(said.contains(expected), "{said}");
    assert_eq!(summary(&folder)?["quotas"][0]["origin"], "mock");
    Ok(())
}

#[tokio::test]
async fn a_forecast_has_the_quota_of_the_run_and_sends_no_call() -> TestResult {
    // The default address is in Beijing. Without a key nothing can be asked for there.
    let models = folder(&[("qwen-plus", 40), ("mine", 1)])?;
    let run = program(models.path(), &["--dry-run"]).output().await?;
    assert_eq!(run.status.code(), Some(0));
    let told = said(run)?;
    for sentence in [
        "Quota of qwen-plus: 30,000 requests and 5,000,000 tokens a minute, by the built-in list for Beijing: there \
         is no key to ask for the account's list with.\n",
        "Quota of mine: not known (there is no key to ask for the account's list with, and the built-in one for \
         Beijing neither). It starts with 60 requests and 60,000 tokens a minute and tries for more.\n",
        "No call was sent.\n",
    ] {
        assert!(told.contains(sentence), "{told}");
    }
    let forecast = summary(&models)?;
    assert_eq!(forecast["quotas_to_find"], serde_json::json!(["mine"]));
    // One call of `mine` at 60 a minute takes longer than 40 of the other at 30,000.
    assert_eq!(forecast["duration_seconds"], 1.0);

    let server = Server::start(quick(QuotaList::Open)).await?;
    let one = folder(&[("qwen-plus", 60)])?;
    let run = program(one.path(), &["--dry-run", "--base-url", &server.base])
        .output()
        .await?;
    assert!(said(run)?.contains("by the account's own list.\n"));
    assert_eq!((server.lists().0, server.mock.stats().seen), (1, 0));
    assert_eq!(summary(&one)?["duration_seconds"], 0.6);
    Ok(())
}

#[tokio::test]
async fn a_quota_that_is_too_high_is_said_with_what_the_provider_lets_through() -> TestResult {
    let server = Server::start(Config {
        rpm: 10,
        window: Duration::from_secs(2),
        ..quick(QuotaList::Open)
    })
    .await?;
    let folder = folder(&[("qwen-plus", 60)])?;
    let mut run = program(folder.path(), &["--base-url", &server.base]);
    let figures = ["--rpm", "800", "--window", "2s", "--max-attempts", "50"];
    let run = run.args(figures).output().await?;
    assert_eq!(run.status.code(), Some(0));
    let told = said(run)?;
    let expected =
        "the quota of qwen-plus is too high: of 800 requests in 2s the provider lets about ";
    let rest = told.split(expected).nth(1).unwrap_or_default();
    let granted: u64 = rest.split(' ').next().unwrap_or_default().parse()?;
    assert!((5..=40).contains(&granted), "{told}");
    Ok(())
}
