//! From the input to the output.

use std::fs;

use mock_qwen::{Batches, Host};
use serde_json::{Value, json};

use crate::{
    place::{OUTPUT, Place, calls, quick},
    support::{TestResult, lines},
};

fn amount(cost: &Value) -> f64 {
    let amount = cost[0]["amount"].as_str().unwrap_or_default();
    amount.parse().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answers_are_those_of_a_live_run_for_half_the_price() -> TestResult {
    let input =
        calls("qwen-plus", 0..30).replace("\"url\"", "\"metadata\":{\"n\":1.50},\"id\":7,\"url\"");
    let place = Place::new(quick(), &input).await?;
    let submitted = place.submit(&["--summary", "jobs.json"]).await?;
    assert_eq!(submitted.code, Some(0), "{}", submitted.said);
    assert!(!place.has_jobs(), "nothing is left");
    let stats = place.mock.stats();
    assert_eq!(stats.seen, 0, "no live call");
    let batches = stats.batches;
    assert_eq!(
        (
            batches.jobs_created,
            batches.files_uploaded,
            batches.lines_completed
        ),
        (1, 1, 30)
    );
    assert_eq!(batches.files_deleted, 2, "the upload and the answers");

    let live = place
        .batch(&[
            "--input",
            "calls.jsonl",
            "--output",
            "live.jsonl",
            "--summary",
            "live.json",
        ])
        .await?;
    assert_eq!(live.code, Some(0), "{}", live.said);
    let (jobs, live) = (place.lines()?, lines(&place.path("live.jsonl"))?);
    assert!(jobs.keys().eq(live.keys()));
    for (id, line) in &jobs {
        let other = &live[id];
        for member in ["provider", "error", "metadata", "input_id"] {
            assert_eq!(line[member], other[member], "{id}: {member}");
        }
        let (answer, other) = (&line["response"], &other["response"]);
        assert_eq!(answer["status_code"], other["status_code"]);
        for member in ["choices", "usage", "model"] {
            assert_eq!(
                answer["body"][member], other["body"][member],
                "{id}: {member}"
            );
        }
        assert!(answer["request_id"].is_string(), "{line}");
    }
    let summary = |name: &str| -> TestResult<Value> {
        Ok(serde_json::from_str(&fs::read_to_string(
            place.path(name),
        )?)?)
    };
    let (jobs, live) = (summary("jobs.json")?, summary("live.json")?);
    assert_eq!(jobs["tokens"], live["tokens"]);
    assert_eq!(jobs["tokens"]["output"], json!(batches.tokens.output));
    assert_eq!(jobs["live_cost"], live["cost"]);
    assert!((amount(&jobs["cost"]) * 2.0 - amount(&live["cost"])).abs() < 1e-12);
    assert!(amount(&jobs["cost"]) > 0.0);
    assert_eq!(jobs["calls"]["succeeded"], 30);

    let again = place.submit(&[]).await?;
    assert_eq!(again.code, Some(0), "{}", again.said);
    assert_eq!(
        place.mock.stats().batches.jobs_created,
        1,
        "all is answered"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn any_input_is_taken() -> TestResult {
    let place = Place::new(quick(), "").await?;
    fs::write(
        place.path("calls.csv"),
        "key,text,note\na,One?,first\nb,\"Two,\nthree?\",second\n",
    )?;
    let ended = place
        .batch(&[
            "--input",
            "calls.csv",
            "--prompt-field",
            "text",
            "--id-field",
            "key",
            "--model",
            "qwen-plus",
            "--param",
            "max_tokens=20",
            "--output",
            OUTPUT,
            "--submit",
            "--poll-interval",
            "20ms",
        ])
        .await?;
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let lines = place.lines()?;
    assert_eq!(lines.len(), 2);
    assert_eq!(lines["b"]["note"], "second");
    assert_eq!(lines["b"]["provider"], place.provider());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_built_in_provider_has_jobs_too() -> TestResult {
    let place = Place::new(quick(), &calls("qwen-plus", 0..3)).await?;
    // Not at the address of the test: --mock excludes one.
    let ended = tokio::process::Command::new(env!("CARGO_BIN_EXE_batch"))
        .args(["--mock", "--submit", "--input"])
        .arg(place.path("calls.jsonl"))
        .output()
        .await?;
    assert_eq!(
        ended.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    assert_eq!(lines(&place.path("calls.mock-output.jsonl"))?.len(), 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forecast_sends_nothing_and_shows_both_prices() -> TestResult {
    let input = calls("qwen-plus", 0..5) + &calls("qwen-max", 0..2);
    let place = Place::new(quick(), &input).await?;
    let ended = place.submit(&["--dry-run", "--job-lines", "3"]).await?;
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let json = ended.printed.lines().last().unwrap_or_default();
    let forecast: Value = serde_json::from_str(json)?;
    let jobs = forecast["jobs"].as_array().ok_or("no jobs")?;
    let lines: Vec<&Value> = jobs.iter().map(|job| &job["lines"]).collect();
    assert_eq!(lines, [3, 2, 2]);
    assert!((amount(&forecast["cost"]) * 2.0 - amount(&forecast["live_cost"])).abs() < 1e-12);
    assert!(
        ended.printed.contains("| as live calls "),
        "{}",
        ended.printed
    );
    assert_eq!(place.mock.stats().batches.files_uploaded, 0);
    assert!(!place.has_jobs() && !place.path(OUTPUT).exists());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_job_can_have_fails_and_the_rest_goes_on() -> TestResult {
    let native = "/api/v1/services/aigc/text-generation/generation";
    let long = calls("qwen-plus", 1..2).replace("What", &"x".repeat(600));
    let other = calls("qwen-plus", 2..3).replace("/v1/chat/completions", native);
    let nameless = calls("qwen-plus", 3..4).replace(",\"model\":\"qwen-plus\"", "");
    let input = calls("qwen-plus", 0..1) + &long + &other + &nameless + "nonsense\n";
    let place = Place::new(quick(), &input).await?;
    let ended = place.submit(&["--job-bytes", "500"]).await?;
    assert_eq!(ended.code, Some(1), "{}", ended.said);
    let lines = place.lines()?;
    let code = |id: &str| {
        lines[id]["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(code("qwen-plus-1"), "too_large");
    assert_eq!(code("qwen-plus-2"), "no_batch");
    assert_eq!(code("qwen-plus-3"), "bad_request");
    assert_eq!(place.answered()?, ["qwen-plus-0"]);
    assert!(ended.said.contains("line 5"), "{}", ended.said);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_a_batch_api_says_so_before_anything_is_uploaded() -> TestResult {
    let config = mock_qwen::Config {
        host: Host::Groq,
        batches: Batches::default(),
        ..quick()
    };
    let place = Place::new(config, &calls("qwen-plus", 0..2)).await?;
    let ended = place.submit(&[]).await?;
    assert_eq!(ended.code, Some(3), "{}", ended.said);
    assert!(
        ended.said.contains("There is nothing at /v1/batches"),
        "{}",
        ended.said
    );
    Ok(())
}
