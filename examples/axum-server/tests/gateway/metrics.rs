//! `/metrics` of the program itself, by the rules of Prometheus' own checker: `.ci/accept promtool` runs that.

use std::collections::BTreeMap;

use crate::{
    program::Program,
    raw::{ask, chat, get, stream},
    support::TestResult,
};

/// What ends the names of a histogram's lines.
const OF_HISTOGRAMS: [&str; 3] = ["_bucket", "_sum", "_count"];

#[tokio::test]
async fn every_metric_says_what_it_is_and_is_named_by_the_rules() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("gateway.toml");
    std::fs::write(
        &path,
        "version = 1\n[server]\nadmin_key = \"sk-admin\"\n[[callers]]\nname = \"acme\"\nkey = \"sk-1\"\n\
         requests_per_minute = 3\ncost_per_day = \"5 USD\"\n",
    )?;
    let program = Program::start(&[&format!("--config={}", path.display())])?;
    for (request, status) in [
        (chat("sk-1", "qwen-plus"), 200),
        (chat("sk-1", "qwen-turbo"), 200),
        (chat("sk-1", "no-such-model"), 403),
        (stream("sk-1", "qwen-plus"), 429),
    ] {
        assert_eq!(ask(&program, &request).await?.status, status, "{request}");
    }
    let text = get(&program, "/metrics", "sk-admin").await?.body;
    let said = |word: &str| -> BTreeMap<&str, &str> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(word));
        lines.filter_map(|line| line.split_once(' ')).collect()
    };
    let (helps, kinds) = (said("# HELP "), said("# TYPE "));
    let samples: Vec<&str> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    assert!(samples.len() > 100, "{text}");
    for sample in &samples {
        let of = OF_HISTOGRAMS
            .iter()
            .filter_map(|end| sample.strip_suffix(end));
        let name = of
            .into_iter()
            .find(|name| kinds.get(name) == Some(&"histogram"));
        let name = name.unwrap_or(sample);
        let kind = kinds
            .get(name)
            .ok_or_else(|| format!("{name} has no type"))?;
        assert!(
            helps.get(name).is_some_and(|help| !help.is_empty()),
            "{name} has no help"
        );
        assert_eq!(name.ends_with("_total"), *kind == "counter", "{name}");
        for unit in ["_ms", "_millis", "_milliseconds", "_minutes", "_percent"] {
            assert!(!name.contains(unit), "{name} is in no base unit");
        }
    }
    for expected in [
        "axum_server_call_wait_seconds_bucket",
        "axum_server_tokens_total",
        "axum_server_callers_total",
        "axum_server_ledger_lost_total",
        "axum_server_caller_quota",
        "tower_qwen_budget_limit",
        "tower_qwen_ratelimit_wait_seconds_sum",
        "gen_ai_client_operation_duration_seconds_count",
    ] {
        assert!(samples.contains(&expected), "{expected} in {text}");
    }
    Ok(())
}
