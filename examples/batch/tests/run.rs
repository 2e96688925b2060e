//! Whole runs against the mock, in paused time.

mod support;

use std::{collections::BTreeMap, fmt::Write, time::Duration};
use tokio::time::Instant;

use batch::{
    Args,
    advice::Target,
    dry_run::forecast,
    ids::Ids,
    input::{Reader, bundled},
    plan::Plan,
    quota_source::QuotaSource,
    stop::stop,
    summary::{Facts, Summary},
};
use clap::Parser;
use mock_qwen::{Config, Faults, MockQwen};
use serde_json::Value;
use support::{Harness, TestResult, Watch, base, bundled_ids, chat, line};
use tower_qwen_ratelimit::Quota;
use tower_qwen_tokens::PriceBook;

const NATIVE: &str = "/api/v1/services/aigc/text-generation/generation";

fn harness() -> TestResult<Harness> {
    Harness::new(MockQwen::new(Config::default()), Quota::qwen2())
}

fn with_faults(faults: Faults) -> TestResult<Harness> {
    let config = Config {
        faults,
        ..Config::default()
    };
    Harness::new(MockQwen::new(config), Quota::qwen2())
}

fn chats(count: u64) -> String {
    (0..count)
        .map(|number| chat(&format!("c{number}"), "How far is it?"))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn every_bundled_prompt_is_answered_and_none_throttled() -> TestResult {
    let harness = harness()?;
    let started = Instant::now();
    let counts = harness.run(bundled(), &mut Watch::default()).await?;
    let duration = Instant::now().duration_since(started);
    let ids = bundled_ids()?;
    let stats = harness.mock.stats();
    assert!(ids.len() >= 200);
    assert_eq!(harness.lines()?.into_keys().collect::<Vec<_>>(), ids);
    assert_eq!((stats.seen, stats.throttled.total()), (240, 0));
    assert!(duration < Duration::from_secs(25), "{duration:?}");

    let summary = Summary::new(Facts {
        provider: "mock".to_owned(),
        counts: &counts,
        attempts: harness.stack.tally.attempts(),
        totals: harness.stack.ledger.snapshot().total,
        quota: Quota::qwen2(),
        quotas: &BTreeMap::new(),
        accounts: &[],
        used: Vec::new(),
        duration,
        target: &Target::remote("http://mock", None),
        measured: &BTreeMap::new(),
        stats: Some(stats.clone()),
    });
    assert!(!summary.has_failures() && !summary.stopped);
    assert_eq!(
        (
            summary.calls.succeeded,
            summary.attempts,
            summary.throttles.total
        ),
        (240, 240, 0)
    );
    assert_eq!(summary.tokens.prompt, stats.tokens.prompt);
    assert_eq!(summary.tokens.output, stats.tokens.output);
    assert!(summary.quota.requests_share > 0.85 && summary.quota.requests_share <= 1.1);
    assert_eq!(summary.cost.len(), 1);
    let table = summary.to_string();
    for row in [
        "calls answered",
        "throttles",
        "cost",
        "seen by the provider   | 240 requests, 0 throttled",
    ] {
        assert!(table.contains(row), "{row}\n{table}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_stopped_run_finishes_what_is_on_the_wire_and_goes_on_later() -> TestResult {
    let harness = harness()?;
    let (stopper, stop) = stop();
    let mut watch = Watch {
        stop_after: Some((50, stopper)),
        ..Watch::default()
    };
    let first = harness.run_with(bundled(), &mut watch, stop).await?;
    assert!(first.stopped && first.not_sent > 0);
    let stats = harness.mock.stats();
    assert_eq!(
        stats.seen, first.succeeded,
        "each call that was sent was finished"
    );
    assert_eq!(stats.aborted, 0);
    assert_eq!(harness.lines()?.len() as u64, first.succeeded);
    assert!(first.succeeded >= 50 && first.succeeded < 240);

    let second = harness.run(bundled(), &mut Watch::default()).await?;
    assert!(!second.stopped);
    assert_eq!(second.answered_before, first.succeeded);
    assert_eq!(second.succeeded, 240 - first.succeeded);
    assert_eq!(
        harness.lines()?.into_keys().collect::<Vec<_>>(),
        bundled_ids()?
    );
    assert_eq!(harness.mock.stats().seen, 240, "no call was made twice");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_second_wish_to_stop_leaves_a_valid_output() -> TestResult {
    let harness = Harness::new(
        MockQwen::new(Config {
            ttft: Duration::from_secs(20),
            ..Config::default()
        }),
        Quota::qwen2(),
    )?;
    let (stopper, stop) = stop();
    let input = chats(30);
    let mut watch = Watch::default();
    let run = harness.run_with(input.as_bytes(), &mut watch, stop);
    let press = async {
        tokio::time::sleep(Duration::from_millis(20_500)).await;
        stopper.press();
        stopper.press();
    };
    let (counts, ()) = tokio::join!(run, press);
    let counts = counts?;
    assert!(counts.stopped && counts.succeeded > 0 && counts.not_sent > 0);
    assert_eq!(counts.succeeded + counts.not_sent, 30);
    assert_eq!(harness.lines()?.len() as u64, counts.succeeded);
    let rest = harness.run(input.as_bytes(), &mut Watch::default()).await?;
    assert_eq!(rest.succeeded, counts.not_sent);
    assert_eq!(harness.lines()?.len(), 30);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_retry_is_not_sent() -> TestResult {
    let harness = with_faults(Faults {
        unavailable: 1.0,
        ..Faults::default()
    })?;
    let (stopper, stop) = stop();
    let input = chats(3);
    let mut watch = Watch::default();
    let run = harness.run_with(input.as_bytes(), &mut watch, stop);
    let press = async {
        tokio::time::sleep(Duration::from_millis(260)).await;
        stopper.press();
    };
    let (counts, ()) = tokio::join!(run, press);
    let counts = counts?;
    assert_eq!(
        (counts.not_sent, counts.failed, counts.stopped),
        (3, 0, true)
    );
    assert!(harness.lines()?.is_empty());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn bad_lines_are_named_and_the_rest_is_answered() -> TestResult {
    let harness = harness()?;
    let mut input = format!("\u{feff}{}", chat("a", "One?"));
    input.push_str("{\"custom_id\":\"x\"\r\n\r\n");
    input.push_str(&chat("a", "Again?"));
    input.push_str(&line(
        "g",
        "https://elsewhere/v1/chat/completions",
        &Value::Object(serde_json::Map::new()),
    ));
    input.push_str(chat("b", "Two?").trim_end());
    let mut watch = Watch::default();
    let counts = harness.run(input.as_bytes(), &mut watch).await?;
    assert_eq!(
        watch.bad_lines,
        [
            "line 2: not JSON (column 16)",
            "line 4: `custom_id` stands on line 1 already",
            "line 5: `url`: it is not a path that begins with /",
        ]
    );
    assert_eq!(
        (counts.bad_lines, counts.succeeded, counts.failed),
        (3, 2, 0)
    );
    assert_eq!(harness.lines()?.into_keys().collect::<Vec<_>>(), ["a", "b"]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn failed_calls_are_told_and_made_again_in_the_next_run() -> TestResult {
    let mut harness = harness()?;
    harness.run.deadline = Duration::from_millis(500);
    let no_messages = serde_json::json!({"model": "qwen-plus", "messages": "none"});
    let input = chats(30) + &line("bad", "/v1/chat/completions", &no_messages);
    let first = harness.run(input.as_bytes(), &mut Watch::default()).await?;
    assert_eq!(first.succeeded + first.failed, 31);
    assert!(first.failed_by["deadline"] > 0);
    let lines = harness.lines()?;
    assert_eq!(lines.len(), 31);
    assert!(lines["bad"]["error"]["code"].is_string());
    for late in lines
        .values()
        .filter(|line| line["error"]["code"] == "deadline")
    {
        assert_eq!(late["response"], Value::Null);
    }
    harness.run.deadline = Duration::from_secs(600);
    let second = harness.run(input.as_bytes(), &mut Watch::default()).await?;
    assert_eq!(
        (second.answered_before, second.failed),
        (first.succeeded, 1)
    );
    assert_eq!(second.succeeded, 30 - first.succeeded);
    assert_eq!(harness.lines()?.len(), 31);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_goes_wrong_for_a_while_is_tried_again() -> TestResult {
    let harness = with_faults(Faults {
        unavailable: 0.2,
        ..Faults::default()
    })?;
    let input = chats(60);
    let counts = harness.run(input.as_bytes(), &mut Watch::default()).await?;
    assert_eq!((counts.succeeded, counts.failed), (60, 0));
    let attempts = harness.stack.tally.attempts();
    let stats = harness.mock.stats();
    assert_eq!(attempts.sent, stats.seen);
    assert_eq!(
        attempts.throttles.get("capacity"),
        Some(&stats.faults.unavailable)
    );
    assert!(stats.faults.unavailable > 0);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_are_held_than_asked_for() -> TestResult {
    let mut harness = harness()?;
    harness.run.concurrency = 3.into();
    let mut watch = Watch::default();
    let counts = harness.run(chats(40).as_bytes(), &mut watch).await?;
    assert_eq!(counts.succeeded, 40);
    assert_eq!(watch.most_held, 3);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_streamed_run_writes_what_an_unstreamed_one_does() -> TestResult {
    let mut input = String::new();
    for (number, text) in ["你好", "Tell me a story.", "fn main() {}"]
        .iter()
        .enumerate()
    {
        input.push_str(&chat(&format!("chat-{number}"), text));
        for format in ["text", "message"] {
            let body = serde_json::json!({
                "model": "qwen-plus",
                "input": {"messages": [{"role": "user", "content": text}]},
                "parameters": {"result_format": format, "max_tokens": 60},
            });
            input.push_str(&line(&format!("{format}-{number}"), NATIVE, &body));
        }
    }
    let mut outputs = Vec::new();
    // Streams leave the cached tokens out where there are none.
    let config = Config {
        cached_share: 0.5,
        ..Config::default()
    };
    for stream in [false, true] {
        let mut harness = Harness::new(MockQwen::new(config.clone()), Quota::qwen2())?;
        harness.run.requests = harness.run.requests.stream(stream);
        let counts = harness.run(input.as_bytes(), &mut Watch::default()).await?;
        assert_eq!(counts.succeeded, 9);
        let mut lines = harness.lines()?;
        for line in lines.values_mut() {
            without_ids(line);
        }
        outputs.push(lines);
    }
    assert!(outputs[0]["chat-0"]["response"]["body"]["usage"]["prompt_tokens"].is_u64());
    assert_eq!(outputs[0], outputs[1]);
    Ok(())
}

fn without_ids(line: &mut Value) {
    for path in [
        "/id",
        "/response/request_id",
        "/response/body/id",
        "/response/body/request_id",
        "/response/body/created",
    ] {
        if let Some(value) = line.pointer_mut(path) {
            *value = Value::Null;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_stream_is_the_error_of_its_line() -> TestResult {
    let mut harness = with_faults(Faults {
        stream_error: 1.0,
        ..Faults::default()
    })?;
    harness.run.requests = harness.run.requests.stream(true);
    let counts = harness
        .run(chats(8).as_bytes(), &mut Watch::default())
        .await?;
    assert_eq!(counts.failed, 8);
    for line in harness.lines()?.values() {
        assert!(
            line["error"]["code"].is_string() && line["error"]["message"].is_string(),
            "{line}"
        );
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_forecast_sends_nothing_and_knows_what_is_done() -> TestResult {
    let harness = harness()?;
    let mut answered = Ids::default();
    answered.insert("c0", 1);
    let embedding = serde_json::json!({"model": "text-embedding-v4", "input": "words"});
    let open_ended = serde_json::json!({"model": "qwen-plus", "n": 2, "messages": [{"role": "user", "content": "Hi"}]});
    let input = chats(1_001)
        + &line("e", "/v1/embeddings", &embedding)
        + &line("o", "/v1/chat/completions", &open_ended)
        + "nonsense\n";
    let mut named = String::new();
    let args = Args::try_parse_from(["batch", "--quota", "told"])?;
    let told = QuotaSource::of_args(&args, false).ok_or("no list is needed")?;
    let forecast = forecast(
        &mut Reader::new(input.as_bytes(), base()?),
        &answered,
        &harness.run.requests,
        &Plan::one(told, PriceBook::builtin()),
        |line| {
            // Writing to a string does not fail.
            let _ = write!(named, "{line}");
        },
    )
    .await?;
    assert_eq!(named, "line 1004: not JSON (column 2)");
    assert_eq!(
        (forecast.calls, forecast.answered_before, forecast.bad_lines),
        (1_002, 1, 1)
    );
    assert_eq!(forecast.models["qwen-plus"].output_tokens, 100_000 + 2_048);
    assert_eq!(forecast.models["qwen-plus"].without_ceiling, 1);
    assert_eq!(forecast.models["text-embedding-v4"].output_tokens, 0);
    assert!((forecast.duration_seconds - 1_001.0 / 800.0 * 60.0).abs() < 1e-6);
    assert!(forecast.to_string().contains("duration, at least"));
    assert_eq!(harness.mock.stats().seen, 0);
    Ok(())
}
