//! A few calls at two servers of one machine, without a store: the program as a whole, by counts alone.

use std::process::Command;

use serde_json::Value;

#[test]
fn the_ledgers_hold_what_the_provider_counts() {
    let output = Command::new(env!("CARGO_BIN_EXE_shared-quota"))
        .args([
            "servers",
            "--memory",
            "--wide",
            "--servers=2",
            "--tenants=20",
        ])
        .args(["--calls=200", "--rate=0", "--concurrency=8"])
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    let last = text.lines().last().expect("a line");
    let figures: Value = serde_json::from_str(last).expect("JSON");
    assert_eq!(figures["admitted"], 200, "{figures}");
    assert_eq!(figures["ledgers"]["calls"], 200, "{figures}");
    assert_eq!(figures["ledgers"], figures["provider"], "{figures}");
    assert_eq!(figures["lost_lines"], 0, "{figures}");
    assert_eq!(figures["round_trips"], 0, "{figures}");
}
