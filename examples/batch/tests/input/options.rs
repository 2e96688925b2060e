//! What the options make of the calls.

use serde_json::json;

use crate::{
    program::{Place, set},
    support::{TestResult, chat},
};

#[tokio::test]
async fn templates_system_messages_and_parameters_are_in_each_call() -> TestResult {
    let place = Place::new().await?;
    place.write("p.csv", "id,text,lang\n1,Hi,French\n2,Yes,Greek\n")?;
    place.write("system.txt", "Answer {briefly}.\n")?;
    let args = [
        "--input",
        "p.csv",
        "--id-field",
        "id",
        "--model",
        "qwen-plus",
        "--template",
        "{{\"to\": \"{lang}\"}} {text}",
        "--system",
        "@system.txt",
        "--param",
        "temperature=0.5",
        "--param",
        "max_tokens=9",
        "--param",
        "user=me",
    ];
    let lines = place.twice(&args, "p.csv.output.jsonl").await?;
    assert_eq!(lines["1"]["lang"], "French");
    assert_eq!(
        place.asked(),
        set(&["{\"to\": \"French\"} Hi", "{\"to\": \"Greek\"} Yes"])
    );
    for body in place.bodies() {
        assert_eq!(
            body["messages"][0],
            json!({"role": "system", "content": "Answer {briefly}."})
        );
        assert_eq!(
            (&body["temperature"], &body["max_tokens"], &body["user"]),
            (&json!(0.5), &json!(9), &json!("me"))
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_template_is_made_of_lines_too() -> TestResult {
    let place = Place::new().await?;
    place.write("p.txt", "One\nTwo\n")?;
    let args = [
        "--input",
        "p.txt",
        "--model",
        "qwen-plus",
        "--template",
        "{prompt}?",
    ];
    place.twice(&args, "p.txt.output.jsonl").await?;
    assert_eq!(place.asked(), set(&["One?", "Two?"]));
    Ok(())
}

#[tokio::test]
async fn parameters_are_set_in_whole_calls_as_well() -> TestResult {
    let place = Place::new().await?;
    place.write("calls.jsonl", chat("a", "One?"))?;
    let args = [
        "--input",
        "calls.jsonl",
        "--param",
        "max_tokens=7",
        "--param",
        "top_p=0.9",
    ];
    place.twice(&args, "calls.output.jsonl").await?;
    let body = &place.bodies()[0];
    assert_eq!(
        (&body["max_tokens"], &body["top_p"]),
        (&json!(7), &json!(0.9))
    );
    assert_eq!(body["messages"][0]["content"], "One?");
    Ok(())
}

#[tokio::test]
async fn a_forecast_reads_every_format() -> TestResult {
    let place = Place::new().await?;
    place.write("p.csv", "text\nOne?\nTwo?\n")?;
    let args = [
        "--input",
        "p.csv",
        "--prompt-field",
        "text",
        "--model",
        "qwen-plus",
        "--param",
        "max_tokens=10",
        "--dry-run",
    ];
    let ended = place.batch(&args).await?;
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let figures: serde_json::Value =
        serde_json::from_str(ended.printed.lines().last().unwrap_or_default())?;
    assert_eq!(
        (&figures["calls"], &figures["total"]["output_tokens"]),
        (&json!(2), &json!(20))
    );
    // The standard input has no name for an output, and a forecast needs none.
    let args = [
        "--input",
        "-",
        "--input-format",
        "lines",
        "--model",
        "qwen-plus",
        "--dry-run",
    ];
    let ended = place.batch_with(&args, b"One?\nTwo?\nThree?\n").await?;
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert!(ended.printed.contains("\"calls\":3"), "{}", ended.printed);
    assert_eq!(place.files()?, set(&["p.csv"]));
    assert!(place.bodies().is_empty());
    Ok(())
}
