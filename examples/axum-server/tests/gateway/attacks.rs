//! What was found by attacking it, each as the program answers it now.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::AsyncReadExt,
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep, timeout},
};

use crate::{
    hostile::Hostile,
    program::Program,
    raw::{self, LONG, Raw, ask, chat, get, stream, total},
    support::TestResult,
};

const ACME: &str = "sk-secret-acme";
const ZED: &str = "sk-secret-zed";
/// Less than any of the waits that were seen, and far more than an answer takes.
const SOON: Duration = Duration::from_secs(20);

async fn start(flags: &[&str]) -> TestResult<(Hostile, Program)> {
    let (hostile, upstream) = Hostile::start().await?;
    let wide = [
        &upstream,
        "--upstream-key=sk-secret-upstream",
        "--admin-key=sk-secret-admin",
        "--key=acme=sk-secret-acme",
        "--key=zed=sk-secret-zed",
        "--rpm=1000000",
        "--tpm=1000000000",
    ];
    let program = Program::start(&[&wide, flags].concat())?;
    Ok((hostile, program))
}

fn call(key: &str, body: &Value) -> String {
    let body = body.to_string();
    format!("{}\r\n{body}", raw::head(key, Some(body.len())))
}

/// It closed the model for everybody, for years.
#[tokio::test]
async fn a_usage_that_cannot_be_closes_nothing_and_is_not_booked() -> TestResult {
    for model in ["absurd", "absurd-less", "absurd-decimal"] {
        let flags = [
            "--upstream-rpm=600",
            "--upstream-tpm=1000000",
            "--tpm=1000000",
        ];
        let (_, program) = start(&flags).await?;
        let began = Instant::now();
        for key in [ACME, ACME, ZED] {
            let answer = ask(&program, &chat(key, model)).await?;
            assert_eq!(answer.status, 200, "{model} {answer:?}");
        }
        assert!(began.elapsed() < SOON);
        let usage = total(&program).await?;
        assert_eq!(
            (&usage["calls"], &usage["estimated"]),
            (&3.into(), &3.into())
        );
        assert!(usage["input_tokens"].as_u64() < Some(1_000), "{usage}");
    }
    Ok(())
}

/// Each call waited until its caller left.
#[tokio::test]
async fn a_host_that_takes_no_connection_is_left_for_the_next() -> TestResult {
    let (_, upstream) = Hostile::start().await?;
    let address = upstream.strip_prefix("--upstream=").ok_or("no flag")?;
    // Its queue is full: the system answers no further first packet.
    let dead = TcpSocket::new_v4()?;
    dead.bind("127.0.0.1:0".parse()?)?;
    let dead = dead.listen(0)?;
    let at = dead.local_addr()?;
    let mut queued = Vec::new();
    while let Ok(Ok(socket)) = timeout(SOON / 40, TcpStream::connect(at)).await {
        queued.push(socket);
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("gateway.toml");
    let upstream = |name: &str, address: &str| {
        format!("[[upstreams]]\nname = \"{name}\"\nbase_url = \"{address}\"\napi_key = \"sk-up\"\n")
    };
    let text = [
        "version = 1\n[[callers]]\nname = \"acme\"\nkey = \"sk-secret-acme\"\n",
        &upstream("dead", &format!("http://{at}/v1")),
        &upstream("live", address),
    ];
    std::fs::write(&path, text.concat())?;
    let config = format!("--config={}", path.display());
    let program = Program::start(&[&config, "--admin-key=sk-secret-admin"])?;
    // The first ones find out.
    for longest in [SOON, SOON / 8] {
        let began = Instant::now();
        let request = chat(ACME, "qwen-plus");
        let calls = (0..6).map(|_| ask(&program, &request));
        for answer in futures_util::future::join_all(calls).await {
            assert_eq!(answer?.status, 200);
        }
        assert!(began.elapsed() < longest, "{:?}", began.elapsed());
    }
    drop(queued);
    Ok(())
}

/// A client library would have sent the prompt there.
#[tokio::test]
async fn an_upstream_that_sends_calls_elsewhere_is_a_bad_gateway() -> TestResult {
    let (_, program) = start(&[]).await?;
    let answer = ask(&program, &chat(ACME, "elsewhere")).await?;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.header("location"), None);
    assert_eq!(total(&program).await?["input_tokens"], 0);
    Ok(())
}

/// What is read of an answer in advance is bounded.
#[tokio::test]
async fn an_upstreams_head_has_8_kib() -> TestResult {
    let (_, program) = start(&["--max-wait=1"]).await?;
    let answer = ask(&program, &chat(ACME, "long-head")).await?;
    assert_eq!(answer.status, 502, "{answer:?}");
    let answer = ask(&program, &chat(ACME, "short-head")).await?;
    assert_ne!(answer.status, 502, "{answer:?}");
    Ok(())
}

/// It kept all others out for as long as it ran.
#[tokio::test]
async fn a_call_with_a_huge_ceiling_leaves_room_for_others() -> TestResult {
    let flags = [
        "--upstream-rpm=6000",
        "--upstream-tpm=1000000",
        "--tpm=100000",
    ];
    let (hostile, program) = start(&flags).await?;
    let body = raw::body("endless", json!({"stream": true, "max_tokens": 1_000_000}));
    let mut greedy = Raw::connect(&program).await?;
    greedy.write(&call(ACME, &body)).await?;
    // Read, so that it is not cut for that.
    tokio::spawn(async move {
        let mut bytes = vec![0; 65_536];
        while matches!(greedy.0.read(&mut bytes).await, Ok(1..)) {}
    });
    let began = Instant::now();
    let answer = ask(&program, &chat(ZED, "endless-not")).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(began.elapsed() < SOON);
    assert!(hostile.streams() <= 1);
    Ok(())
}

/// One of them closed the account for a second: these would have taken ten.
#[tokio::test]
async fn single_answers_without_capacity_delay_their_own_calls_alone() -> TestResult {
    let (hostile, program) = start(&[]).await?;
    let began = Instant::now();
    let calls = (0..4).map(|_| async {
        for _ in 0..50 {
            let answer = ask(&program, &chat(ACME, "busy-sometimes")).await?;
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        TestResult::Ok(())
    });
    for done in futures_util::future::join_all(calls).await {
        done?;
    }
    assert!(hostile.calls() > 200);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    Ok(())
}

/// They were charged with the prompt, and it was priced.
#[tokio::test]
async fn who_leaves_before_anything_was_sent_pays_nothing() -> TestResult {
    let flags = ["--upstream-rpm=1", "--max-wait=3600", "--tpm=100000"];
    let (hostile, program) = start(&flags).await?;
    assert_eq!(ask(&program, &chat(ACME, "qwen-plus")).await?.status, 200);
    let before = total(&program).await?;
    let mut leaver = Raw::connect(&program).await?;
    let long = raw::body(
        "qwen-plus",
        json!({
            "messages": [{"role": "user", "content": "word ".repeat(6_000)}],
        }),
    );
    leaver.write(&call(ACME, &long)).await?;
    // Until it waits.
    loop {
        let metrics = get(&program, "/metrics", "sk-secret-admin").await?.body;
        if metrics.contains("axum_server_callers_total{outcome=\"admitted\"} 2\n") {
            break;
        }
        sleep(Duration::from_millis(5)).await;
    }
    drop(leaver);
    let after = loop {
        let after = total(&program).await?;
        if after["calls"] == 2 {
            break after;
        }
        sleep(Duration::from_millis(5)).await;
    };
    for name in ["input_tokens", "output_tokens", "cost"] {
        assert_eq!(after[name], before[name], "{name}");
    }
    assert_eq!(after["cancelled"], 1);
    let models = get(&program, "/v1/models", ACME).await?;
    let left = models
        .header("x-ratelimit-remaining-tokens")
        .ok_or("none")?;
    assert!(left.parse::<u64>()? > 99_000, "{left}");
    assert_eq!(hostile.calls(), 2, "the list is the second");
    Ok(())
}

/// It closed the model for ten minutes.
#[tokio::test]
async fn a_date_in_the_far_future_is_a_broken_clock() -> TestResult {
    let (_, program) = start(&[]).await?;
    let began = Instant::now();
    let answer = ask(&program, &chat(ACME, "full-till-9999")).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(began.elapsed() < SOON);
    Ok(())
}

/// It closed the model for ten minutes, too.
#[tokio::test]
async fn one_answer_that_asks_for_hours_closes_nothing_to_others() -> TestResult {
    let (_, program) = start(&[]).await?;
    let answer = ask(&program, &chat(ACME, "full-for-9999")).await?;
    assert_eq!(answer.status, 429, "{answer:?}");
    let wait: u64 = answer.header("retry-after").ok_or("no time")?.parse()?;
    assert!(wait <= 60, "its caller is not told so either: {wait}");
    let began = Instant::now();
    let answer = ask(&program, &chat(ACME, "full-for-9999")).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(began.elapsed() < SOON);
    Ok(())
}

/// It was answered after 28 s, or never, with the caller's own quota beside the 429 and without a time.
#[tokio::test]
async fn an_upstream_that_only_throttles_is_waited_for_no_longer_than_was_said() -> TestResult {
    let (_, program) = start(&["--max-wait=1"]).await?;
    for model in ["full", "full-for-7", "busy"] {
        let began = Instant::now();
        let answer = timeout(LONG, ask(&program, &chat(ACME, model))).await??;
        assert!(began.elapsed() < SOON, "{model}");
        assert!(matches!(answer.status, 429 | 503), "{model} {answer:?}");
        let seconds: u64 = answer.header("retry-after").ok_or("no time")?.parse()?;
        assert!(
            seconds >= if model == "full-for-7" { 6 } else { 1 },
            "{model} {seconds}"
        );
        for name in [
            "x-ratelimit-remaining-requests",
            "ratelimit",
            "retry-after-ms",
        ] {
            assert_eq!(answer.header(name), None, "{model}");
        }
    }
    let began = Instant::now();
    let (_, program) = start(&["--timeout=1", "--deadline=1.5"]).await?;
    let answer = ask(&program, &chat(ACME, "silent")).await?;
    assert_eq!(answer.status, 504);
    assert!(began.elapsed() < SOON);
    // That an upstream is full is no reason to send callers elsewhere.
    assert_eq!(get(&program, "/readyz", "").await?.status, 200);
    Ok(())
}

/// Spelled so, usage was not asked for.
#[tokio::test]
async fn usage_is_asked_for_however_the_options_are_spelled() -> TestResult {
    let program = Program::start(&["--admin-key=sk-secret-admin", "--key=acme=sk-secret-acme"])?;
    let twice =
        r#""stream_options":{"include_usage":true},"stream_options":{"include_usage":false}"#;
    let escaped = r#""stream_options":{"include_us\u0061ge":false}"#;
    for (number, options) in [twice, escaped].into_iter().enumerate() {
        let body = format!(
            r#"{{"model":"qwen-plus","stream":true,{options},"max_tokens":20,"messages":[{{"role":"user","content":"Hi"}}]}}"#
        );
        let mut raw = Raw::connect(&program).await?;
        let head = raw::head(ACME, Some(body.len()));
        let head = head.replace("host:", "connection: close\r\nhost:");
        raw.write(&format!("{head}\r\n{body}")).await?;
        let (text, _) = raw.until_closed().await?;
        assert!(text.contains("[DONE]"), "{text}");
        let usage = total(&program).await?;
        assert_eq!(
            (&usage["calls"], &usage["estimated"]),
            (&(number + 1).into(), &0.into())
        );
    }
    Ok(())
}

/// They were booked as a prompt alone.
#[tokio::test]
async fn figures_that_are_no_whole_numbers_are_counted() -> TestResult {
    let (_, program) = start(&[]).await?;
    assert_eq!(ask(&program, &chat(ACME, "decimals")).await?.status, 200);
    let usage = total(&program).await?;
    assert!(usage["input_tokens"].as_u64() >= Some(9), "{usage}");
    assert!(usage["output_tokens"].as_u64() >= Some(3), "{usage}");
    Ok(())
}

#[tokio::test]
async fn a_stream_that_is_left_ends_at_the_upstream_too() -> TestResult {
    let (hostile, program) = start(&[]).await?;
    let mut left = Raw::connect(&program).await?;
    left.write(&stream(ACME, "endless")).await?;
    hostile.running(1).await;
    drop(left);
    timeout(LONG, hostile.running(0)).await?;
    Ok(())
}
