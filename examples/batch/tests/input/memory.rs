//! The input is never held as a whole.

use std::fs;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::{
    program::Place,
    support::{TestResult, chat},
};

/// Unit: bytes.
const BOUND: u64 = 60 << 20;

/// More than the bound in all, with as many ids as the bytes allow.
#[tokio::test]
async fn memory_stays_flat_whatever_the_length_of_the_input() -> TestResult {
    let place = Place::new().await?;
    let mut child = place.command(&["--input", "-", "--dry-run"]).spawn()?;
    let mut pipe = child.stdin.take().ok_or("no pipe")?;
    let text = "word ".repeat(800);
    let mut sent = 0;
    let mut number = 0;
    while sent < BOUND + (BOUND / 4) {
        let line = chat(&format!("call-{number}"), &text);
        pipe.write_all(line.as_bytes()).await?;
        sent += line.len() as u64;
        number += 1;
    }
    // All but the last few lines have been read, and the program waits for more.
    let status = fs::read_to_string(format!(
        "/proc/{}/status",
        child.id().ok_or("it has ended")?
    ))?;
    let peak = status
        .lines()
        .find_map(|line| {
            line.strip_prefix("VmHWM:")?
                .trim()
                .strip_suffix(" kB")?
                .trim()
                .parse::<u64>()
                .ok()
        })
        .ok_or("no peak")?
        * 1024;
    assert!(peak < BOUND, "{peak} bytes for {sent} bytes of input");
    drop(pipe);
    let mut printed = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
    let mut last = String::new();
    while let Some(line) = printed.next_line().await? {
        last = line;
    }
    let figures: serde_json::Value = serde_json::from_str(&last)?;
    assert_eq!(figures["calls"], number);
    Ok(())
}
