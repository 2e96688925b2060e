//! Samples and shards.

use std::collections::BTreeSet;

use crate::{
    program::{Place, set},
    support::{TestResult, chat, lines},
};

const ALL: usize = 60;

async fn place() -> TestResult<Place> {
    let place = Place::new().await?;
    let calls: String = (0..ALL)
        .map(|number| chat(&format!("c{number}"), "Why?"))
        .collect();
    place.write("calls.jsonl", calls)?;
    Ok(place)
}

fn ids(place: &Place, output: &str) -> TestResult<BTreeSet<String>> {
    Ok(lines(&place.path(output))?.into_keys().collect())
}

#[tokio::test]
async fn a_sample_has_its_size_and_a_larger_run_goes_on_from_it() -> TestResult {
    let place = place().await?;
    let sample = ["--input", "calls.jsonl", "--sample", "10"];
    assert_eq!(place.twice(&sample, "calls.output.jsonl").await?.len(), 10);
    let first = ids(&place, "calls.output.jsonl")?;
    let more = ["--input", "calls.jsonl", "--sample", "25"];
    assert_eq!(place.twice(&more, "calls.output.jsonl").await?.len(), 25);
    assert!(first.is_subset(&ids(&place, "calls.output.jsonl")?));
    assert_eq!(place.bodies().len(), 25);
    assert_eq!(
        place
            .twice(&["--input", "calls.jsonl"], "calls.output.jsonl")
            .await?
            .len(),
        ALL
    );
    assert_eq!(place.bodies().len(), ALL, "none was made twice");
    Ok(())
}

#[tokio::test]
async fn shards_have_no_call_in_common_and_together_all() -> TestResult {
    let place = place().await?;
    let mut all = 0;
    for shard in ["1/3", "2/3", "3/3"] {
        let output = format!("{}.jsonl", &shard[..1]);
        let args = [
            "--input",
            "calls.jsonl",
            "--shard",
            shard,
            "--output",
            &output,
        ];
        all += place.twice(&args, &output).await?.len();
    }
    assert_eq!((all, place.bodies().len()), (ALL, ALL));
    let whole: BTreeSet<String> = ["1.jsonl", "2.jsonl", "3.jsonl"]
        .iter()
        .map(|output| ids(&place, output))
        .collect::<TestResult<Vec<_>>>()?
        .into_iter()
        .flatten()
        .collect();
    assert_eq!(whole.len(), ALL);
    Ok(())
}

#[tokio::test]
async fn a_sample_of_a_shard_stays_in_it() -> TestResult {
    let place = place().await?;
    let shard = [
        "--input",
        "calls.jsonl",
        "--shard",
        "2/2",
        "--output",
        "shard.jsonl",
    ];
    place.twice(&shard, "shard.jsonl").await?;
    let sample = [
        "--input",
        "calls.jsonl",
        "--shard",
        "2/2",
        "--sample",
        "5",
        "--output",
        "sample.jsonl",
    ];
    assert_eq!(place.twice(&sample, "sample.jsonl").await?.len(), 5);
    assert!(ids(&place, "sample.jsonl")?.is_subset(&ids(&place, "shard.jsonl")?));
    Ok(())
}

#[tokio::test]
async fn the_bundled_prompts_can_be_sampled_and_a_pipe_cannot() -> TestResult {
    let place = Place::new().await?;
    let lines = place
        .twice(
            &["--bundled", "--sample", "3", "--output", "out.jsonl"],
            "out.jsonl",
        )
        .await?;
    assert_eq!(lines.len(), 3);
    let args = ["--input", "-", "--output", "other.jsonl", "--sample", "3"];
    let said = place.wrong(&args, chat("a", "One?").as_bytes()).await?;
    assert!(said.contains("--sample reads the input twice"), "{said}");
    // A shard needs no second reading.
    let args = ["--input", "-", "--output", "other.jsonl", "--shard", "1/1"];
    assert_eq!(
        place
            .batch_with(&args, chat("a", "One?").as_bytes())
            .await?
            .code,
        Some(0)
    );
    assert_eq!(place.files()?, set(&["other.jsonl", "out.jsonl"]));
    Ok(())
}
