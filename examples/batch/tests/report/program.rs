//! The built program writes its report however it ends, or says beforehand that it cannot.

use std::{fs, path::Path, process::Output, time::Duration};

use axum::{Router, http::StatusCode};
use mock_qwen::{Config, MockQwen, RunningMock};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{net::TcpListener, process::Command};

use crate::{
    html::Html,
    support::{TestResult, chat},
};

const KEY: &str = "sk-0123456789abcdef";
const PROMPT: &str = "How far is the moon?";

/// A folder that holds so many calls.
fn folder(calls: usize) -> TestResult<TempDir> {
    let folder = tempfile::tempdir()?;
    let calls: String = (0..calls)
        .map(|number| chat(&format!("c{number}"), PROMPT))
        .collect();
    fs::write(folder.path().join("calls.jsonl"), calls)?;
    Ok(folder)
}

fn batch(folder: &TempDir, base: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_batch"));
    command
        .current_dir(folder.path())
        .args([
            "--input",
            "calls.jsonl",
            "--rpm",
            "600000",
            "--tpm",
            "600000000",
        ])
        .args(["--base-url", base, "--summary", "summary.json"])
        .args(args)
        .env("DASHSCOPE_API_KEY", KEY)
        .env_remove("DASHSCOPE_BASE_URL");
    command
}

async fn mock(config: Config) -> TestResult<RunningMock> {
    let quota = Config {
        rpm: 600_000,
        tpm: 600_000_000,
        ..config
    };
    Ok(RunningMock::start(MockQwen::new(quota)).await?)
}

/// A provider that says this to every call.
async fn saying(status: u16, body: &'static str) -> TestResult<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}/v1", listener.local_addr()?);
    let status = StatusCode::from_u16(status)?;
    let json = [("content-type", "application/json")];
    let router = Router::new().fallback(move || async move { (status, json, body) });
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(base)
}

/// The report, which is whole, inert, and holds nothing that is secret; and the summary.
fn report(folder: &Path) -> TestResult<(Html, Value)> {
    let page = fs::read_to_string(folder.join("run.html"))?;
    let html = Html::read(&page)?;
    html.assert_inert();
    for secret in [KEY, PROMPT, "0123456789"] {
        assert!(!page.contains(secret), "{secret}");
    }
    for name in names(folder)? {
        assert!(!name.ends_with(".part"), "{name} is left");
    }
    let summary = serde_json::from_slice(&fs::read(folder.join("summary.json"))?)?;
    Ok((html, summary))
}

fn names(folder: &Path) -> TestResult<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}

fn said(run: &Output) -> String {
    String::from_utf8_lossy(&run.stderr).into_owned()
}

#[tokio::test]
async fn the_figures_of_page_and_summary_are_those_of_the_run() -> TestResult {
    let provider = mock(Config {
        ttft: Duration::from_millis(20),
        ..Config::default()
    })
    .await?;
    let folder = folder(40)?;
    let run = batch(
        &folder,
        &provider.base_url(),
        &["--report", "run.html", "--stream"],
    )
    .output()
    .await?;
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    assert!(said(&run).contains("The report is in run.html."));
    let (html, summary) = report(folder.path())?;
    assert!(
        html.text.contains("40 of 40 calls answered"),
        "{}",
        html.text
    );
    let model = &summary["models"]["qwen-plus"];
    assert_eq!(
        (&model["answered"], &model["attempts"]),
        (&40.into(), &40.into())
    );
    assert_eq!(model["prompt_tokens"], summary["tokens"]["prompt"]);
    assert_eq!(model["output_tokens"], summary["tokens"]["output"]);
    assert_eq!(model["cost"], summary["cost"]);
    for times in ["wait_seconds", "first_token_seconds", "total_seconds"] {
        assert_eq!(model[times], summary[times], "{times}");
        let at = |name: &str| model[times][name].as_f64().unwrap_or(f64::NAN);
        assert_eq!(model[times]["count"], 40, "{times}");
        assert!(0.0 <= at("p50") && at("p50") <= at("p95"), "{times}");
        assert!(at("p95") <= at("p99") && at("p99") <= at("max"), "{times}");
    }
    let first = &model["first_token_seconds"]["p50"];
    assert!(first.as_f64() >= Some(0.02), "{first}");
    // Without streams there is no first token.
    fs::remove_file(folder.path().join("calls.output.jsonl"))?;
    let run = batch(&folder, &provider.base_url(), &["--report", "run.html"])
        .output()
        .await?;
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    assert_eq!(report(folder.path())?.1["first_token_seconds"], Value::Null);
    Ok(())
}

#[cfg(unix)]
#[tokio::test]
async fn a_stopped_run_has_its_report() -> TestResult {
    let provider = mock(Config {
        ttft: Duration::from_millis(300),
        ..Config::default()
    })
    .await?;
    let folder = folder(200)?;
    let child = batch(
        &folder,
        &provider.base_url(),
        &["--report", "run.html", "--concurrency", "4"],
    )
    .stderr(std::process::Stdio::piped())
    .spawn()?;
    let output = folder.path().join("calls.output.jsonl");
    while fs::metadata(&output).map_or(0, |file| file.len()) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let id = child.id().ok_or("it has ended")?.to_string();
    Command::new("kill").args(["-INT", &id]).status().await?;
    let run = child.wait_with_output().await?;
    assert_eq!(run.status.code(), Some(130), "{}", said(&run));
    let (html, summary) = report(folder.path())?;
    assert!(html.text.contains("The run was stopped"), "{}", html.text);
    assert_eq!(
        summary["models"]["qwen-plus"]["answered"],
        summary["calls"]["succeeded"]
    );
    Ok(())
}

#[tokio::test]
async fn a_run_that_ends_by_itself_has_its_report() -> TestResult {
    // A host that repeats the key.
    let base = saying(
        401,
        r#"{"error":{"code":"invalid_api_key","message":"Incorrect API key provided: sk-0123456789abcdef.","type":"t"}}"#,
    )
    .await?;
    let stopped = folder(5)?;
    let run = batch(&stopped, &base, &["--report", "run.html"])
        .output()
        .await?;
    assert_eq!(run.status.code(), Some(3), "{}", said(&run));
    let (html, _) = report(stopped.path())?;
    for text in [
        "The run ended before its input: key.",
        "invalid_api_key",
        "provided: sk-..",
        "c0",
    ] {
        assert!(html.text.contains(text), "{text} in {}", html.text);
    }

    let provider = mock(Config::default()).await?;
    let capped = folder(50)?;
    let args = ["--report", "run.html", "--max-tokens-total", "1000"];
    let run = batch(&capped, &provider.base_url(), &args).output().await?;
    assert_eq!(run.status.code(), Some(4), "{}", said(&run));
    let (html, _) = report(capped.path())?;
    assert!(
        html.text
            .contains("The run ended before its input: max_tokens_total."),
        "{}",
        html.text
    );
    Ok(())
}

#[tokio::test]
async fn a_report_that_cannot_be_is_rejected_before_anything_is_sent() -> TestResult {
    let provider = mock(Config::default()).await?;
    for (args, why) in [
        (
            &["--report", "missing/run.html"][..],
            "--report: missing/run.html: it cannot be written: ",
        ),
        (&["--report", "."], "--report: .: it is a folder"),
        (
            &["--report", "own.txt"],
            "--report: own.txt: it is there already, is no report of this program",
        ),
        (
            &["--report", "calls.jsonl"],
            "--input and --report are the same file",
        ),
        (
            &["--report", "summary.json"],
            "--summary and --report are the same file",
        ),
        (
            &["--report", "run.html", "--dry-run"],
            "--report: a forecast sends no call",
        ),
    ] {
        let folder = folder(3)?;
        fs::write(folder.path().join("own.txt"), "mine")?;
        let run = batch(&folder, &provider.base_url(), args).output().await?;
        assert_eq!(run.status.code(), Some(2), "{args:?} {}", said(&run));
        assert!(said(&run).contains(why), "{args:?} {}", said(&run));
        let mut names = names(folder.path())?;
        names.sort();
        assert_eq!(names, ["calls.jsonl", "own.txt"], "{args:?}");
        assert_eq!(fs::read_to_string(folder.path().join("own.txt"))?, "mine");
    }
    assert_eq!(provider.stats().seen, 0);
    Ok(())
}
