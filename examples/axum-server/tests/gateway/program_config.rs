//! The program itself with a file: how it checks, reloads, and goes on where it was ended.

use std::{
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;

use crate::{
    program::Program,
    sockets::caller,
    support::{CHAT, TestResult, call_of},
};

const FILE: &str = r#"version = 1
[server]
admin_key = "sk-admin"
[limits]
head_timeout = "10s"
body_timeout = "60s"
idle_timeout = "75s"
[[callers]]
name = "acme"
key = "sk-1"
requests_per_minute = 1000
tokens_per_minute = 1000000
cost_per_day = "20 USD"
models = ["qwen-plus"]
group = "lab"
priority = "high"
[[callers]]
name = "once"
key = "sk-once"
tokens_per_day = 500
[[groups]]
name = "lab"
cost_per_day = "140 CNY"
[rates]
CNY_USD = 0.14
"#;

fn check(path: &Path) -> TestResult<Output> {
    let mut program = Command::new(env!("CARGO_BIN_EXE_axum-server"));
    Ok(program.arg("--config").arg(path).arg("--check").output()?)
}

async fn send(program: &Program, mut request: Request<Body>) -> TestResult<(StatusCode, String)> {
    *request.uri_mut() = format!("{}{}", program.at, request.uri()).parse()?;
    let answer = caller().request(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8(body.to_vec())?))
}

async fn status(program: &Program, key: &str) -> TestResult<StatusCode> {
    Ok(send(program, call_of(key, CHAT, "Hi", false)).await?.0)
}

async fn usage(program: &Program) -> TestResult<Value> {
    let usage = Request::get("/usage")
        .header("authorization", "Bearer sk-admin")
        .body(Body::empty())?;
    Ok(serde_json::from_str(&send(program, usage).await?.1)?)
}

#[test]
fn a_check_ends_with_0_or_with_2_and_all_lines() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("gateway.toml");
    std::fs::write(&path, FILE)?;
    let good = check(&path)?;
    assert_eq!(good.status.code(), Some(0), "{good:?}");
    let bad = FILE
        .replace("idle_timeout", "idle_time")
        .replace("\"20 USD\"", "20")
        .replace("key = \"sk-1\"", "key = \"sk 1\"");
    std::fs::write(&path, bad)?;
    let bad = check(&path)?;
    assert_eq!(bad.status.code(), Some(2));
    let text = String::from_utf8(bad.stderr)?;
    for place in [
        "gateway.toml:7:1: ",
        "gateway.toml:10:7: ",
        "gateway.toml:13:16: ",
    ] {
        assert!(text.contains(place), "{place} in\n{text}");
    }
    assert!(!text.contains("sk 1"), "{text}");
    // It does not start with it either.
    let mut program = Command::new(env!("CARGO_BIN_EXE_axum-server"));
    let started = program.arg("--config").arg(&path).output()?;
    assert_eq!(started.status.code(), Some(2));
    std::fs::write(
        &path,
        format!("{FILE}[ledger]\nfile = \"/no/such/folder/calls\"\n"),
    )?;
    let nowhere = check(&path)?;
    assert_eq!(nowhere.status.code(), Some(2));
    let text = String::from_utf8(nowhere.stderr)?;
    assert!(
        text.contains("there is no folder /no/such/folder"),
        "{text}"
    );
    let missing = check(&folder.path().join("missing.toml"))?;
    assert_eq!(missing.status.code(), Some(2));
    Ok(())
}

#[tokio::test]
async fn a_signal_reloads_while_a_stream_runs() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("gateway.toml");
    std::fs::write(&path, FILE)?;
    let flag = format!("--config={}", path.display());
    let program = Program::start(&[&flag])?;
    let mut request = call_of("sk-1", CHAT, "Tell me of rivers.", true);
    *request.uri_mut() = format!("{}{CHAT}", program.at).parse()?;
    let answer = caller().request(request).await?;
    assert_eq!(answer.status(), StatusCode::OK);
    let mut body = answer.into_body();
    let first = body.frame().await.ok_or("an empty answer")??;

    // A bad one first: nothing changes.
    std::fs::write(&path, FILE.replace("sk-1", "sk 1"))?;
    program.signal("HUP")?;
    std::fs::write(&path, FILE.replace("sk-1", "sk-2"))?;
    program.signal("HUP")?;
    let mut tries = 0;
    while status(&program, "sk-2").await? != StatusCode::OK {
        tries += 1;
        assert!(tries < 100, "the file is not taken");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(status(&program, "sk-1").await?, StatusCode::UNAUTHORIZED);
    let mut text = first.into_data().map_err(|_| "no data")?.to_vec();
    text.extend(body.collect().await?.to_bytes());
    assert!(String::from_utf8(text)?.ends_with("data: [DONE]\n\n"));
    Ok(())
}

#[tokio::test]
async fn usage_budgets_and_callers_outlive_a_kill() -> TestResult {
    let folder = tempfile::tempdir()?;
    let name = |name: &str| folder.path().join(name).display().to_string();
    let path = folder.path().join("gateway.toml");
    std::fs::write(&path, FILE)?;
    let flags = [
        format!("--config={}", path.display()),
        format!("--ledger={}", name("calls.jsonl")),
        format!("--state={}", name("state.json")),
    ];
    let flags = flags.each_ref().map(String::as_str);
    let program = Program::start(&flags)?;
    assert_eq!(status(&program, "sk-1").await?, StatusCode::OK);
    let mut calls = 1;
    while status(&program, "sk-once").await? == StatusCode::OK {
        calls += 1;
        assert!(calls < 50, "the budget has no end");
    }
    let new = Request::post("/admin/callers")
        .header("authorization", "Bearer sk-admin")
        .header("content-type", "application/json")
        .body(Body::from(r#"{"name":"new","key":"sk-new"}"#))?;
    assert_eq!(send(&program, new).await?.0, StatusCode::CREATED);
    assert_eq!(status(&program, "sk-new").await?, StatusCode::OK);
    let before = usage(&program).await?;
    assert_eq!(before["total"]["calls"], calls + 1);
    // By SIGKILL.
    drop(program);

    let program = Program::start(&flags)?;
    let after = usage(&program).await?;
    for sums in ["tenants", "models"] {
        for (name, row) in before[sums].as_object().ok_or("no sums")? {
            for figure in ["calls", "input_tokens", "output_tokens", "cost"] {
                assert_eq!(after[sums][name][figure], row[figure], "{name} {figure}");
            }
        }
    }
    assert_eq!(
        status(&program, "sk-once").await?,
        StatusCode::TOO_MANY_REQUESTS
    );
    assert_eq!(status(&program, "sk-new").await?, StatusCode::OK);
    let gone = Request::delete("/admin/callers/new")
        .header("authorization", "Bearer sk-admin")
        .body(Body::empty())?;
    assert_eq!(send(&program, gone).await?.0, StatusCode::NO_CONTENT);
    assert_eq!(status(&program, "sk-new").await?, StatusCode::UNAUTHORIZED);
    Ok(())
}
