//! The page of the program itself: its form, its session, its stream, and who gets none of them.

use std::{path::Path, time::Duration};

use axum::body::Body;
use futures_util::future::join_all;
use http::Request;
use mock_qwen::Config;
use serde_json::Value;
use tokio::{
    io::AsyncReadExt,
    time::{Instant, timeout},
};

use crate::{
    program::Program,
    raw::{Answer, LONG, Raw, ask, body, chat, get, head, total},
    support::{Harness, TestResult},
};

const FILE: &str = "version = 1\n[server]\nadmin_key = \"sk-secret-admin\"\n[[callers]]\nname = \"acme\"\nkey = \"sk-secret-acme\"\n\
    cost_per_day = \"5 USD\"\n[[callers]]\nname = \"zed\"\nkey = \"sk-secret-zed\"\n";

fn start(path: &Path) -> TestResult<Program> {
    std::fs::write(path, FILE)?;
    let config = format!("--config={}", path.display());
    // Nothing flows back while a test runs.
    Program::start(&[&config, "--rpm=5", "--window=86400"])
}

/// A request with a body of this kind, and these further lines in its head.
fn request(method: &str, path: &str, lines: &[&str], body: &str) -> String {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: gateway\r\n{lines}content-length: {length}\r\n\r\n{body}"
    )
}

const ORIGIN: &str = "origin: https://gateway";
const FORM: &str = "content-type: application/x-www-form-urlencoded";
const JSON: &str = "content-type: application/json";

async fn login(program: &Program, key: &str) -> TestResult<Answer> {
    let form = format!("key={key}");
    ask(
        program,
        &request("POST", "/page/login", &[ORIGIN, FORM], &form),
    )
    .await
}

/// The line of the cookie that a login gives.
pub(crate) async fn session(program: &Program) -> TestResult<String> {
    let answer = login(program, "sk-secret-admin").await?;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/")));
    let cookie = answer.header("set-cookie").ok_or("no cookie")?;
    Ok(format!(
        "cookie: {}",
        cookie.split(';').next().unwrap_or_default()
    ))
}

async fn status(program: &Program, method: &str, path: &str, lines: &[&str]) -> TestResult<u16> {
    Ok(ask(program, &request(method, path, lines, ""))
        .await?
        .status)
}

/// The page's stream, read until it holds the figures.
async fn figures(stream: &mut Raw) -> TestResult<Value> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let data = text.split_once("event: figures\ndata: ");
        if let Some((data, _)) = data.and_then(|(_, data)| data.split_once("\n\n")) {
            return Ok(serde_json::from_str(data)?);
        }
        if timeout(LONG, stream.0.read_buf(&mut bytes)).await?? == 0 {
            return Err(format!("closed after {text}").into());
        }
    }
}

#[tokio::test]
async fn a_form_begins_a_session_and_a_logout_ends_it() -> TestResult {
    let folder = tempfile::tempdir()?;
    let program = start(&folder.path().join("gateway.toml"))?;
    let form = get(&program, "/", "").await?;
    assert_eq!(form.status, 200);
    assert!(form.body.contains("name=\"key\"") && !form.body.contains("page.js"));
    let policy = form.header("content-security-policy").ok_or("no policy")?;
    assert!(policy.starts_with("default-src 'self';"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    for (name, value) in [
        ("x-frame-options", "deny"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(form.header(name), Some(value));
    }
    for path in ["/page/page.js", "/page/page.css", "/page/uPlot.iife.min.js"] {
        let file = get(&program, path, "").await?;
        assert_eq!(file.status, 200, "{path}");
        assert!(file.header("content-security-policy").is_some(), "{path}");
    }
    // Without a session there is the form alone.
    for path in ["/page/events", "/admin/callers"] {
        assert_eq!(status(&program, "GET", path, &[]).await?, 401, "{path}");
        let made_up = "cookie: axum_server_session=0123456789abcdef";
        assert_eq!(
            status(&program, "GET", path, &[made_up]).await?,
            401,
            "{path}"
        );
    }
    // Of another page, or of none, no key is looked at.
    let key = "key=sk-secret-admin";
    for lines in [
        &[FORM][..],
        &[FORM, "origin: https://evil"],
        &[FORM, "origin: null"],
    ] {
        let answer = ask(&program, &request("POST", "/page/login", lines, key)).await?;
        assert_eq!(
            (answer.status, answer.header("set-cookie")),
            (403, None),
            "{lines:?}"
        );
    }
    let answer = login(&program, "sk-secret-admin").await?;
    let cookie = answer.header("set-cookie").ok_or("no cookie")?;
    for part in ["httponly", "samesite=strict", "path=/", "max-age=43200"] {
        assert!(
            cookie.split("; ").any(|it| it == part),
            "{part} in {cookie}"
        );
    }

    let cookie = session(&program).await?;
    let page = ask(&program, &request("GET", "/", &[&cookie], "")).await?;
    assert!(page.body.contains("/page/page.js"), "{}", page.body);
    assert_eq!(
        status(&program, "GET", "/admin/callers", &[&cookie]).await?,
        200
    );
    // A change has to say where it comes from.
    let new = "{\"name\": \"new\"}";
    for (lines, expected) in [
        (&[&cookie, JSON][..], 403),
        (&[&cookie, JSON, "origin: https://evil"], 403),
        (&[&cookie, JSON, ORIGIN], 201),
    ] {
        let answer = ask(&program, &request("POST", "/admin/callers", lines, new)).await?;
        assert_eq!(answer.status, expected, "{lines:?} {}", answer.body);
        if expected == 201 {
            let made: Value = serde_json::from_str(&answer.body)?;
            let key = made["key"].as_str().ok_or("no key")?;
            let list = ask(&program, &request("GET", "/admin/callers", &[&cookie], "")).await?;
            assert!(
                list.body.contains("\"new\"") && !list.body.contains(key),
                "{}",
                list.body
            );
        }
    }
    let marked = "{\"name\": \"<b>x</b>\"}";
    let answer = ask(
        &program,
        &request("POST", "/admin/callers", &[&cookie, JSON, ORIGIN], marked),
    )
    .await?;
    assert_eq!(answer.status, 400, "{}", answer.body);

    let mut stream = Raw::connect(&program).await?;
    stream
        .write(&request("GET", "/page/events", &[&cookie], ""))
        .await?;
    figures(&mut stream).await?;
    assert_eq!(
        status(
            &program,
            "POST",
            "/page/logout",
            &[&cookie, "origin: https://evil"]
        )
        .await?,
        403
    );
    let out = ask(
        &program,
        &request("POST", "/page/logout", &[&cookie, ORIGIN], ""),
    )
    .await?;
    assert_eq!(out.status, 303);
    assert!(
        out.header("set-cookie")
            .is_some_and(|cookie| cookie.contains("max-age=0;"))
    );
    assert_eq!(
        status(&program, "GET", "/admin/callers", &[&cookie]).await?,
        401
    );
    // What was open ends with it.
    let mut rest = Vec::new();
    while !rest.ends_with(b"0\r\n\r\n") {
        assert_ne!(timeout(LONG, stream.0.read_buf(&mut rest)).await??, 0);
    }
    Ok(())
}

#[tokio::test]
async fn another_admin_key_ends_the_sessions_of_the_one_before() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("gateway.toml");
    let program = start(&path)?;
    let (one, other) = (session(&program).await?, session(&program).await?);
    std::fs::write(&path, FILE.replace("sk-secret-admin", "sk-secret-next"))?;
    assert_eq!(
        status(&program, "POST", "/admin/reload", &[&one, ORIGIN]).await?,
        200
    );
    for cookie in [&one, &other] {
        assert_eq!(
            status(&program, "GET", "/admin/callers", &[cookie]).await?,
            401
        );
    }
    assert_eq!(
        get(&program, "/admin/callers", "sk-secret-next")
            .await?
            .status,
        200
    );
    Ok(())
}

#[tokio::test]
async fn wrong_keys_are_answered_late_and_then_no_more() -> TestResult {
    let folder = tempfile::tempdir()?;
    let program = start(&folder.path().join("gateway.toml"))?;
    let cookie = session(&program).await?;
    let began = Instant::now();
    let tries = (0..8).map(|_| get(&program, "/admin/callers", "sk-wrong"));
    for answer in join_all(tries).await {
        assert_eq!(answer?.status, 401);
    }
    assert_eq!(login(&program, "sk-wrong").await?.status, 401);
    assert_eq!(get(&program, "/metrics", "sk-wrong").await?.status, 401);
    assert!(began.elapsed() >= Duration::from_millis(1_500));
    // Ten were looked at; one more is, six seconds after the first.
    let paths = ["/admin/callers", "/usage", "/metrics", "/page/events"];
    let mut late = Vec::new();
    while late.len() < paths.len() {
        let answer = get(&program, paths[late.len()], "sk-wrong").await?;
        match answer.status {
            429 => late.push(answer),
            status => assert_eq!(status, 401),
        }
    }
    for answer in late {
        let seconds = answer
            .header("retry-after")
            .ok_or("no time")?
            .parse::<u64>()?;
        assert!((1..=6).contains(&seconds), "{seconds}");
        assert!(!answer.body.contains("secret"), "{}", answer.body);
    }
    // Who is in already stays in, and so do callers.
    assert_eq!(
        status(&program, "GET", "/admin/callers", &[&cookie]).await?,
        200
    );
    assert_eq!(
        ask(&program, &chat("sk-secret-acme", "qwen-plus"))
            .await?
            .status,
        200
    );
    Ok(())
}

#[tokio::test]
async fn the_stream_has_the_figures_of_usage_and_ends_with_the_gateway() -> TestResult {
    let folder = tempfile::tempdir()?;
    let mut program = start(&folder.path().join("gateway.toml"))?;
    for (key, model) in [
        ("sk-secret-acme", "qwen-plus"),
        ("sk-secret-acme", "qwen-turbo"),
        ("sk-secret-acme", "qwen-plus"),
        ("sk-secret-acme", "qwen-plus"),
        ("sk-secret-zed", "<img src=x>"),
    ] {
        let call = body(model, serde_json::json!({})).to_string();
        let call = format!("{}\r\n{call}", head(key, Some(call.len())));
        ask(&program, &call).await?;
    }
    // A call is booked when its answer has gone out.
    while total(&program).await?["calls"] != 5 {
        tokio::task::yield_now().await;
    }
    let usage = get(&program, "/usage", "sk-secret-admin").await?;
    let usage: Value = serde_json::from_str(&usage.body)?;
    let mut stream = Raw::connect(&program).await?;
    let events = "GET /page/events HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer sk-secret-admin\r\n\r\n";
    stream.write(events).await?;
    let figures = figures(&mut stream).await?;
    for part in ["total", "tenants", "models", "upstreams"] {
        assert_eq!(figures["usage"][part], usage[part], "{part}");
    }
    assert_eq!(usage["tenants"]["acme"]["calls"], 4);
    assert!(usage["models"]["<img src=x>"].is_object(), "{usage}");
    assert_eq!(usage["upstreams"]["upstream"]["calls"], 5, "{usage}");
    assert_eq!(figures["point"]["calls"], 5);
    let waits = figures["point"]["waits"].as_array().ok_or("no waits")?;
    assert_eq!(waits.last(), Some(&5.into()));
    let acme = &figures["callers"][0];
    assert_eq!(
        (
            &acme["name"],
            &acme["requests"]["used"],
            &acme["requests"]["quota"]
        ),
        (&"acme".into(), &4.into(), &5.into())
    );
    assert_eq!(acme["tokens"], Value::Null, "it has no such quota");
    assert_eq!(figures["near"][0]["name"], "acme");
    assert_eq!(figures["near"][0]["share"], 0.8);
    assert_eq!(figures["budgets"][0]["limit"], "5 USD");
    program.signal("TERM")?;
    let (code, log) = program.log_to_its_end()?;
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("outlived"), "an open page holds it up: {log}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn without_an_admin_key_the_page_is_for_this_machine_alone() -> TestResult {
    let keyed = Harness::new(
        Config::default(),
        &["--admin-key=sk-admin", "--listen=0.0.0.0:8000"],
    )?;
    let loopback = Harness::new(Config::default(), &[])?;
    let outside = Harness::new(Config::default(), &["--listen=0.0.0.0:8000"])?;
    for (harness, host, expected) in [
        (&keyed, "gateway", 200),
        (&loopback, "localhost:8000", 200),
        (&loopback, "evil.example", 404),
        (&outside, "127.0.0.1:8000", 404),
        (&outside, "gateway", 404),
    ] {
        for path in ["/", "/page/page.js", "/page/events", "/page/login"] {
            let expected = match (path, expected) {
                ("/page/login", 200) => 405,
                ("/page/events", 200) if std::ptr::eq(harness, &keyed) => 401,
                (_, expected) => expected,
            };
            let request = Request::get(path)
                .header("host", host)
                .body(Body::empty())?;
            let answer = harness.send(request).await;
            assert_eq!(answer.status(), expected, "{host} {path}");
        }
    }
    // So many pages are open at one time.
    let events = || {
        let request = Request::get("/page/events").header("host", "localhost");
        request.body(Body::empty()).expect("a request")
    };
    let mut open = Vec::new();
    for _ in 0..16 {
        let answer = loopback.send(events()).await;
        assert_eq!(answer.status(), 200);
        open.push(answer);
    }
    assert_eq!(loopback.send(events()).await.status(), 503);
    open.pop();
    assert_eq!(loopback.send(events()).await.status(), 200);
    let request = Request::get("/")
        .header("host", "localhost")
        .body(Body::empty())?;
    let (_, page) = loopback.text(request).await?;
    assert!(
        page.contains("/page/page.js"),
        "no form where there is no key"
    );
    Ok(())
}
