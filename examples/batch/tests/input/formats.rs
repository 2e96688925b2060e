//! Each format is read, and resumed by its ids.

use serde_json::{Value, json};

use crate::{
    program::{Place, gzip, set, zstd},
    support::{TestResult, chat},
};

const MODEL: [&str; 2] = ["--model", "qwen-plus"];

fn args<'a>(parts: &[&[&'a str]]) -> Vec<&'a str> {
    parts.concat()
}

#[tokio::test]
async fn calls_are_read_plain_and_packed_and_carry_what_else_they_have() -> TestResult {
    let mut one: Value = serde_json::from_str(&chat("a", "One?"))?;
    one["metadata"] = json!({"team": "x", "n": 1.5});
    one["id"] = json!("row-7");
    let calls = format!("{one}\n\n{}", chat("b", "Two?"));
    for (name, content) in [
        ("calls.jsonl", calls.clone().into_bytes()),
        ("calls.jsonl.gz", gzip(calls.as_bytes())?),
        ("calls.jsonl.zst", zstd(calls.as_bytes())),
        // Known by its first bytes, not by its name.
        ("calls.jsonl", gzip(calls.as_bytes())?),
    ] {
        let place = Place::new().await?;
        place.write(name, content)?;
        let lines = place
            .twice(&["--input", name], "calls.output.jsonl")
            .await?;
        assert_eq!(lines.keys().collect::<Vec<_>>(), ["a", "b"], "{name}");
        assert_eq!(lines["a"]["metadata"], json!({"team": "x", "n": 1.5}));
        assert_eq!(lines["a"]["input_id"], "row-7");
        assert_eq!(lines["b"].as_object().map(serde_json::Map::len), Some(5));
        assert_eq!(lines["b"]["provider"], place.provider());
        assert_eq!(place.asked(), set(&["One?", "Two?"]));
    }
    Ok(())
}

#[tokio::test]
async fn a_field_of_json_is_the_prompt() -> TestResult {
    let place = Place::new().await?;
    let prompts = "{\"prompt\":\"One?\",\"lang\":\"en\"}\n{\"prompt\":\"One?\"}\n{\"prompt\":\"Two?\",\"custom_id\":\"two\"}\n";
    place.write("p.jsonl", prompts)?;
    let args = args(&[&["--input", "p.jsonl", "--prompt-field", "prompt"], &MODEL]);
    let lines = place.twice(&args, "p.output.jsonl").await?;
    let ids: Vec<&str> = lines.keys().map(String::as_str).collect();
    assert!(
        matches!(ids[..], [one, other, "two"] if one.starts_with("p.jsonl:1:") && other.starts_with("p.jsonl:2:")),
        "{ids:?}"
    );
    assert_eq!(lines[ids[0]]["lang"], "en");
    assert_eq!(place.bodies().len(), 3);
    let body = &place.bodies()[0];
    assert_eq!(body["model"], "qwen-plus");
    assert_eq!(body["messages"].as_array().map(Vec::len), Some(1));
    // Another prompt on the same line is another call; the lines after it stay what they were.
    place.write("p.jsonl", prompts.replacen("One?", "Three?", 1))?;
    assert_eq!(place.batch(&args).await?.code, Some(0));
    assert_eq!(place.bodies().len(), 4);
    assert!(place.asked().contains("Three?"));
    Ok(())
}

#[tokio::test]
async fn a_conversation_is_sent_as_it_is() -> TestResult {
    let place = Place::new().await?;
    let messages = json!([
        {"role": "user", "content": "1"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "3"},
    ]);
    place.write("p.jsonl", json!({"messages": messages}).to_string())?;
    let args = args(&[
        &["--input", "p.jsonl", "--prompt-field", "messages"],
        &MODEL,
    ]);
    place.twice(&args, "p.output.jsonl").await?;
    assert_eq!(place.bodies()[0]["messages"], messages);
    Ok(())
}

#[tokio::test]
async fn a_column_of_a_table_is_the_prompt() -> TestResult {
    let text = "id,text,lang\r\n7,\"One,\nreally?\",en\r\n8,Two?,\r\n";
    let tabs = "id\ttext\tlang\n7\tOne?\ten\n8\tTwo?\t\n";
    for (name, content, first) in [
        ("p.csv", text.as_bytes().to_vec(), "One,\nreally?"),
        ("p.csv.gz", gzip(text.as_bytes())?, "One,\nreally?"),
        ("p.tsv", tabs.as_bytes().to_vec(), "One?"),
    ] {
        let place = Place::new().await?;
        place.write(name, content)?;
        let options = [
            "--input",
            name,
            "--prompt-field",
            "text",
            "--id-field",
            "id",
        ];
        let lines = place
            .twice(
                &args(&[&options, &MODEL]),
                &format!("{}.output.jsonl", name.trim_end_matches(".gz")),
            )
            .await?;
        assert_eq!(lines.keys().collect::<Vec<_>>(), ["7", "8"]);
        assert_eq!(
            (&lines["7"]["lang"], &lines["8"]["lang"]),
            (&json!("en"), &json!(""))
        );
        assert_eq!(lines["7"].get("text"), None);
        assert_eq!(place.asked(), set(&[first, "Two?"]));
    }
    Ok(())
}

#[tokio::test]
async fn lines_of_text_are_prompts() -> TestResult {
    let place = Place::new().await?;
    place.write("p.txt", "\u{feff}One, two?\r\n\r\n  Three?  \n")?;
    let lines = place
        .twice(
            &args(&[&["--input", "p.txt"], &MODEL]),
            "p.txt.output.jsonl",
        )
        .await?;
    let ids: Vec<&String> = lines.keys().collect();
    assert!(
        ids[0].starts_with("p.txt:1:") && ids[1].starts_with("p.txt:3:"),
        "{ids:?}"
    );
    assert_eq!(place.asked(), set(&["One, two?", "Three?"]));
    Ok(())
}

#[tokio::test]
async fn the_standard_input_is_read_in_any_format() -> TestResult {
    let calls = chat("a", "One?") + &chat("b", "Two?");
    let lines = ["--input-format", "lines"];
    for (options, content) in [
        (&[][..], calls.clone().into_bytes()),
        (&[], gzip(calls.as_bytes())?),
        (&["--prompt-field", "text"], b"text\nOne?\nTwo?\n".to_vec()),
        (
            &["--prompt-field", "text"],
            b"{\"text\":\"One?\"}\n{\"text\":\"Two?\"}".to_vec(),
        ),
        (&lines, b"One?\nTwo?".to_vec()),
    ] {
        let place = Place::new().await?;
        let all = args(&[&["--input", "-", "--output", "out.jsonl"], &MODEL, options]);
        let answered = place.twice_with(&all, &content, "out.jsonl").await?;
        assert_eq!(answered.len(), 2);
        assert_eq!(place.asked(), set(&["One?", "Two?"]));
    }
    Ok(())
}

#[tokio::test]
async fn several_files_have_ids_of_their_own() -> TestResult {
    let place = Place::new().await?;
    place.write("parts/a/p.csv", "text\nOne?\n")?;
    place.write("parts/b/p.csv.gz", gzip(b"text\nOne?\n")?)?;
    place.write("parts/b/p.jsonl", "{\"text\":\"One?\"}")?;
    let options = [
        "--input",
        "parts/*/p.*",
        "--prompt-field",
        "text",
        "--output",
        "parts/b/p.out.jsonl",
    ];
    let lines = place
        .twice(&args(&[&options, &MODEL]), "parts/b/p.out.jsonl")
        .await?;
    let ids: Vec<&str> = lines
        .keys()
        .filter_map(|id| id.rsplit_once(':'))
        .map(|(id, _)| id)
        .collect();
    assert_eq!(ids, ["a/p.csv:2", "b/p.csv:2", "b/p.jsonl:1"]);
    assert_eq!(place.bodies().len(), 3);

    // A shell makes several arguments of a pattern.
    place.write("1.jsonl", chat("a", "One?"))?;
    place.write("2.jsonl", chat("b", "Two?") + &chat("a", "Three?"))?;
    let all = ["--input", "1.jsonl", "2.jsonl", "--output", "both.jsonl"];
    let ended = place.batch(&all).await?;
    assert_eq!(ended.code, Some(1));
    let said = "line 2 of 2.jsonl: `custom_id` stands on line 1 of 1.jsonl already\n";
    assert!(ended.said.contains(said), "{}", ended.said);
    let answered = crate::support::lines(&place.path("both.jsonl"))?;
    assert_eq!(answered.keys().collect::<Vec<_>>(), ["a", "b"]);
    Ok(())
}
