//! What hosts really send: answers that are none, streams that break off, and odd ones that are whole.

mod support;

use std::{
    collections::VecDeque,
    convert::Infallible,
    io::{self, Read, Write},
    net::TcpListener,
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::body::Body;
use batch::{counts::Counts, stop::stop};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use mock_qwen::{Config, MockQwen};
use serde_json::{Value, json};
use support::{Harness, TestResult, Watch, chat, lines};
use tokio::time::Instant;
use tower::service_fn;
use tower_qwen_ratelimit::Quota;
use tower_qwen_retry::{RetryBudget, RetryPolicy};

const JSON: &str = "application/json";
const SSE: &str = "text/event-stream";

/// What a host sends: its status, what it calls the body, the body, and how that ends.
#[derive(Debug, Clone, Copy)]
struct Sent(u16, &'static str, &'static str, End);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Clean,
    Reset,
    /// Never.
    Hangs,
}

use End::{Clean, Hangs, Reset};

const GOOD: Sent = Sent(200, JSON, GOOD_JSON, Clean);
const GOOD_JSON: &str = r#"{"choices":[{"index":0,"message":{"content":"Five words of an answer"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":5}}"#;
const GOOD_STREAM: Sent = Sent(
    200,
    SSE,
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Five words of an answer\"},\"finish_reason\":\"stop\"}]}\n\n\
     data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":5}}\n\ndata: [DONE]\n\n",
    Clean,
);

/// The beginning of a stream, then this.
macro_rules! after_words {
    ($rest:literal) => {
        concat!(
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Five words of an answer\"}}]}\n\n",
            $rest
        )
    };
}

/// One call, and what became of it.
struct Told {
    counts: Counts,
    line: Value,
    harness: Harness,
    /// The bodies that went out.
    bodies: Vec<Bytes>,
    took: Duration,
}

impl Told {
    fn assert_answered(&self, text: &str) {
        assert_eq!(self.counts.succeeded, 1, "{}", self.line);
        let content = &self.line["response"]["body"]["choices"][0]["message"]["content"];
        assert_eq!(content, text, "{}", self.line);
    }

    /// How the ledger counts the attempts, and the tokens of their answers.
    fn booked(&self) -> (u64, u64) {
        let total = self.harness.stack.ledger.snapshot().total;
        (total.calls, total.output_tokens)
    }
}

/// Runs one call against a host that sends these in turn, the last one again and again.
async fn run_by(
    policy: RetryPolicy,
    streamed: bool,
    input: &str,
    host: &[Sent],
) -> TestResult<Told> {
    let mut harness = Harness::new(MockQwen::new(Config::default()), Quota::qwen2())?;
    harness.run.requests = harness.run.requests.stream(streamed);
    harness.run.deadline = Duration::from_secs(300);
    harness.stack.policy = policy.seed(7);
    let script = Arc::new(Mutex::new(host.iter().copied().collect::<VecDeque<_>>()));
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let seen = bodies.clone();
    let transport = service_fn(move |request: Request<Full<Bytes>>| {
        let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = if script.len() > 1 {
            script.pop_front()
        } else {
            script.front().copied()
        };
        let seen = seen.clone();
        async move {
            let Ok(body) = request.into_body().collect().await;
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.push(body.to_bytes());
            Ok::<_, Infallible>(sent.map_or_else(Response::default, answer))
        }
    });
    let (_stopper, stop) = stop();
    let started = Instant::now();
    let counts = harness
        .run_over(transport, input.as_bytes(), &mut Watch::default(), stop)
        .await?;
    let line = harness.lines()?.into_values().next().ok_or("no line")?;
    let bodies = std::mem::take(&mut *bodies.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Told {
        counts,
        line,
        harness,
        bodies,
        took: started.elapsed(),
    })
}

async fn run(streamed: bool, host: &[Sent]) -> TestResult<Told> {
    run_by(RetryPolicy::default(), streamed, &chat("a", "Why?"), host).await
}

fn answer(Sent(status, kind, body, end): Sent) -> Response<Body> {
    let words = stream::iter([Ok::<_, io::Error>(Bytes::from_static(body.as_bytes()))]);
    let rest = stream::iter((end == Reset).then(|| Err(io::ErrorKind::ConnectionReset.into())));
    let body = words.chain(rest);
    let mut answer = Response::new(match end {
        Hangs => Body::from_stream(body.chain(stream::pending())),
        Clean | Reset => Body::from_stream(body),
    });
    *answer.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    if let Ok(kind) = kind.parse() {
        answer.headers_mut().insert("content-type", kind);
    }
    answer
}

#[tokio::test(start_paused = true)]
async fn an_error_of_status_200_is_a_failed_line_and_called_again_in_the_next_run() -> TestResult {
    for (streamed, kind, body, code) in [
        (
            false,
            JSON,
            r#"{"error":{"code":400,"type":"BadRequestError","message":"m"}}"#,
            "BadRequestError",
        ),
        (
            false,
            JSON,
            r#"{"code":"InvalidParameter","message":"m"}"#,
            "InvalidParameter",
        ),
        (
            false,
            "text/plain",
            r#"{"error":{"code":"invalid_api_key"}}"#,
            "invalid_api_key",
        ),
        (
            true,
            JSON,
            r#"{"error":{"code":"invalid_api_key"}}"#,
            "invalid_api_key",
        ),
        (
            true,
            SSE,
            "{\n  \"error\": {\"code\": \"invalid_api_key\"}\n}",
            "invalid_api_key",
        ),
        (
            true,
            SSE,
            "data: {\"error\":{\"code\":\"invalid_api_key\"}}\n\n",
            "invalid_api_key",
        ),
        (
            true,
            SSE,
            after_words!("data: {\"error\":{\"code\":\"invalid_api_key\"}}\n\n"),
            "invalid_api_key",
        ),
    ] {
        let told = run(streamed, &[Sent(200, kind, body, Clean)]).await?;
        assert_eq!(told.bodies.len(), 1, "{body}");
        assert_eq!(
            (told.counts.failed, told.counts.succeeded),
            (1, 0),
            "{body}"
        );
        assert_eq!(told.line["error"]["code"], code, "{body}");
        assert!(told.line["response"]["body"].is_object(), "{}", told.line);
        let again = told
            .harness
            .run(chat("a", "Why?").as_bytes(), &mut Watch::default())
            .await?;
        assert_eq!((again.answered_before, again.succeeded), (0, 1), "{body}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_transient_error_of_status_200_is_tried_again() -> TestResult {
    for (streamed, kind, body) in [
        (false, JSON, r#"{"error":{"code":429}}"#),
        (
            false,
            JSON,
            r#"{"code":"Throttling.RateQuota","message":"x"}"#,
        ),
        (false, "text/plain", r#"{"error":{"code":429}}"#),
        (true, JSON, r#"{"error":{"code":503}}"#),
        (true, SSE, "{\"error\":\n{\"code\":429}}\n"),
        (true, SSE, "data:{}\ndata:{\"error\":{\"code\":429}}\n\n"),
    ] {
        let good = if streamed { GOOD_STREAM } else { GOOD };
        let told = run(streamed, &[Sent(200, kind, body, Clean), good]).await?;
        told.assert_answered("Five words of an answer");
        assert_eq!(told.bodies.len(), 2, "{body}");
    }
    Ok(())
}

/// Nobody has seen a word of it. Every attempt is booked: of the one that broke off, what was delivered.
#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_off_or_ends_in_a_throttle_is_called_again() -> TestResult {
    for (rest, end) in [
        (after_words!(""), Clean),
        (after_words!(""), Reset),
        (after_words!("data: {\"choi"), Clean),
        (after_words!("data: {\"choi"), Reset),
        (
            after_words!("data: {\"error\":{\"code\":\"limit_requests\",\"message\":\"m\"}}\n\n"),
            Clean,
        ),
        (
            after_words!("data: {\"error\":{\"code\":\"limit_requests\",\"message\":\"m\"}}\n\n"),
            Reset,
        ),
        (
            after_words!("data: {\"error\":{\"code\":\"limit_requests\",\"message\":\"m\"}}\n\n"),
            Hangs,
        ),
        (
            after_words!(
                "data: {\"error\":{\"message\":\"litellm.APIConnectionError\",\"code\":\"500\"}}\n\n"
            ),
            Clean,
        ),
        (after_words!("{\"error\":{\"code\":429}}\n"), Clean),
        (
            after_words!(
                "event:error\n:HTTP_STATUS/429\ndata:{\"code\":\"Throttling\",\"message\":\"m\"}\n\n"
            ),
            Clean,
        ),
    ] {
        let told = run(true, &[Sent(200, SSE, rest, end), GOOD_STREAM]).await?;
        told.assert_answered("Five words of an answer");
        assert_eq!(told.bodies.len(), 2, "{rest}");
        assert!(
            told.took < Duration::from_secs(30),
            "{rest}: {:?}",
            told.took
        );
        let (calls, output) = told.booked();
        assert_eq!(calls, 2, "{rest}");
        assert!(output > 5, "{rest}: {output} tokens for two answers");
        assert_eq!(told.harness.stack.tally.attempts().sent, 2);
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_that_breaks_off_is_called_again() -> TestResult {
    let told = run(false, &[Sent(200, JSON, "{\"choices\":[", Reset), GOOD]).await?;
    told.assert_answered("Five words of an answer");
    assert_eq!(told.booked().0, 2);
    let told = run(false, &[Sent(200, JSON, "{\"choices\":[", Reset)]).await?;
    assert_eq!(told.line["error"]["code"], "body");
    assert_eq!(told.bodies.len(), 5);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_keeps_breaking_off_ends_by_the_limits_of_retry() -> TestResult {
    let cut = [Sent(200, SSE, after_words!(""), Clean)];
    let input = chat("a", "Why?");
    let by_attempts = RetryPolicy::default().max_attempts(3);
    let by_budget = RetryPolicy::default().budget(RetryBudget::new(0, 0));
    for (policy, attempts) in [(by_attempts, 3), (by_budget, 1)] {
        let told = run_by(policy, true, &input, &cut).await?;
        assert_eq!(told.bodies.len(), attempts);
        assert_eq!(told.booked().0, attempts as u64);
        assert_eq!(told.line["error"]["code"], "stream_cut");
        assert_eq!(told.line["response"], Value::Null);
    }
    // A wait that would end after the deadline is not begun.
    let late = after_words!(
        "data: {\"error\":{\"code\":\"limit_requests\",\"message\":\"Please retry after 400 seconds\"}}\n\n"
    );
    let told = run(true, &[Sent(200, SSE, late, Clean)]).await?;
    assert_eq!(told.bodies.len(), 1);
    assert_eq!(told.line["error"]["code"], "limit_requests");
    assert!(told.took < Duration::from_secs(1), "{:?}", told.took);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_error_answer_that_stalls_holds_no_retry() -> TestResult {
    let told = run(false, &[Sent(503, JSON, "{\"error\":", Hangs), GOOD]).await?;
    told.assert_answered("Five words of an answer");
    assert!(told.took < Duration::from_secs(20), "{:?}", told.took);
    Ok(())
}

/// The answer is there; what the connection does afterwards does not matter.
#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_off_after_its_end_is_answered() -> TestResult {
    let told = run(true, &[Sent(200, SSE, GOOD_STREAM.2, Reset)]).await?;
    told.assert_answered("Five words of an answer");
    assert_eq!(told.bodies.len(), 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn streams_are_read_as_leniently_as_by_the_meter() -> TestResult {
    let body = "\u{feff}data:\n\ndata: null\n\n: ping\n\ndata: ping\n\n\
        data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning\":\"Hmm, \"},\"finish_reason\":\"\"}]}\n\n\
        data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning\":\"let me see\"}}]}\n\ndata\n\n\
        data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Yes \\ud83d\"}}]}\n\n\
        data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\\ude42\"},\"logprobs\":{\"top\":-Infinity}}]}\n\ndata: null\n\n\
        data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":5}}\n\n";
    let told = run(true, &[Sent(200, SSE, body, Clean)]).await?;
    told.assert_answered("Yes 🙂");
    let message = &told.line["response"]["body"]["choices"][0]["message"];
    assert_eq!(message["reasoning"], "Hmm, let me see");
    assert_eq!(told.booked(), (1, 5));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_that_is_called_a_stream_is_answered() -> TestResult {
    let told = run(true, &[Sent(200, SSE, GOOD_JSON, Clean)]).await?;
    told.assert_answered("Five words of an answer");
    Ok(())
}

/// Nothing says that another attempt would be whole, and this one is paid: it is kept, and told.
#[tokio::test(start_paused = true)]
async fn an_answer_without_a_reason_to_stop_is_told_as_cut() -> TestResult {
    for (streamed, kind, body) in [
        (
            false,
            JSON,
            r#"{"choices":[{"index":0,"message":{"content":"a"},"finish_reason":"length"},{"index":1,"message":{"content":"b"},"finish_reason":null}]}"#,
        ),
        (true, SSE, after_words!("data: [DONE]\n\n")),
    ] {
        let told = run(streamed, &[Sent(200, kind, body, Clean)]).await?;
        assert_eq!(told.bodies.len(), 1);
        assert_eq!(told.counts.failed_by["cut"], 1);
        assert_eq!(told.line["error"]["code"], "cut");
        assert!(told.line["response"]["body"]["choices"].is_array());
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn half_a_surrogate_pair_in_a_prompt_goes_out_byte_for_byte() -> TestResult {
    let body = r#"{"model":"qwen-plus","messages":[{"role":"user","content":"cut here: \ud83d"}], "x":1.50}"#;
    let input = format!(
        "{{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{body}}}\n"
    );
    let told = run_by(RetryPolicy::default(), false, &input, &[GOOD]).await?;
    told.assert_answered("Five words of an answer");
    assert_eq!(told.bodies, [body]);
    let told = run_by(RetryPolicy::default(), true, &input, &[GOOD_STREAM]).await?;
    told.assert_answered("Five words of an answer");
    assert!(String::from_utf8_lossy(&told.bodies[0]).contains(r#""cut here: \ud83d""#));
    Ok(())
}

/// The program itself, over a connection that breaks.
#[test]
fn the_program_calls_again_when_its_stream_breaks_off() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("in.jsonl"), chat("a", "Why?"))?;
    let host = TcpListener::bind(("127.0.0.1", 0))?;
    let address = format!("http://{}/v1", host.local_addr()?);
    let serve = std::thread::spawn(move || -> io::Result<()> {
        for (body, is_whole) in [(after_words!(""), false), (GOOD_STREAM.2, true)] {
            let (mut socket, _) = host.accept()?;
            let mut request = Vec::new();
            while !request.ends_with(b"}") {
                let mut some = [0; 4096];
                let read = socket.read(&mut some)?;
                request.extend_from_slice(&some[..read]);
            }
            let end = if is_whole { "0\r\n\r\n" } else { "" };
            write!(
                socket,
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n\
                 {:x}\r\n{body}\r\n{end}",
                body.len()
            )?;
        }
        Ok(())
    });
    let status = Command::new(env!("CARGO_BIN_EXE_batch"))
        // The host counts calls, and the list of quotas would be one more.
        .args([
            "--quota",
            "told",
            "--stream",
            "--base-url",
            &address,
            "--input",
        ])
        .arg(path("in.jsonl"))
        .arg("--output")
        .arg(path("out.jsonl"))
        .arg("--summary")
        .arg(path("summary.json"))
        .env_remove("DASHSCOPE_API_KEY")
        .env_remove("DASHSCOPE_BASE_URL")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    serve.join().map_err(|_| "the host panicked")??;
    assert_eq!(status.code(), Some(0));
    let line = &lines(&path("out.jsonl"))?["a"];
    assert_eq!(line["error"], Value::Null);
    let summary: Value = serde_json::from_slice(&std::fs::read(path("summary.json"))?)?;
    assert_eq!(summary["attempts"], json!(2));
    assert!(summary["tokens"]["output"].as_u64() > Some(5), "{summary}");
    Ok(())
}
