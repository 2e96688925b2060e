//! Killed at each step, the same command goes on: no call is lost, none is submitted twice.

use std::time::Duration;

use mock_qwen::{BatchFaults, Batches, Config};
use tokio::{process::Command, sync::oneshot, time::timeout};

use crate::{
    place::{Place, Trap, calls, quick},
    support::TestResult,
};

/// A step that hangs means that the program does not come to it.
const HANGS: Duration = Duration::from_secs(60);

async fn kill_at(method: &'static str, path: &'static str, takes_effect: bool) -> TestResult {
    let step = format!("{method} {path}, takes effect: {takes_effect}");
    let place = Place::new(quick(), &calls("qwen-plus", 0..20)).await?;
    let (caught, is_caught) = oneshot::channel();
    place.set(Trap {
        method,
        path,
        takes_effect,
        caught,
    });
    let args = ["--job-lines", "10"];
    let mut child = place.spawn(&args)?;
    timeout(HANGS, is_caught)
        .await
        .map_err(|_| step.clone())??;
    child.kill().await?;
    let state = std::fs::read_to_string(place.path("calls.output.jsonl.jobs/jobs.json"))?;
    assert!(
        !state.contains("secret") && !state.contains("What is"),
        "{state}"
    );
    let ended = place.submit(&args).await?;
    assert_eq!(ended.code, Some(0), "{step}: {}", ended.said);
    assert_eq!(place.answered()?.len(), 20, "{step}");
    let stats = place.mock.stats().batches;
    assert_eq!(
        (stats.jobs_created, stats.lines_completed),
        (2, 20),
        "{step}"
    );
    assert!(!place.has_jobs(), "{step}");
    assert_eq!(
        stats.files_deleted, 4,
        "{step}: nothing stays at the provider"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_an_upload() -> TestResult {
    for takes_effect in [false, true] {
        kill_at("POST", "/files", takes_effect).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_a_creation() -> TestResult {
    for takes_effect in [false, true] {
        kill_at("POST", "/batches", takes_effect).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_a_look_a_download_and_a_deletion() -> TestResult {
    kill_at("GET", "/batches/batch_", true).await?;
    kill_at("GET", "/content", true).await?;
    for takes_effect in [false, true] {
        kill_at("DELETE", "/files/", takes_effect).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_break_off_are_looked_for_and_not_sent_again() -> TestResult {
    let config = Config {
        batches: Batches {
            faults: BatchFaults {
                broken_uploads: 1,
                broken_creations: 1,
                ..BatchFaults::default()
            },
            ..quick().batches
        },
        ..quick()
    };
    let place = Place::new(config, &calls("qwen-plus", 0..5)).await?;
    let ended = place.submit(&[]).await?;
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert_eq!(place.answered()?.len(), 5);
    let stats = place.mock.stats().batches;
    assert_eq!(
        (stats.files_uploaded, stats.jobs_created),
        (1, 1),
        "{}",
        ended.said
    );
    Ok(())
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn interrupted_jobs_go_on_and_the_second_command_cancels_them() -> TestResult {
    let config = Config {
        batches: Batches {
            work: Duration::from_secs(2_000),
            ..Batches::default()
        },
        ..quick()
    };
    // A call a second.
    let place = Place::new(config, &calls("qwen-plus", 0..2_000)).await?;
    let child = place.spawn(&[])?;
    let answered = async {
        while place.mock.stats().batches.lines_completed < 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(HANGS, answered).await?;
    let id = child.id().ok_or("it has ended")?.to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &id])
            .status()
            .await?
            .success()
    );
    let output = child.wait_with_output().await?;
    let said = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(
        said.contains("Run the same command again to go on; add --cancel"),
        "{said}"
    );
    assert!(place.has_jobs());
    assert_eq!(place.mock.stats().batches.jobs_cancelled, 0);
    let live = place.batch(&["--input", "calls.jsonl"]).await?;
    assert_eq!(
        live.code,
        Some(2),
        "a live run would pay them twice: {}",
        live.said
    );

    let cancelled = place.submit(&["--cancel"]).await?;
    assert_eq!(cancelled.code, Some(1), "{}", cancelled.said);
    let stats = place.mock.stats().batches;
    assert_eq!((stats.jobs_created, stats.jobs_cancelled), (1, 1));
    let answered = place.answered()?.len() as u64;
    assert!(
        answered >= 1 && answered == stats.lines_completed,
        "{answered}"
    );
    assert!(!place.has_jobs());
    let nothing = place.submit(&["--cancel"]).await?;
    assert_eq!(nothing.code, Some(2), "{}", nothing.said);
    Ok(())
}
