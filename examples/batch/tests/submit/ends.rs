//! Jobs that do not end well.

use std::time::Duration;

use mock_qwen::{BatchFaults, Batches, Config};

use crate::{
    place::{OUTPUT, Place, calls, quick},
    support::TestResult,
};

fn with(batches: Batches) -> Config {
    Config { batches, ..quick() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_line_is_a_failed_call_and_goes_alone_the_next_time() -> TestResult {
    let wrong = calls("qwen-plus", 7..8).replace("\"max_tokens\":50", "\"max_tokens\":0");
    let input = calls("qwen-plus", 0..5) + &wrong;
    let place = Place::new(quick(), &input).await?;
    for run in 1..=2 {
        let ended = place.submit(&[]).await?;
        assert_eq!(ended.code, Some(1), "{}", ended.said);
        assert!(
            ended.printed.contains("invalid_parameter_error"),
            "{}",
            ended.printed
        );
        let lines = place.lines()?;
        assert_eq!(lines.len(), 6);
        let failed = &lines["qwen-plus-7"];
        assert_eq!(failed["error"]["code"], "invalid_parameter_error");
        assert_eq!(failed["response"]["status_code"], 400);
        assert_eq!(failed["provider"], place.provider());
        let stats = place.mock.stats().batches;
        assert_eq!((stats.lines_completed, stats.lines_failed), (5, run));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_job_gives_what_it_has_and_the_next_run_submits_the_rest() -> TestResult {
    let place = Place::new(
        with(Batches {
            // A window of 24 hours lasts 1.2 s, in which about half of the lines are done.
            hour: Duration::from_millis(50),
            work: Duration::from_millis(2_400),
            ..Batches::default()
        }),
        &calls("qwen-plus", 0..16),
    )
    .await?;
    let ended = place.submit(&[]).await?;
    assert_eq!(ended.code, Some(1), "{}", ended.said);
    let first = place.answered()?.len();
    assert!((1..16).contains(&first), "{first}");
    assert_eq!(place.lines()?.len(), 16, "the others have their failures");
    assert!(ended.printed.contains("batch_expired"), "{}", ended.printed);
    assert_eq!(place.mock.stats().batches.jobs_expired, 1);
    let ended = place.submit(&["--completion-window", "14d"]).await?;
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert_eq!(place.answered()?.len(), 16);
    let stats = place.mock.stats().batches;
    assert_eq!(stats.lines_completed, 16, "no call twice");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fails_its_validation_leaves_its_calls_to_the_next_run() -> TestResult {
    let place = Place::new(
        with(Batches {
            faults: BatchFaults {
                failed_jobs: 1,
                ..BatchFaults::default()
            },
            ..quick().batches
        }),
        &calls("qwen-plus", 0..20),
    )
    .await?;
    let ended = place.submit(&["--job-lines", "10"]).await?;
    assert_eq!(ended.code, Some(1), "{}", ended.said);
    assert!(
        ended.said.contains("has failed: internal_error"),
        "{}",
        ended.said
    );
    assert!(
        ended
            .said
            .contains("10 calls have no answer. Run the same command again"),
        "{}",
        ended.said
    );
    assert_eq!(place.answered()?.len(), 10);
    let ended = place.submit(&["--job-lines", "10"]).await?;
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert_eq!(place.answered()?.len(), 20);
    assert_eq!(place.mock.stats().batches.jobs_created, 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_ends_it_before_anything_is_uploaded() -> TestResult {
    let config = Config {
        require_key: true,
        ..quick()
    };
    let mut place = Place::new(config, &calls("qwen-plus", 0..3)).await?;
    place.key = "";
    let ended = place.submit(&[]).await?;
    assert_eq!(ended.code, Some(3), "{}", ended.said);
    assert!(
        ended.said.contains("The key is not valid at"),
        "{}",
        ended.said
    );
    assert_eq!(place.mock.stats().batches.files_uploaded, 0);
    assert_eq!(place.lines()?.len(), 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_where_nobody_is_ends_it() -> TestResult {
    let place = Place::new(quick(), &calls("qwen-plus", 0..3)).await?;
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    let address = format!("http://{}/v1", listener.local_addr()?);
    drop(listener);
    let ended = tokio::process::Command::new(env!("CARGO_BIN_EXE_batch"))
        .args([
            "--submit",
            "--max-attempts",
            "1",
            "--base-url",
            &address,
            "--input",
        ])
        .arg(place.path("calls.jsonl"))
        .env("DASHSCOPE_API_KEY", "sk-secret")
        .output()
        .await?;
    let said = String::from_utf8(ended.stderr)?;
    assert_eq!(ended.status.code(), Some(3), "{said}");
    assert!(said.contains("cannot be reached"), "{said}");
    assert!(!said.contains("secret") && !String::from_utf8(ended.stdout)?.contains("secret"));
    assert!(!place.has_jobs(), "nothing was sent");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_breaks_for_a_time_ends_nothing() -> TestResult {
    let config = with(Batches {
        work: Duration::from_millis(300),
        ..Batches::default()
    });
    let place = Place::new(config, &calls("qwen-plus", 0..5)).await?;
    let child = place.spawn(&["--max-attempts", "1"])?;
    let created = async {
        while place.mock.stats().batches.jobs_created < 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), created).await?;
    place.break_next(8);
    let ended = child.wait_with_output().await?;
    let said = String::from_utf8(ended.stderr)?;
    assert_eq!(ended.status.code(), Some(0), "{said}");
    assert!(said.contains("It is tried again."), "{said}");
    assert_eq!(place.answered()?.len(), 5);
    assert_eq!(place.mock.stats().batches.jobs_created, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_go_to_a_file_of_their_own() -> TestResult {
    let wrong = calls("qwen-plus", 7..8).replace("\"max_tokens\":50", "\"max_tokens\":0");
    let input = calls("qwen-plus", 0..2) + &wrong + "nonsense\n";
    let place = Place::new(quick(), &input).await?;
    let ended = place.submit(&["--errors", "failed.jsonl"]).await?;
    assert_eq!(ended.code, Some(1), "{}", ended.said);
    assert_eq!(place.lines()?.len(), 2);
    let failed = std::fs::read_to_string(place.path("failed.jsonl"))?;
    assert_eq!(failed.lines().count(), 2);
    assert!(
        failed.contains("bad_line") && failed.contains("invalid_parameter_error"),
        "{failed}"
    );
    Ok(())
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_the_provider_does_not_know_is_not_submitted_again() -> TestResult {
    let config = with(Batches {
        work: Duration::from_secs(1_000),
        ..Batches::default()
    });
    let place = Place::new(config, &calls("qwen-plus", 0..2)).await?;
    let child = place.spawn(&[])?;
    let jobs = place.path(&format!("{OUTPUT}.jobs/jobs.json"));
    let created = async {
        while !std::fs::read_to_string(&jobs).is_ok_and(|text| text.contains("\"batch_")) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), created).await?;
    drop(child);
    // As another key, or 30 days later.
    let state = std::fs::read_to_string(&jobs)?.replace("\"batch_", "\"batch_x");
    std::fs::write(&jobs, state)?;
    let ended = place.submit(&[]).await?;
    assert_eq!(ended.code, Some(3), "{}", ended.said);
    assert!(
        ended
            .said
            .contains("Remove calls.output.jsonl.jobs to submit its calls anew"),
        "{}",
        ended.said
    );
    assert!(place.has_jobs());
    assert_eq!(place.mock.stats().batches.jobs_created, 1);
    std::fs::write(&jobs, "{")?;
    assert_eq!(
        place.submit(&[]).await?.code,
        Some(1),
        "a torn state is not taken for none"
    );
    Ok(())
}
