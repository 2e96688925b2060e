//! Limits of the provider, and caps of the user.

use std::time::Duration;

use mock_qwen::{BatchFaults, Batches, Config};

use crate::{
    place::{Place, calls, quick},
    support::TestResult,
};

#[tokio::test(flavor = "multi_thread")]
async fn each_model_and_each_limit_begins_a_job() -> TestResult {
    let input = calls("qwen-plus", 0..10) + &calls("qwen-max", 0..10) + &calls("qwen-plus", 10..15);
    let place = Place::new(quick(), &input).await?;
    let ended = place
        .submit(&["--job-lines", "6", "--max-jobs", "2"])
        .await?;
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert_eq!(place.answered()?.len(), 25);
    let stats = place.mock.stats().batches;
    assert_eq!((stats.jobs_created, stats.jobs_completed), (5, 5));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_jobs_at_a_time_than_asked_for() -> TestResult {
    let config = Config {
        batches: Batches {
            // One more would be refused.
            jobs: 2,
            ..quick().batches
        },
        ..quick()
    };
    let place = Place::new(config, &calls("qwen-plus", 0..12)).await?;
    let ended = place
        .submit(&["--job-lines", "2", "--max-jobs", "2"])
        .await?;
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let stats = place.mock.stats().batches;
    assert_eq!((stats.jobs_completed, stats.creations_throttled), (6, 0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn throttled_creations_are_tried_again() -> TestResult {
    let config = Config {
        batches: Batches {
            faults: BatchFaults {
                throttled_creations: 3,
                ..BatchFaults::default()
            },
            ..quick().batches
        },
        ..quick()
    };
    let place = Place::new(config, &calls("qwen-plus", 0..4)).await?;
    let ended = place.submit(&[]).await?;
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let stats = place.mock.stats().batches;
    assert_eq!((stats.jobs_created, stats.creations_throttled), (1, 3));
    assert_eq!(stats.files_uploaded, 1);
    Ok(())
}

/// More than the tokens of a job of five, and less than those of two.
const QUEUE: u64 = 700;

fn with_queue() -> Config {
    Config {
        batches: Batches {
            enqueued_tokens: Some(QUEUE),
            // Long enough for two jobs to be in the queue.
            work: Duration::from_millis(600),
            ..quick().batches
        },
        ..quick()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_without_room_is_waited_for() -> TestResult {
    let place = Place::new(with_queue(), &calls("qwen-plus", 0..60)).await?;
    let ended = place.submit(&["--job-lines", "10"]).await?;
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert_eq!(place.answered()?.len(), 60);
    let stats = place.mock.stats().batches;
    assert!(stats.jobs_failed > 0, "the queue was too small for all");
    assert_eq!(
        (
            stats.jobs_completed,
            stats.files_uploaded,
            stats.lines_completed
        ),
        (6, 6, 60)
    );
    assert!(
        ended.said.contains("takes no more tokens into its queue"),
        "{}",
        ended.said
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowance_of_tokens_is_kept() -> TestResult {
    let place = Place::new(with_queue(), &calls("qwen-plus", 0..30)).await?;
    let ended = place.submit(&["--enqueued-tokens", "100"]).await?;
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let stats = place.mock.stats().batches;
    assert!(stats.jobs_created > 1);
    assert_eq!(
        (stats.jobs_failed, stats.lines_completed),
        (0, 30),
        "no job met the end of the queue"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_of_cost_holds_for_what_the_jobs_may_cost() -> TestResult {
    let place = Place::new(quick(), &calls("qwen-plus", 0..10)).await?;
    for (cap, amount) in [
        ("--max-cost", "0.0000001USD"),
        ("--max-tokens-total", "100"),
    ] {
        let ended = place.submit(&[cap, amount]).await?;
        assert_eq!(ended.code, Some(4), "{}", ended.said);
        assert!(
            ended.said.contains(cap) && ended.said.contains("Nothing was sent."),
            "{}",
            ended.said
        );
        assert!(!place.has_jobs());
    }
    assert_eq!(place.mock.stats().batches.files_uploaded, 0);
    let ended = place.submit(&["--max-cost", "1USD"]).await?;
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_bad_usage() -> TestResult {
    let place = Place::new(quick(), &calls("qwen-plus", 0..1)).await?;
    for args in [
        &["--stream"][..],
        &["--rpm", "5"],
        &["--concurrency", "5"],
        &["--max-failures", "5"],
        &["--redis", "redis://h"],
        &["--completion-window", "1h"],
        &["--job-lines", "0"],
        &["--cancel"],
        &["--cancel", "--dry-run"],
        &["--max-cost", "1CNY"],
    ] {
        let ended = place.submit(args).await?;
        assert_eq!(ended.code, Some(2), "{args:?}: {}", ended.said);
    }
    let alone = place.batch(&["--input", "calls.jsonl", "--cancel"]).await?;
    assert_eq!(alone.code, Some(2), "{}", alone.said);
    assert_eq!(place.mock.stats().batches.files_uploaded, 0);
    Ok(())
}
