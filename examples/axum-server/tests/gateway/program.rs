//! The program itself; here before its own mock and with the key of its demonstration.

use std::{
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    process::{Child, ChildStderr, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;

use crate::{
    raw::LONG,
    sockets::caller,
    support::{CHAT, TestResult, call_of},
};

/// What is built.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_axum-server");

/// Ends with the test, however that ends. And so that every test ends: after three minutes at the latest, which is far more
/// than one takes on a machine with other work.
pub(crate) struct Program {
    child: Child,
    /// `None` where it logs elsewhere.
    log: Option<BufReader<ChildStderr>>,
    /// What it logged until it listened.
    started: String,
    pub(crate) at: String,
    _end: mpsc::Sender<()>,
}

impl Program {
    /// Runs it on a free port, and waits until it listens.
    pub(crate) fn start(flags: &[&str]) -> TestResult<Self> {
        Self::start_with([], flags)
    }

    /// The same, with these variables in its environment.
    pub(crate) fn start_with<const N: usize>(
        variables: [(&str, &str); N],
        flags: &[&str],
    ) -> TestResult<Self> {
        let child = Self::command(flags).envs(variables).spawn()?;
        let mut program = Self::of(child);
        let mut log = program.log.take().ok_or("no log")?;
        let mut line = String::new();
        while log.read_line(&mut line)? > 0 {
            if let Some((_, rest)) = line.split_once("listening on ") {
                program.at = rest
                    .split([' ', '"'])
                    .next()
                    .unwrap_or_default()
                    .trim()
                    .to_owned();
                program.log = Some(log);
                return Ok(program);
            }
            program.started.push_str(&line);
            line.clear();
        }
        Err("it ended before it listened".into())
    }

    /// The same by this command, which logs where nobody reads. It listens on a port that was free a moment ago.
    pub(crate) async fn start_unseen(
        command: Command,
        log: impl Into<Stdio>,
        flags: &[&str],
    ) -> TestResult<Self> {
        let at = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let listen = format!("--listen={at}");
        let mut command = Self::with_flags(command, &[flags, &[&listen]].concat());
        let mut program = Self::of(command.env("RUST_LOG", "trace").stderr(log).spawn()?);
        program.at = format!("http://{at}");
        while tokio::net::TcpStream::connect(at).await.is_err() {
            if let Some(ended) = program.child.try_wait()? {
                return Err(format!("it ended before it listened: {ended}").into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(program)
    }

    /// Of a process that has begun.
    fn of(mut child: Child) -> Self {
        let (end, ended) = mpsc::channel::<()>();
        let pid = child.id();
        thread::spawn(move || {
            if ended.recv_timeout(3 * LONG) == Err(mpsc::RecvTimeoutError::Timeout) {
                // It may have ended already.
                let _ = send("KILL", pid);
            }
        });
        Self {
            log: child.stderr.take().map(BufReader::new),
            child,
            started: String::new(),
            at: String::new(),
            _end: end,
        }
    }

    /// Runs it where it cannot start; gives what it says.
    pub(crate) fn fails(flags: &[&str]) -> TestResult<String> {
        let output = Self::command(flags).output()?;
        assert!(!output.status.success(), "it started");
        Ok(String::from_utf8(output.stderr)?)
    }

    fn command(flags: &[&str]) -> Command {
        Self::with_flags(Command::new(PROGRAM), flags)
    }

    fn with_flags(mut command: Command, flags: &[&str]) -> Command {
        command
            .args(["--listen=127.0.0.1:0", "--grace=5", "--drain=0"])
            .args(flags)
            .env_remove("NO_COLOR")
            // Without a line for each call: nobody reads the pipe until the end, and a full one loses lines.
            .env("RUST_LOG", "axum_server=info")
            .env_remove("DASHSCOPE_API_KEY")
            .env_remove("DASHSCOPE_BASE_URL")
            .env_remove("AXUM_SERVER_ADMIN_KEY")
            .env_remove("RUST_BACKTRACE")
            .stderr(Stdio::piped());
        command
    }

    /// Sends it a signal, by its name.
    pub(crate) fn signal(&self, name: &str) -> TestResult {
        match send(name, self.child.id())? {
            true => Ok(()),
            false => Err("no such process".into()),
        }
    }

    /// Waits until it has ended; gives its code.
    pub(crate) fn ends(&mut self) -> TestResult<Option<i32>> {
        Ok(self.log_to_its_end()?.0)
    }

    /// Waits until it has ended, and reads nothing of its log meanwhile; gives its code.
    pub(crate) fn ends_unread(&mut self) -> TestResult<Option<i32>> {
        Ok(self.child.wait()?.code())
    }

    /// Waits until it has ended; gives its code, and what it logged after its start.
    pub(crate) fn log_to_its_end(&mut self) -> TestResult<(Option<i32>, String)> {
        let mut log = String::new();
        if let Some(from) = &mut self.log {
            from.read_to_string(&mut log)?;
        }
        Ok((self.child.wait()?.code(), self.started.clone() + &log))
    }

    async fn text(&self, mut request: Request<Body>) -> TestResult<String> {
        *request.uri_mut() = format!("{}{}", self.at, request.uri()).parse()?;
        let answer = caller().request(request).await?;
        assert_eq!(answer.status(), StatusCode::OK);
        let body = answer.into_body().collect().await?.to_bytes();
        Ok(String::from_utf8(body.to_vec())?)
    }
}

/// Whether there is such a process.
fn send(signal: &str, pid: u32) -> std::io::Result<bool> {
    let mut kill = Command::new("kill");
    let status = kill
        .arg(format!("-{signal}"))
        .arg(pid.to_string())
        .status()?;
    Ok(status.success())
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
    let calls = "\naxum_server_calls_total{tenant=\"demo\",upstream=\"upstream\",status=\"200\",cause=\"none\"} 2\n";
    assert!(metrics.contains(calls), "{metrics}");

    program.signal("TERM")?;
    let (code, log) = program.log_to_its_end()?;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("stopped calls=2 failed=0"), "{log}");
    Ok(())
}
