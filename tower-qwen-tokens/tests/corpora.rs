//! Replays what the fuzz targets began with and what they found.
#![cfg(feature = "http")]

use std::{fs, path::Path};

#[path = "../fuzz/checks.rs"]
mod checks;

fn replay(target: &str, check: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut count = 0;
    for file in fs::read_dir(corpus).expect("a corpus") {
        let path = file.expect("a file").path();
        check(&fs::read(path).expect("bytes"));
        count += 1;
    }
    assert!(count > 0, "{target} has no corpus");
}

#[test]
fn call_read() {
    replay("call_read", checks::call_read);
}

#[test]
fn scan_json() {
    replay("scan_json", checks::scan_json);
}

#[test]
fn scan_sse() {
    replay("scan_sse", checks::scan_sse);
}

#[test]
fn usage_event() {
    replay("usage_event", checks::usage_event);
}

#[test]
fn hint() {
    replay("hint", checks::hint);
}
