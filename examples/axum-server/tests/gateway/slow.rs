//! Who is slow, silent or does not read, and who takes too much at one time: the program, before an upstream that never ends.

use std::time::Duration;

use serde_json::json;
use tokio::{io::AsyncReadExt, time::sleep};

use crate::{
    hostile::Hostile,
    program::Program,
    raw::{self, Answer, LONG, Raw, ask, chat, stream, total},
    support::{TestResult, problem},
};

const ACME: &str = "sk-secret-acme";
const ZED: &str = "sk-secret-zed";

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

#[tokio::test]
async fn a_head_that_does_not_end_in_time_is_cut() -> TestResult {
    let (_, program) = start(&["--head-timeout=0.3"]).await?;
    for first in [
        "",
        "P",
        "POST /v1/chat/completions HTTP/1.1\r\nhost: g",
        "PRI * HTTP/2.0\r\n",
    ] {
        let mut raw = Raw::connect(&program).await?;
        raw.write(first).await?;
        let (text, took) = raw.until_closed().await?;
        assert_eq!(text, "", "{first}");
        assert!(took >= Duration::from_millis(250), "{first} {took:?}");
        assert!(took < LONG, "{first}");
    }
    // One byte after another is no better.
    let mut raw = Raw::connect(&program).await?;
    let mut sent = 0;
    while raw.write("x").await.is_ok() && sent < 1_000 {
        sent += 1;
        sleep(Duration::from_millis(20)).await;
    }
    assert!(sent < 1_000, "it is open after 20 s");
    Ok(())
}

#[tokio::test]
async fn between_requests_there_is_more_time_than_for_a_head() -> TestResult {
    let (_, program) = start(&["--head-timeout=0.3", "--idle-timeout=4"]).await?;
    let mut raw = Raw::connect(&program).await?;
    for _ in 0..2 {
        raw.write(&chat(ACME, "qwen-plus")).await?;
        assert_eq!(raw.answer().await?.status, 200);
        sleep(Duration::from_millis(900)).await;
    }
    let (text, took) = raw.until_closed().await?;
    assert_eq!(text, "");
    assert!(took >= Duration::from_secs(2), "{took:?}");
    // A further head has no longer than the first.
    let mut raw = Raw::connect(&program).await?;
    raw.write(&chat(ACME, "qwen-plus")).await?;
    assert_eq!(raw.answer().await?.status, 200);
    raw.write("POST /v1").await?;
    let (_, took) = raw.until_closed().await?;
    assert!(took < Duration::from_secs(3), "{took:?}");
    Ok(())
}

#[tokio::test]
async fn a_body_that_does_not_come_in_time_is_refused_and_costs_its_request() -> TestResult {
    let (hostile, program) = start(&["--body-timeout=0.3", "--rpm=2"]).await?;
    for _ in 0..2 {
        let mut raw = Raw::connect(&program).await?;
        raw.write(&raw::head(ACME, Some(100))).await?;
        raw.write("\r\n{\"model\":").await?;
        let (text, took) = raw.until_closed().await?;
        let answer = Answer::of(&text)?;
        assert_eq!(answer.status, 408, "{answer:?}");
        assert_eq!(problem(&answer.body)?.1, "request_timeout");
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(took >= Duration::from_millis(250), "{took:?}");
    }
    let third = ask(&program, &chat(ACME, "qwen-plus")).await?;
    assert_eq!(third.status, 429, "{third:?}");
    assert!(third.header("retry-after").is_some());
    assert_eq!(third.header("x-ratelimit-remaining-requests"), Some("0"));
    assert_eq!(hostile.calls(), 0);
    Ok(())
}

#[tokio::test]
async fn bodies_that_the_gateway_reads_itself_have_no_longer() -> TestResult {
    let (_, program) = start(&["--body-timeout=0.3"]).await?;
    let admin = "authorization: Bearer sk-secret-admin\r\ncontent-type: application/json";
    let form = "origin: http://gateway\r\ncontent-type: application/x-www-form-urlencoded";
    for (path, lines) in [
        ("/page/login", form),
        ("/page/logout", form),
        ("/admin/callers", admin),
        ("/admin/reload", admin),
    ] {
        let mut raw = Raw::connect(&program).await?;
        let head = format!("POST {path} HTTP/1.1\r\nhost: gateway\r\n{lines}\r\n");
        raw.write(&format!("{head}content-length: 200\r\n\r\n"))
            .await?;
        let (text, took) = raw.until_closed().await?;
        let answer = Answer::of(&text)?;
        assert_eq!(answer.status, 408, "{path} {answer:?}");
        assert!(took >= Duration::from_millis(250), "{path} {took:?}");
        let long = format!("{head}content-length: 66000\r\n\r\n{}", "x".repeat(66_000));
        assert_eq!(ask(&program, &long).await?.status, 413, "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn bodies_that_are_refused_cost_their_requests() -> TestResult {
    let long = format!("{}\r\n", raw::head(ACME, Some(5_000_000)));
    let chunk = "x".repeat(2_000);
    let chunked = format!("{}\r\n7d0\r\n{chunk}\r\n0\r\n\r\n", raw::head(ACME, None));
    let coding = format!(
        "{}content-encoding: compress\r\n\r\nx",
        raw::head(ACME, Some(1))
    );
    let broken = format!("{}\r\n{{", raw::head(ACME, Some(1)));
    let text = broken.replace("application/json", "text/plain");
    let rows = [
        (long, 413),
        (chunked, 413),
        (coding, 415),
        (broken, 400),
        (text, 415),
    ];
    for (request, status) in rows {
        let (hostile, program) = start(&["--rpm=2", "--max-body=1000"]).await?;
        for expected in [status, status, 429] {
            let answer = ask(&program, &request).await?;
            assert_eq!(answer.status, expected, "{answer:?}");
        }
        assert_eq!(hostile.calls(), 0);
    }
    Ok(())
}

#[tokio::test]
async fn a_request_is_counted_before_its_body_is_there() -> TestResult {
    let (_, program) = start(&["--rpm=1"]).await?;
    let mut unfinished = Raw::connect(&program).await?;
    unfinished.write(&raw::head(ACME, Some(100))).await?;
    unfinished.write("\r\n{").await?;
    // Until it has come, the next one may be first.
    let mut second = 200;
    for _ in 0..100 {
        let mut raw = Raw::connect(&program).await?;
        raw.write(&raw::head(ACME, Some(100))).await?;
        raw.write("\r\n{").await?;
        let answer = tokio::time::timeout(Duration::from_millis(200), raw.answer()).await;
        if let Ok(answer) = answer {
            second = answer?.status;
            break;
        }
    }
    assert_eq!(second, 429, "unread");
    assert_eq!(ask(&program, &chat(ZED, "qwen-plus")).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn an_answer_is_not_lost_where_the_body_comes_after_it() -> TestResult {
    let (_, program) = start(&["--rpm=1"]).await?;
    assert_eq!(ask(&program, &chat(ACME, "qwen-plus")).await?.status, 200);
    for (key, status) in [(ACME, 429), ("sk-secret-nobody", 401)] {
        let mut raw = Raw::connect(&program).await?;
        raw.write(&raw::head(key, Some(40_000))).await?;
        raw.write("\r\n").await?;
        // It is answered at once, and reads no more.
        raw.0.readable().await?;
        for _ in 0..4 {
            sleep(Duration::from_millis(50)).await;
            raw.write(&"x".repeat(10_000)).await?;
        }
        sleep(Duration::from_millis(50)).await;
        assert_eq!(raw.answer().await?.status, status);
        let (rest, took) = raw.until_closed().await?;
        assert_eq!(rest, "");
        assert!(took < LONG);
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_whose_reader_takes_nothing_is_cut_and_booked() -> TestResult {
    let (hostile, program) = start(&["--write-timeout=0.5"]).await?;
    let mut idle = Raw::connect(&program).await?;
    idle.write(&stream(ACME, "endless")).await?;
    let mut reader = Raw::connect(&program).await?;
    reader.write(&stream(ZED, "endless")).await?;
    hostile.running(2).await;
    // One of them reads on.
    let mut read = vec![0; 65_536];
    while hostile.streams() == 2 {
        tokio::time::timeout(LONG, reader.0.read_exact(&mut read)).await??;
    }
    for _ in 0..20 {
        tokio::time::timeout(LONG, reader.0.read_exact(&mut read)).await??;
    }
    assert_eq!(hostile.streams(), 1);
    let usage = total(&program).await?;
    assert_eq!(
        (&usage["calls"], &usage["cancelled"]),
        (&1.into(), &1.into())
    );
    assert_eq!(usage["estimated"], 1);
    Ok(())
}

#[tokio::test]
async fn connections_beyond_the_limit_are_told_to_come_back() -> TestResult {
    let (hostile, program) = start(&[
        "--max-connections=2",
        "--max-caller-calls=2",
        "--write-timeout=600",
    ])
    .await?;
    let (mut first, mut second) = (Raw::connect(&program).await?, Raw::connect(&program).await?);
    for held in [&mut first, &mut second] {
        held.write(&stream(ACME, "endless")).await?;
    }
    hostile.running(2).await;
    let call = chat(ACME, "qwen-plus");
    let answer = beyond(&program, &call).await?;
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (503, Some("1"))
    );
    assert_eq!(problem(&answer.body)?.1, "ServiceUnavailable");
    // Whether it lives is answered to those too.
    for (path, status) in [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/usage", 503),
        ("/metrics", 503),
    ] {
        let get = format!("GET {path} HTTP/1.1\r\nhost: gateway\r\n\r\n");
        // The second of the two has no answer: the connection ends with the first.
        let answer = beyond(&program, &(get + &call)).await?;
        assert_eq!(answer.status, status, "{path} {answer:?}");
        assert_eq!(answer.header("connection"), Some("close"), "{path}");
        assert!(answer.body.len() < 200, "{path} {answer:?}");
    }
    drop(first);
    loop {
        let mut again = Raw::connect(&program).await?;
        again.write(&chat(ACME, "qwen-plus")).await?;
        if again.answer().await?.status == 200 {
            return Ok(());
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// What comes on a connection beyond the limit, until it is closed. It lives for a second: on a machine that stood still for so
/// long another one is needed.
async fn beyond(program: &Program, request: &str) -> TestResult<Answer> {
    loop {
        let mut raw = Raw::connect(program).await?;
        raw.write(request).await?;
        let text = raw.until_closed().await?.0;
        if !text.is_empty() {
            return Answer::of(&text);
        }
    }
}

#[tokio::test]
async fn one_caller_has_so_many_calls_under_way() -> TestResult {
    let (hostile, program) = start(&["--max-caller-calls=1"]).await?;
    let mut first = Raw::connect(&program).await?;
    first.write(&stream(ACME, "endless")).await?;
    hostile.running(1).await;
    let second = ask(&program, &chat(ACME, "qwen-plus")).await?;
    assert_eq!(
        (second.status, second.header("retry-after")),
        (429, Some("1"))
    );
    assert_eq!(problem(&second.body)?.1, "limit_requests");
    assert_eq!(second.header("x-ratelimit-remaining-requests"), None);
    assert_eq!(ask(&program, &chat(ZED, "qwen-plus")).await?.status, 200);
    drop(first);
    hostile.running(0).await;
    while ask(&program, &chat(ACME, "qwen-plus")).await?.status != 200 {
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// A call that has sent 960 bytes of its body, and goes on to wait.
async fn long_body(program: &Program) -> TestResult<Raw> {
    let mut raw = Raw::connect(program).await?;
    raw.write(&raw::head(ACME, Some(5_000))).await?;
    raw.write(&format!("\r\n{}", "x".repeat(960))).await?;
    Ok(raw)
}

#[tokio::test]
async fn bodies_under_way_hold_so_many_bytes() -> TestResult {
    for (flag, of_others, status) in [
        ("--max-caller-bytes=1000", 200, 429),
        ("--max-bytes=1000", 503, 503),
    ] {
        let (_, program) = start(&[flag]).await?;
        let mut first = long_body(&program).await?;
        let body = raw::body("qwen-plus", json!({})).to_string();
        let second = format!("{}\r\n{body}", raw::head(ACME, Some(body.len())));
        // Until all of the first is there.
        let answer = loop {
            let answer = ask(&program, &second).await?;
            if answer.status != 200 {
                break answer;
            }
            // It came while a second one was there, and had no room itself.
            if first.is_answered() {
                first = long_body(&program).await?;
            }
        };
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (status, Some("1"))
        );
        let other = ask(&program, &second.replace(ACME, ZED)).await?;
        assert_eq!(other.status, of_others, "{flag}");
        drop(first);
        while ask(&program, &second).await?.status != 200 {
            sleep(Duration::from_millis(5)).await;
        }
    }
    Ok(())
}
