//! The lines that the program itself logs of calls.

use serde_json::Value;
use tokio::io::AsyncReadExt;

use crate::{
    program::Program,
    raw::{Raw, ask, body, chat, head, total},
    support::TestResult,
};

const WIDE: [&str; 2] = ["--admin-key=sk-secret-admin", "--key=acme=sk-secret-acme"];

/// With an id of the caller's own.
fn named(request: &str, id: &str) -> String {
    request.replace(
        "host: gateway",
        &format!("host: gateway\r\nx-request-id: {id}"),
    )
}

/// The lines of calls, by the ids of their requests.
fn line<'a>(lines: &'a [Value], id: &str) -> TestResult<&'a Value> {
    let mut of = lines.iter().filter(|line| line["request_id"] == id);
    let line = of.next().ok_or_else(|| format!("no line of {id}"))?;
    assert!(of.next().is_none(), "{id} has several lines");
    Ok(line)
}

#[tokio::test]
async fn a_long_id_gives_way_to_one_of_the_gateways() -> TestResult {
    let program = Program::start(&WIDE)?;
    for length in [128, 129, 20_000] {
        let id = "i".repeat(length);
        let stranger = named(&chat("sk-secret-nobody", "qwen-plus"), &id);
        let answer = ask(&program, &stranger).await?;
        let given = answer.header("x-request-id").ok_or("no id")?;
        assert_eq!(given == id, length == 128, "{given}");
        assert!(given.len() <= 128);
    }
    Ok(())
}

/// With 20 KB a request a stranger would fill the disk.
#[tokio::test]
async fn a_long_path_is_cut() -> TestResult {
    let trace = [("RUST_LOG", "info,tower_http=trace,axum_server=trace")];
    let mut program = Program::start_with(trace, &WIDE)?;
    for path in ["/v1/chat/completions", ""] {
        let path = format!("/{}é{}{path}", "p".repeat(254), "p".repeat(20_000));
        let answer = ask(
            &program,
            &chat("sk-secret-nobody", "qwen-plus").replace("/v1/chat/completions", &path),
        )
        .await?;
        assert_eq!(answer.status, 401);
    }
    program.signal("TERM")?;
    let (_, log) = program.log_to_its_end()?;
    assert!(log.contains(&"p".repeat(254)), "{log}");
    let longest = log.lines().map(str::len).max();
    assert!(longest < Some(2_000), "{longest:?}");
    Ok(())
}

/// It was text, with a backtrace: nothing that gathers the lines of a log could read it.
#[tokio::test]
async fn an_end_by_an_error_is_a_line_like_all_others() -> TestResult {
    let flags = ["--log-format=json", "--ledger=/dev/full"];
    let backtrace = [("RUST_BACKTRACE", "1")];
    let mut program = Program::start_with(backtrace, &[&WIDE[..], &flags].concat())?;
    let call = chat("sk-secret-acme", "qwen-plus");
    assert_eq!(ask(&program, &call).await?.status, 200);
    program.signal("TERM")?;
    let (code, log) = program.log_to_its_end()?;
    assert_eq!(code, Some(1));
    let lines: Vec<Value> = log
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let last = lines.last().ok_or("no line")?;
    assert_eq!(last["level"], "ERROR", "{log}");
    assert_eq!(last["why"], "1 calls are missing in the ledger's file");
    Ok(())
}

#[tokio::test]
async fn each_call_has_one_line_of_json_without_a_secret() -> TestResult {
    let flags = ["--log-format=json", "--rpm=3"];
    let mut program = Program::start_with([("RUST_LOG", "info")], &[&WIDE[..], &flags].concat())?;
    let prompt = body(
        "qwen-plus",
        serde_json::json!({"messages": [{"role": "user", "content": "secret rivers"}]}),
    );
    let prompt = prompt.to_string();
    let whole = format!("{}\r\n{prompt}", head("sk-secret-acme", Some(prompt.len())));
    assert_eq!(ask(&program, &named(&whole, "one")).await?.status, 200);
    let streamed = body("qwen-turbo", serde_json::json!({"stream": true})).to_string();
    let streamed = format!(
        "{}\r\n{streamed}",
        head("sk-secret-acme", Some(streamed.len()))
    );
    let mut reader = Raw::connect(&program).await?;
    reader.write(&named(&streamed, "two")).await?;
    let mut some = [0; 200];
    reader.0.read_exact(&mut some).await?;
    drop(reader);
    while total(&program).await?["calls"] != 2 {
        tokio::task::yield_now().await;
    }
    for (id, key, status) in [
        ("three", "sk-secret-acme", 200),
        ("four", "sk-secret-acme", 429),
        ("five", "sk-secret-other", 401),
    ] {
        let answer = ask(&program, &named(&chat(key, "qwen-plus"), id)).await?;
        assert_eq!(answer.status, status, "{id}");
    }
    let sums = loop {
        let sums = total(&program).await?;
        if sums["calls"] == 3 {
            break sums;
        }
    };
    program.signal("TERM")?;
    let (code, log) = program.log_to_its_end()?;
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("secret") && !log.contains('\u{1b}'), "{log}");
    let lines: Result<Vec<Value>, _> = log.lines().map(serde_json::from_str).collect();
    let lines = lines.map_err(|error| format!("{error} in {log}"))?;
    let calls = lines.iter().filter(|line| line["target"] == "calls");
    assert_eq!(calls.count(), 5, "{log}");

    let one = line(&lines, "one")?;
    assert_eq!(
        (
            &one["tenant"],
            &one["model"],
            &one["upstream"],
            &one["status"],
            &one["end"]
        ),
        (
            &"acme".into(),
            &"qwen-plus".into(),
            &"upstream".into(),
            &200.into(),
            &"complete".into()
        )
    );
    assert_eq!(one["currency"], "USD");
    for figure in ["input_tokens", "output_tokens", "cost", "duration_ms"] {
        assert!(one[figure].as_f64() > Some(0.0), "{figure} in {one}");
    }
    for figure in ["queued_ms", "retry_wait_ms"] {
        assert!(one[figure].as_f64() >= Some(0.0), "{figure} in {one}");
    }
    assert_eq!(one["attempts"], 1);
    let two = line(&lines, "two")?;
    assert_eq!(
        (&two["model"], &two["end"]),
        (&"qwen-turbo".into(), &"cancelled".into())
    );
    let four = line(&lines, "four")?;
    assert_eq!(
        (
            &four["tenant"],
            &four["status"],
            &four["cause"],
            &four["attempts"]
        ),
        (&"acme".into(), &429.into(), &"requests".into(), &0.into())
    );
    let five = line(&lines, "five")?;
    assert_eq!((&five["status"], five.get("tenant")), (&401.into(), None));
    // Together they are what the ledger has.
    for figure in ["input_tokens", "output_tokens"] {
        let sum: u64 = lines.iter().filter_map(|line| line[figure].as_u64()).sum();
        let last = lines.iter().find(|line| line["message"] == "stopped");
        let last = last.and_then(|line| line[figure].as_u64()).unwrap_or(0);
        assert_eq!(Some(sum - last), sums[figure].as_u64(), "{figure} in {log}");
    }
    Ok(())
}

#[tokio::test]
async fn the_file_chooses_the_format_and_text_has_the_same_line() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("gateway.toml");
    let file = "version = 1\n[server]\nadmin_key = \"sk-admin\"\nlog_format = \"json\"\n[[callers]]\nname = \"acme\"\nkey = \"sk-1\"\n";
    for (text, is_json) in [
        (file.to_owned(), true),
        (file.replace("json", "text"), false),
    ] {
        std::fs::write(&path, text)?;
        let flag = format!("--config={}", path.display());
        let mut program = Program::start_with([("RUST_LOG", "info")], &[&flag])?;
        ask(&program, &named(&chat("sk-1", "qwen-plus"), "one")).await?;
        program.signal("TERM")?;
        let (_, log) = program.log_to_its_end()?;
        let mut lines = log.lines().filter(|line| line.contains("request_id"));
        let line = lines.next().ok_or_else(|| format!("no line in {log}"))?;
        assert_eq!(line.starts_with('{'), is_json, "{line}");
        assert!(line.contains("acme") && lines.next().is_none(), "{log}");
    }
    std::fs::write(&path, file.replace("\"json\"", "\"yaml\""))?;
    let bad = Program::fails(&[&format!("--config={}", path.display())])?;
    assert!(bad.contains("gateway.toml:4:14: `log_format`"), "{bad}");
    Ok(())
}
