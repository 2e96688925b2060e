//! What the program does when it is told to stop, to reload, and to say less: its signals and its log.

use std::{fs, time::Duration};

use tokio::time::sleep;

use crate::{
    hostile::Hostile,
    program::Program,
    raw::{Answer, LONG, Raw, chat, get, stream},
    support::TestResult,
};

const ACME: &str = "sk-secret-acme";

async fn start(flags: &[&str]) -> TestResult<(Hostile, Program)> {
    let (hostile, upstream) = Hostile::start().await?;
    let wide = [
        &upstream,
        "--admin-key=sk-secret-admin",
        "--key=acme=sk-secret-acme",
        "--rpm=1000000",
        "--tpm=1000000000",
    ];
    let program = Program::start(&[&wide, flags].concat())?;
    Ok((hostile, program))
}

/// Sends a request, and drops the connection.
async fn status(program: &Program, request: &str) -> TestResult<Answer> {
    let mut raw = Raw::connect(program).await?;
    raw.write(request).await?;
    raw.answer().await
}

#[tokio::test]
async fn it_drains_before_it_closes_and_says_so() -> TestResult {
    let (_, mut program) = start(&["--drain=2", "--grace=60"]).await?;
    assert_eq!(get(&program, "/readyz", "").await?.status, 200);
    let mut kept = Raw::connect(&program).await?;
    kept.write(&chat(ACME, "qwen-plus")).await?;
    assert_eq!(kept.answer().await?.header("connection"), None);
    program.signal("TERM")?;
    // Until the signal is there.
    let not_ready = loop {
        let answer = get(&program, "/readyz", "").await?;
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!((not_ready.status, &*not_ready.body), (503, "draining"));
    assert_eq!(not_ready.header("retry-after"), Some("1"));
    assert_eq!(get(&program, "/healthz", "").await?.status, 200);
    // New connections are answered still; those that are open are asked to go.
    assert_eq!(
        status(&program, &chat(ACME, "qwen-plus")).await?.status,
        200
    );
    kept.write(&chat(ACME, "qwen-plus")).await?;
    let last = kept.answer().await?;
    assert_eq!(
        (last.status, last.header("connection")),
        (200, Some("close"))
    );
    assert_eq!(program.ends()?, Some(0));
    Ok(())
}

#[tokio::test]
async fn calls_under_way_have_their_grace_and_a_second_signal_ends_it() -> TestResult {
    for flags in [&["--grace=0.5"][..], &["--grace=3600"]] {
        let (hostile, mut program) = start(flags).await?;
        let mut call = Raw::connect(&program).await?;
        call.write(&stream(ACME, "endless")).await?;
        hostile.running(1).await;
        program.signal("TERM")?;
        if flags == ["--grace=3600"] {
            // The first has closed the listener.
            while Raw::connect(&program).await.is_ok() {
                sleep(Duration::from_millis(5)).await;
            }
            assert_eq!(hostile.streams(), 1);
            program.signal("TERM")?;
        }
        let (code, log) = program.log_to_its_end()?;
        assert_eq!(code, Some(0), "{log}");
        // What was cut is booked.
        assert!(log.contains("stopped calls=1"), "{log}");
        assert!(log.contains("cancelled=1"), "{log}");
        tokio::time::timeout(LONG, hostile.running(0)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_hangup_opens_the_ledger_again_and_cuts_nothing() -> TestResult {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("calls.jsonl");
    let flag = format!("--ledger={}", file.display());
    let (hostile, program) = start(&[&flag]).await?;
    let lines =
        |path: &std::path::Path| fs::read_to_string(path).map_or(0, |text| text.lines().count());
    let mut under_way = Raw::connect(&program).await?;
    under_way.write(&stream(ACME, "endless")).await?;
    hostile.running(1).await;
    assert_eq!(
        status(&program, &chat(ACME, "qwen-plus")).await?.status,
        200
    );
    let moved = folder.path().join("calls.1.jsonl");
    fs::rename(&file, &moved)?;
    program.signal("HUP")?;
    while !file.exists() {
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(
        status(&program, &chat(ACME, "qwen-plus")).await?.status,
        200
    );
    while (lines(&moved), lines(&file)) != (1, 1) {
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(hostile.streams(), 1, "nothing was cut");
    // The same file again: nothing to do.
    program.signal("HUP")?;
    drop(under_way);
    while lines(&file) != 2 {
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(get(&program, "/readyz", "").await?.status, 200);

    let second = Program::fails(&["--key=acme=sk-secret-acme", &flag])?;
    assert!(second.contains("another process writes it"), "{second}");
    Ok(())
}

#[tokio::test]
async fn a_ledger_that_was_deleted_is_made_anew() -> TestResult {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("calls.jsonl");
    let flag = format!("--ledger={}", file.display());
    let (_, mut program) = start(&[&flag]).await?;
    let call = chat(ACME, "qwen-plus");
    assert_eq!(status(&program, &call).await?.status, 200);
    fs::remove_file(&file)?;
    let lines = || fs::read_to_string(&file).map_or(0, |text| text.lines().count());
    // It is looked at no more than once a second.
    while lines() == 0 {
        assert_eq!(status(&program, &call).await?.status, 200);
        sleep(Duration::from_millis(100)).await;
    }
    program.signal("TERM")?;
    let (code, log) = program.log_to_its_end()?;
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(log.matches("it is opened anew").count(), 1, "{log}");
    Ok(())
}

#[tokio::test]
async fn calls_wait_for_room_in_the_ledger_and_that_is_said_once() -> TestResult {
    let (_, mut program) = start(&["--ledger=/dev/full"]).await?;
    for _ in 0..3 {
        assert_eq!(
            status(&program, &chat(ACME, "qwen-plus")).await?.status,
            200
        );
    }
    let metrics = get(&program, "/metrics", "sk-secret-admin").await?;
    assert!(
        metrics.body.contains("\naxum_server_ledger_unwritten 3\n"),
        "{}",
        metrics.body
    );
    program.signal("TERM")?;
    let (code, log) = program.log_to_its_end()?;
    assert_eq!(code, Some(1));
    assert_eq!(log.matches("cannot be written").count(), 1, "{log}");
    assert!(log.contains("3 calls are missing"), "{log}");
    Ok(())
}

/// A link stands for the name, since no test has a disk that it may fill.
#[tokio::test]
async fn a_full_disk_loses_no_call_when_there_is_room_again() -> TestResult {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("calls.jsonl");
    std::os::unix::fs::symlink("/dev/full", &file)?;
    let flag = format!("--ledger={}", file.display());
    let (_, mut program) = start(&[&flag]).await?;
    for _ in 0..3 {
        assert_eq!(
            status(&program, &chat(ACME, "qwen-plus")).await?.status,
            200
        );
    }
    fs::remove_file(&file)?;
    program.signal("HUP")?;
    let lines = || fs::read_to_string(&file).map_or(0, |text| text.lines().count());
    while lines() != 3 {
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(
        status(&program, &chat(ACME, "qwen-plus")).await?.status,
        200
    );
    program.signal("TERM")?;
    let (code, log) = program.log_to_its_end()?;
    assert_eq!((code, lines()), (Some(0), 4), "{log}");
    assert_eq!(log.matches("can be written again").count(), 1, "{log}");
    Ok(())
}

/// What the operator's guide says of `kill -9`: calls that have ended are in the file, those under way are not.
#[tokio::test]
async fn a_kill_loses_the_calls_that_were_under_way_and_no_other() -> TestResult {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("calls.jsonl");
    let flag = format!("--ledger={}", file.display());
    let (hostile, mut program) = start(&[&flag]).await?;
    let mut under_way = Vec::new();
    for streams in 1..=2 {
        let mut call = Raw::connect(&program).await?;
        call.write(&stream(ACME, "endless")).await?;
        under_way.push(call);
        hostile.running(streams).await;
    }
    // Calls by four connections at one time; what each got answered before the end counts.
    let load = (0..4).map(async |_| {
        let Ok(mut raw) = Raw::connect(&program).await else {
            return 0;
        };
        let mut answered = 0;
        for _ in 0..1_000 {
            if raw.write(&chat(ACME, "qwen-plus")).await.is_err() || raw.answer().await.is_err() {
                break;
            }
            answered += 1;
        }
        answered
    });
    let kill = async {
        let lines = || fs::read_to_string(&file).map_or(0, |text| text.lines().count());
        while lines() < 20 {
            sleep(Duration::from_millis(5)).await;
        }
        program.signal("KILL")
    };
    let (answered, killed) = tokio::join!(futures_util::future::join_all(load), kill);
    killed?;
    let answered: usize = answered.iter().sum();
    program.ends()?;
    // Of each connection the last call may have ended in the file and not at its caller, or the other way round.
    let written = fs::read_to_string(&file)?.lines().count();
    assert!(written.abs_diff(answered) <= 4, "{written} of {answered}");

    let (_, program) = start(&[&flag]).await?;
    let usage = get(&program, "/usage", "sk-secret-admin").await?;
    let usage: serde_json::Value = serde_json::from_str(&usage.body)?;
    assert_eq!(usage["total"]["calls"], written);
    Ok(())
}

#[tokio::test]
async fn a_log_that_no_person_reads_has_no_colours_and_says_what_is_odd() -> TestResult {
    let (_, mut program) = start(&[]).await?;
    program.signal("TERM")?;
    let (_, log) = program.log_to_its_end()?;
    assert!(log.contains("without a key"), "{log}");
    assert!(!log.contains('\u{1b}'), "{log:?}");
    let same = Program::fails(&["--key=acme=sk-secret", "--admin-key=sk-secret"])?;
    assert!(
        same.contains("the admin's key is the key of acme too"),
        "{same}"
    );
    assert!(!same.contains("sk-secret"), "{same}");
    Ok(())
}

#[tokio::test]
async fn pages_of_other_origins_may_call_where_the_operator_says_so() -> TestResult {
    let preflight = "OPTIONS /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\norigin: https://chat.example\r\n\
                     access-control-request-method: POST\r\naccess-control-request-headers: authorization,x-own\r\n\r\n";
    let (hostile, program) = start(&[]).await?;
    let closed = status(&program, preflight).await?;
    assert_eq!(closed.status, 401);
    assert_eq!(closed.header("access-control-allow-origin"), None);
    drop(program);
    let (_, program) = start(&["--cors-origin=https://chat.example"]).await?;
    let allowed = status(&program, preflight).await?;
    assert_eq!(allowed.status, 200);
    let origin = Some("https://chat.example");
    assert_eq!(allowed.header("access-control-allow-origin"), origin);
    assert_eq!(
        allowed.header("access-control-allow-headers"),
        Some("authorization,x-own")
    );
    let other = status(
        &program,
        &preflight.replace("chat.example", "other.example"),
    )
    .await?;
    assert_eq!(other.header("access-control-allow-origin"), None);
    let with_origin = |key: &str| {
        chat(key, "qwen-plus").replace(
            "host: gateway",
            "host: gateway\r\norigin: https://chat.example",
        )
    };
    let answer = status(&program, &with_origin(ACME)).await?;
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (200, origin)
    );
    assert!(
        answer
            .header("access-control-expose-headers")
            .is_some_and(|all| all.contains("retry-after"))
    );
    // What is the admin's it may not read.
    for path in ["/", "/admin/callers", "/page/events"] {
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: gateway\r\norigin: https://chat.example\r\n\r\n");
        let answer = status(&program, &request).await?;
        assert_eq!(answer.header("access-control-allow-origin"), None, "{path}");
    }
    // A page may read why it is refused, too.
    let refused = status(&program, &with_origin("sk-other")).await?;
    assert_eq!(
        (
            refused.status,
            refused.header("access-control-allow-origin")
        ),
        (401, origin)
    );
    assert_eq!(hostile.calls(), 0);
    Ok(())
}
