//! The program itself; here before its own mock and with the key of its demonstration.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStderr, Command, Stdio},
};

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;

use crate::{
    sockets::caller,
    support::{CHAT, TestResult, call_of},
};

/// Ends with the test, however that ends.
pub(crate) struct Program {
    child: Child,
    log: BufReader<ChildStderr>,
    pub(crate) at: String,
}

impl Program {
    /// Runs it on a free port, and waits until it listens.
    pub(crate) fn start(flags: &[&str]) -> TestResult<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_axum-server"))
            .args(["--listen", "127.0.0.1:0", "--grace", "5"])
            .args(flags)
            .env("NO_COLOR", "1")
            // Without a line for each call: nobody reads the pipe until the end, and a full one would stop the program.
            .env("RUST_LOG", "axum_server=info")
            .env_remove("DASHSCOPE_API_KEY")
            .env_remove("DASHSCOPE_BASE_URL")
            .env_remove("AXUM_SERVER_ADMIN_KEY")
            .stderr(Stdio::piped())
            .spawn()?;
        let log = child.stderr.take().ok_or("no log")?;
        let mut program = Self {
            child,
            log: BufReader::new(log),
            at: String::new(),
        };
        let mut line = String::new();
        while program.log.read_line(&mut line)? > 0 {
            if let Some((_, rest)) = line.split_once("listening on ") {
                program.at = rest.split(' ').next().unwrap_or_default().trim().to_owned();
                return Ok(program);
            }
            line.clear();
        }
        Err("it ended before it listened".into())
    }

    async fn text(&self, mut request: Request<Body>) -> TestResult<String> {
        *request.uri_mut() = format!("{}{}", self.at, request.uri()).parse()?;
        let answer = caller().request(request).await?;
        assert_eq!(answer.status(), StatusCode::OK);
        let body = answer.into_body().collect().await?.to_bytes();
        Ok(String::from_utf8(body.to_vec())?)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn it_serves_reports_and_stops_when_told() -> TestResult {
    let mut program = Program::start(&[])?;
    let whole = call_of("sk-demo", CHAT, "Tell me of rivers.", false);
    let whole: Value = serde_json::from_str(&program.text(whole).await?)?;
    let tokens = whole["usage"]["total_tokens"].as_u64();
    let streamed = call_of("sk-demo", CHAT, "Tell me of seas.", true);
    let streamed = program.text(streamed).await?;
    assert!(streamed.ends_with("data: [DONE]\n\n"), "{streamed}");

    let usage = Request::get("/usage")
        .header("authorization", "Bearer sk-demo")
        .body(Body::empty())?;
    let usage: Value = serde_json::from_str(&program.text(usage).await?)?;
    assert_eq!(usage["tenant"], "demo");
    let usage = &usage["usage"];
    assert_eq!((&usage["calls"], &usage["failed"]), (&2.into(), &0.into()));
    let booked = [&usage["input_tokens"], &usage["output_tokens"]].map(Value::as_u64);
    let booked = booked[0]
        .zip(booked[1])
        .map(|(input, output)| input + output);
    assert!(tokens.is_some() && booked > tokens, "{usage}");
    let metrics = Request::get("/metrics").body(Body::empty())?;
    let metrics = program.text(metrics).await?;
    assert!(metrics.contains("\naxum_server_calls 2\n"), "{metrics}");

    let pid = program.child.id().to_string();
    assert!(
        Command::new("kill")
            .arg("-TERM")
            .arg(pid)
            .status()?
            .success()
    );
    let mut log = String::new();
    program.log.read_to_string(&mut log)?;
    assert_eq!(program.child.wait()?.code(), Some(0), "{log}");
    assert!(log.contains("stopped calls=2 failed=0"), "{log}");
    Ok(())
}
