//! Files of the wrong format and options that do not fit.

use std::fmt::Write;

use crate::{
    program::{Place, gzip, zstd},
    support::{TestResult, chat},
};

fn many(line: &str, count: usize) -> String {
    format!("{line}\n").repeat(count)
}

#[tokio::test]
async fn a_file_in_the_wrong_format_ends_after_twenty_lines_with_a_guess() -> TestResult {
    let place = Place::new().await?;
    let mut parquet = b"PAR1".to_vec();
    parquet.extend([0; 100]);
    for (name, content, options, said) in [
        (
            "p.jsonl",
            many(r#"{"prompt":"Why?","n":1}"#, 200_000).into_bytes(),
            &[][..],
            "p.jsonl: no line of it is a call: all of the first 20 lines are bad (line 1: `custom_id` is missing), \
             and 199,980 more; is it JSONL of prompts? --prompt-field prompt --model NAME",
        ),
        (
            "p.jsonl",
            many("id,question", 30).into_bytes(),
            &[],
            "and 10 more; is it CSV? --input-format csv --prompt-field question --model NAME",
        ),
        (
            "p",
            many("Why is the sky blue?", 21).into_bytes(),
            &[],
            "and 1 more; does it hold a prompt a line? --input-format lines --model NAME",
        ),
        (
            "p.jsonl",
            many(
                r#"{"custom_id":"a","url":"/v1/chat/completions","body":{}}"#,
                3,
            )
            .into_bytes(),
            &["--prompt-field", "text", "--model", "m"],
            "all of the first 3 lines are bad (line 1: `text` is missing); is it a file of calls? --input-format batch",
        ),
        (
            "p.jsonl",
            b"[\n{\n".to_vec(),
            &[],
            "; is it one JSON array? Make lines of it: jq -c '.[]'",
        ),
        ("p.jsonl", parquet, &[], "p.jsonl: it is a Parquet file"),
        (
            "p.csv",
            many("a;b", 30).into_bytes(),
            &["--prompt-field", "b", "--model", "m"],
            "p.csv: it has no column `b`; its columns: 'a;b'",
        ),
    ] {
        place.write(name, &content)?;
        let args = [&["--input", name][..], options].concat();
        let found = place.wrong(&args, b"").await?;
        assert!(found.contains(said), "{found}");
        assert_eq!(found.lines().count(), 1, "{found}");
        // From a pipe as well, where nobody knows how many lines follow.
        let args = [&["--input", "-", "--output", "out.jsonl"][..], options].concat();
        if !name.ends_with("csv") {
            let found = place.wrong(&args, &content).await?;
            let guess = said.rsplit_once("; ").map_or("Parquet", |(_, guess)| guess);
            assert!(
                found.contains(guess) && found.lines().count() == 1,
                "{found}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_packed_file_that_is_cut_is_found_before_anything_is_sent() -> TestResult {
    let place = Place::new().await?;
    let calls: String = (0..100).map(|id| chat(&id.to_string(), "One?")).collect();
    for (name, mut packed) in [
        ("calls.jsonl.gz", gzip(calls.as_bytes())?),
        ("calls.jsonl.zst", zstd(calls.as_bytes())),
    ] {
        packed.truncate(packed.len() - 9);
        place.write(name, packed)?;
        let said = place.wrong(&["--input", name], b"").await?;
        assert!(
            said.starts_with(&format!("error: --input: {name}: ")),
            "{said}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_wrong_file_among_right_ones_is_found_before_anything_is_sent() -> TestResult {
    let place = Place::new().await?;
    place.write("1.jsonl", chat("a", "One?"))?;
    place.write("2.jsonl", many("nonsense", 30))?;
    let args = ["--input", "*.jsonl", "--output", "out/put.jsonl"];
    let said = place.wrong(&args, b"").await?;
    assert!(
        said.starts_with("error: 2.jsonl: no line of it is a call"),
        "{said}"
    );
    Ok(())
}

#[tokio::test]
async fn bad_lines_among_good_ones_stop_nothing_and_only_the_first_are_named() -> TestResult {
    let place = Place::new().await?;
    let mut calls = many("nonsense", 19) + &chat("a", "One?") + &many("nonsense", 50);
    write!(calls, "{}", chat("b", "Two?"))?;
    place.write("calls.jsonl", calls)?;
    let ended = place.batch(&["--input", "calls.jsonl"]).await?;
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.said.matches("not JSON").count(), 20);
    assert!(
        ended
            .said
            .contains("more bad lines are counted, not named: --errors FILE")
    );
    assert!(
        ended.printed.contains("\"bad_lines\":69"),
        "{}",
        ended.printed
    );
    assert_eq!(place.bodies().len(), 2);
    Ok(())
}

#[tokio::test]
async fn options_that_do_not_fit_are_one_sentence() -> TestResult {
    let place = Place::new().await?;
    place.write("calls.jsonl", chat("a", "One?"))?;
    place.write("p.csv", "id,text\n1,One?\n")?;
    place.write("p.txt", "One?\n")?;
    place.write("a/p.csv", "text\nOne?\n")?;
    for (args, said) in [
        (
            "--input none.jsonl",
            "--input: none.jsonl: there is no such file",
        ),
        (
            "--input none-*.jsonl --output o",
            "--input: none-*.jsonl: no file has such a name",
        ),
        ("--input a", "--input: a: it is a directory"),
        (
            "--input p.csv p.csv --output o",
            "--input: p.csv: it is named twice",
        ),
        ("--input p.csv a/p.csv --output o", "ids are made of names"),
        (
            "--input p.csv - --output o",
            "the standard input goes alone",
        ),
        ("--input -", "need a name for their answers: --output FILE"),
        (
            "--input p.csv a/p.csv",
            "need a name for their answers: --output FILE",
        ),
        (
            "--input p.csv",
            "name the column that holds the prompts with --prompt-field; its columns: id, text",
        ),
        (
            "--input p.csv --prompt-field text",
            "name their model with --model",
        ),
        (
            "--input p.csv --prompt-field none --model m",
            "it has no column `none`; its columns: id, text",
        ),
        (
            "--input p.csv --template {none} --model m",
            "it has no column `none`",
        ),
        (
            "--input p.csv --prompt-field id --id-field id",
            "name the same field",
        ),
        ("--input p.txt", "name their model with --model"),
        (
            "--input p.txt --prompt-field text --model m",
            "leave --prompt-field out",
        ),
        (
            "--input p.txt --template {text} --model m",
            "`{prompt}`, not `{text}`",
        ),
        (
            "--input p.txt --template { --model m",
            "--template: a `{` has no `}`",
        ),
        (
            "--input p.txt --system @none --model m",
            "--system: none: there is no such file",
        ),
        ("--input calls.jsonl --system s", "--system is for prompts"),
        (
            "--input calls.jsonl --id-field s",
            "--id-field is for prompts",
        ),
        (
            "--input calls.jsonl --input-format jsonl",
            "name the field that holds the prompts",
        ),
        (
            "--input calls.jsonl --output calls.jsonl",
            "--input and --output are the same file",
        ),
        (
            "--input calls.jsonl --errors calls.jsonl",
            "--input and --errors are the same file",
        ),
        (
            "--input calls.jsonl --errors s --summary s",
            "--errors and --summary are the same file",
        ),
        (
            "--input p.csv a/p.csv --output a/p.csv",
            "--input and --output are the same file",
        ),
    ] {
        let args: Vec<&str> = args.split_whitespace().collect();
        let found = place.wrong(&args, b"").await?;
        assert!(found.contains(said), "{args:?}: {found}");
        assert_eq!(found.lines().count(), 1, "{found}");
    }
    for args in [
        "--prompt-field text",
        "--input p.csv --shard 3/2",
        "--input p.csv --sample 0",
        "--input p.csv --param model=x",
        "--input p.csv --input-format xml",
    ] {
        let args: Vec<&str> = args.split_whitespace().collect();
        place.wrong(&args, b"").await?;
    }
    Ok(())
}
