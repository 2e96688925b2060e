//! A pipe that says nothing does not hold up who wants to stop.

use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
};

use crate::{
    program::Place,
    support::{TestResult, chat, lines},
};

async fn interrupt(child: &Child) -> TestResult {
    let id = child.id().ok_or("it has ended")?.to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &id])
            .status()
            .await?
            .success()
    );
    Ok(())
}

/// Waits until the program has its signal handler, which it has before it reads.
async fn wait_for_handler(child: &Child) -> TestResult {
    let path = format!("/proc/{}/status", child.id().ok_or("it has ended")?);
    loop {
        let status = std::fs::read_to_string(&path)?;
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = u64::from_str_radix(caught.ok_or("no signals")?.trim(), 16)?;
        // The second bit is that of the interrupt.
        if caught & 2 != 0 {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn before_the_first_line_and_in_a_forecast() -> TestResult {
    for args in [
        &["--input", "-", "--output", "out.jsonl"][..],
        &["--input", "-", "--dry-run"],
    ] {
        let place = Place::new().await?;
        let mut child = place.command(args).spawn()?;
        let pipe = child.stdin.take();
        wait_for_handler(&child).await?;
        interrupt(&child).await?;
        assert_eq!(child.wait().await?.code(), Some(130), "{args:?}");
        assert!(place.files()?.is_empty());
        drop(pipe);
    }
    Ok(())
}

#[tokio::test]
async fn after_a_line_which_is_answered() -> TestResult {
    let place = Place::new().await?;
    let mut child = place
        .command(&["--input", "-", "--output", "out.jsonl"])
        .spawn()?;
    let mut pipe = child.stdin.take().ok_or("no pipe")?;
    pipe.write_all(chat("a", "One?").as_bytes()).await?;
    let output = place.path("out.jsonl");
    while std::fs::metadata(&output).map_or(0, |file| file.len()) == 0 {
        tokio::task::yield_now().await;
    }
    interrupt(&child).await?;
    assert_eq!(child.wait().await?.code(), Some(130));
    assert_eq!(lines(&output)?.len(), 1);
    drop(pipe);
    Ok(())
}
