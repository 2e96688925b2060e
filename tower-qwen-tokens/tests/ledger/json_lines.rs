//! The append-only file.

use std::{fs, io, path::Path, sync::Arc, thread};

use serde_json::Value;
use tower_qwen_tokens::{Ledger, ledger::JsonLines};

use crate::entry;

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("readable");
    assert!(
        text.is_empty() || text.ends_with('\n'),
        "every line is ended"
    );
    let line = |line: &str| serde_json::from_str(line).expect("every line is JSON");
    text.lines().map(line).collect()
}

fn record(path: &Path, inputs: impl IntoIterator<Item = u64>) -> io::Result<u64> {
    let sink = Arc::new(JsonLines::open(path)?);
    let ledger = Ledger::default().with_sink(sink.clone());
    for input in inputs {
        ledger.record(&entry("qwen2", input, 0).tenant("é\n\"acme\""));
    }
    assert_eq!(sink.lost(), 0);
    Ok(sink.repaired())
}

#[test]
fn attempts_are_appended() -> io::Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("ledger.jsonl");
    assert_eq!(record(&path, [1, 2])?, 0);
    assert_eq!(record(&path, [3])?, 0);
    let lines = lines(&path);
    let inputs: Vec<_> = lines.iter().map(|line| &line["input_tokens"]).collect();
    assert_eq!(inputs, [1, 2, 3]);
    assert_eq!(lines[0]["tenant"], "é\n\"acme\"");
    assert_eq!(lines[0]["cost"]["amount"], "0.0000002");
    Ok(())
}

#[test]
fn a_line_torn_at_any_byte_is_repaired() -> io::Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("ledger.jsonl");
    record(&path, [1, 2, 3])?;
    let whole = fs::read(&path)?;
    let ends: Vec<usize> = (0..whole.len())
        .filter(|&at| whole[at] == b'\n')
        .map(|at| at + 1)
        .collect();
    for cut in 0..=whole.len() {
        fs::write(&path, &whole[..cut])?;
        let repaired = record(&path, [7])?;
        let before = ends.iter().filter(|&&end| end <= cut).count();
        // Cut just before its end the line is whole all the same.
        let is_whole = ends.iter().any(|&end| end == cut + 1);
        let kept = before + usize::from(is_whole);
        let lines = lines(&path);
        assert_eq!(lines.len(), kept + 1, "cut at {cut}");
        assert_eq!(lines[kept]["input_tokens"], 7, "cut at {cut}");
        let start = ends[..before].last().copied().unwrap_or(0);
        let torn = if is_whole { 0 } else { cut - start };
        assert_eq!(repaired, torn as u64, "cut at {cut}");
    }
    Ok(())
}

#[test]
fn zeros_after_a_power_cut_are_repaired() -> io::Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("ledger.jsonl");
    record(&path, [1])?;
    let mut torn = fs::read(&path)?;
    torn.extend_from_slice(b"{\"at\":\"2026\0\0\0\0");
    fs::write(&path, &torn)?;
    assert_eq!(record(&path, [2])?, 15);
    assert_eq!(lines(&path).len(), 2);
    Ok(())
}

#[test]
fn a_file_of_something_else_is_left_alone() -> io::Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("notes.txt");
    fs::write(&path, "dear diary")?;
    let refused = JsonLines::open(&path).expect_err("not a ledger");
    assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    assert_eq!(fs::read_to_string(&path)?, "dear diary");
    let missing = directory.path().join("nowhere").join("ledger.jsonl");
    let refused = JsonLines::open(missing).expect_err("no such directory");
    assert_eq!(refused.kind(), io::ErrorKind::NotFound);
    Ok(())
}

#[test]
fn one_writer_at_a_time() -> io::Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("ledger.jsonl");
    let first = JsonLines::open(&path)?;
    let refused = JsonLines::open(&path).expect_err("locked");
    assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
    drop(first);
    assert!(JsonLines::open(&path).is_ok());
    Ok(())
}

#[test]
fn threads_write_whole_lines() -> io::Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("ledger.jsonl");
    let sink = Arc::new(JsonLines::open(&path)?.synced());
    let ledger = Ledger::default().with_sink(sink.clone());
    thread::scope(|scope| {
        for thread in 0..4_u64 {
            let ledger = ledger.clone();
            scope.spawn(move || {
                for call in 0..25 {
                    ledger.record(&entry("qwen2", thread * 25 + call, 0));
                }
            });
        }
    });
    let mut inputs: Vec<_> = lines(&path)
        .iter()
        .map(|line| line["input_tokens"].as_u64())
        .collect();
    inputs.sort_unstable();
    assert_eq!(inputs, (0..100).map(Some).collect::<Vec<_>>());
    assert_eq!(sink.lost(), 0);
    Ok(())
}

#[test]
#[cfg(target_os = "linux")]
fn what_cannot_be_written_waits_and_goes_to_the_next_file() -> io::Result<()> {
    let sink = Arc::new(JsonLines::open("/dev/full")?);
    let ledger = Ledger::default().with_sink(sink.clone());
    ledger.record(&entry("qwen2", 1, 0));
    ledger.record(&entry("qwen2", 2, 0));
    assert_eq!((sink.unwritten(), sink.lost()), (2, 0));
    assert!(sink.sync().is_err());
    assert_eq!(ledger.snapshot().total.calls, 2);

    let directory = tempfile::tempdir()?;
    let path = directory.path().join("calls.jsonl");
    sink.reopen(&path)?;
    ledger.record(&entry("qwen2", 3, 0));
    assert_eq!((sink.unwritten(), sink.lost()), (0, 0));
    let inputs: Vec<_> = lines(&path)
        .iter()
        .map(|line| line["input_tokens"].as_u64())
        .collect();
    assert_eq!(inputs, [Some(1), Some(2), Some(3)]);
    assert!(sink.reopen(&path).is_err(), "its own lock counts too");
    Ok(())
}
