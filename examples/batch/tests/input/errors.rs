//! The file for what failed.

use serde_json::{Value, json};

use crate::{
    program::Place,
    support::{TestResult, chat, line, lines},
};

fn errors(place: &Place) -> TestResult<Vec<Value>> {
    let text = std::fs::read_to_string(place.path("errors.jsonl"))?;
    Ok(text
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?)
}

#[tokio::test]
async fn failures_and_bad_lines_go_there_and_answers_to_the_output() -> TestResult {
    let place = Place::new().await?;
    let unreadable = line(
        "bad",
        "/v1/chat/completions",
        &json!({"model": "qwen-plus", "messages": "none"}),
    );
    let mut calls = chat("a", "One?") + "nonsense\n" + &unreadable;
    place.write("calls.jsonl", &calls)?;
    let args = ["--input", "calls.jsonl", "--errors", "errors.jsonl"];
    for _ in 0..2 {
        assert_eq!(place.batch(&args).await?.code, Some(1));
        let answered = lines(&place.path("calls.output.jsonl"))?;
        assert_eq!(answered.keys().collect::<Vec<_>>(), ["a"]);
        let mut failed = errors(&place)?;
        failed.sort_by_key(|line| line["custom_id"].as_str().map(str::to_owned));
        assert_eq!(failed.len(), 2);
        assert_eq!(failed[0]["custom_id"], Value::Null);
        assert_eq!(
            failed[0]["error"],
            json!({"code": "bad_line", "message": "line 2: not JSON (column 2)"})
        );
        assert_eq!(failed[1]["custom_id"], "bad");
        assert!(failed[1]["error"]["code"].is_string());
    }
    // What goes well at last is no failure any more.
    calls = chat("a", "One?") + &chat("bad", "Two?");
    place.write("calls.jsonl", &calls)?;
    assert_eq!(place.batch(&args).await?.code, Some(0));
    assert!(errors(&place)?.is_empty());
    assert_eq!(lines(&place.path("calls.output.jsonl"))?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn an_output_is_no_file_for_errors() -> TestResult {
    let place = Place::new().await?;
    place.write("calls.jsonl", chat("a", "One?"))?;
    assert_eq!(
        place.batch(&["--input", "calls.jsonl"]).await?.code,
        Some(0)
    );
    let args = [
        "--input",
        "calls.jsonl",
        "--output",
        "calls.output.jsonl",
        "--errors",
    ];
    let said = place
        .wrong(&[&args[..], &["calls.output.jsonl"]].concat(), b"")
        .await?;
    assert_eq!(said, "error: --output and --errors are the same file\n");
    place.write("other.jsonl", chat("b", "Two?"))?;
    let args = [
        "--input",
        "other.jsonl",
        "--output",
        "new.jsonl",
        "--errors",
        "calls.output.jsonl",
    ];
    let said = place.wrong(&args, b"").await?;
    assert!(said.contains("it holds answers"), "{said}");
    assert_eq!(lines(&place.path("calls.output.jsonl"))?.len(), 1);
    Ok(())
}
