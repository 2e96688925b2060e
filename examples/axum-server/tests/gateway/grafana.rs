//! The dashboard in `docs`: what it asks Prometheus for is what `/metrics` gives.

use std::collections::BTreeSet;

use axum::body::Body;
use http::{Request, StatusCode};
use mock_qwen::Config;
use serde_json::Value;

use crate::{
    config::write,
    support::{CHAT, Harness, TestResult, call, call_of},
};

const DASHBOARD: &str = include_str!("../../../../docs/grafana.json");

/// What metrics of ours begin with.
const OURS: [&str; 3] = ["axum_server_", "tower_qwen_", "gen_ai_"];

/// All queries of a dashboard, wherever they stand.
fn queries(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(query) if name == "expr" => found.push(query.clone()),
                    value => queries(value, found),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| queries(value, found)),
        _ => {}
    }
}

/// The metrics and the labels that a query names. Labels stand in braces, and in the parentheses behind `by`.
fn names(query: &str) -> (BTreeSet<&str>, BTreeSet<&str>) {
    let (mut metrics, mut labels) = (BTreeSet::new(), BTreeSet::new());
    let (mut in_labels, mut is_text) = (false, false);
    let mut before = "";
    let words = query.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    for part in words {
        let word = part.trim_end_matches(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        match (in_labels, is_text) {
            (_, true) => {}
            (true, false) if !word.is_empty() => drop(labels.insert(word)),
            (false, false) if OURS.iter().any(|ours| word.starts_with(ours)) => {
                metrics.insert(word);
            }
            _ => {}
        }
        if !word.is_empty() {
            before = word;
        }
        match part.chars().last() {
            Some('"') => is_text = !is_text,
            Some('{') if !is_text => in_labels = true,
            Some('(') if !is_text && before == "by" => in_labels = true,
            Some('}' | ')') if !is_text => in_labels = false,
            _ => {}
        }
    }
    (metrics, labels)
}

#[test]
fn a_query_is_read() {
    let (metrics, labels) = names(
        "sum by (le, gen_ai_request_model) (rate(gen_ai_x_bucket{tenant=~\"axum_server_no\"}[5m])) / axum_server_calls",
    );
    let expected = ["axum_server_calls", "gen_ai_x_bucket"];
    assert_eq!(metrics, BTreeSet::from(expected));
    let expected = ["gen_ai_request_model", "le", "tenant"];
    assert_eq!(labels, BTreeSet::from(expected));
}

#[tokio::test(start_paused = true)]
async fn each_metric_and_label_of_the_dashboard_is_one_that_the_gateway_gives() -> TestResult {
    let folder = tempfile::tempdir()?;
    let file = write(
        &folder,
        "[[callers]]\nname = \"short\"\nkey = \"sk-short\"\nrequests_per_minute = 1\ncost_per_day = \"5 USD\"\n",
    )?;
    // An upstream that throttles what its quota, which the gateway is not told, does not hold.
    let upstream = Config {
        rpm: 1,
        ..Config::default()
    };
    let flags = [&file, "--max-wait=300", "--key=acme=sk-secret-acme"];
    let harness = Harness::new(upstream, &flags)?;
    for (request, expected) in [
        (call_of("sk-short", CHAT, "Hi", true), StatusCode::OK),
        (
            call_of("sk-short", CHAT, "Hi", true),
            StatusCode::TOO_MANY_REQUESTS,
        ),
        // Throttled until the retries are over.
        (call(CHAT, "Hi", true), StatusCode::TOO_MANY_REQUESTS),
    ] {
        assert_eq!(harness.text(request).await?.0, expected);
    }
    let request = Request::get("/metrics").body(Body::empty())?;
    let (_, text) = harness.text(request).await?;
    let lines = || text.lines().filter(|line| !line.starts_with('#'));
    let known: BTreeSet<&str> = lines()
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let known_labels: BTreeSet<&str> = lines()
        .filter_map(|line| line.split_once('{')?.1.rsplit_once('}'))
        .flat_map(|(labels, _)| labels.split("\","))
        .filter_map(|label| Some(label.split_once('=')?.0))
        .collect();

    let mut found = Vec::new();
    queries(&serde_json::from_str(DASHBOARD)?, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for query in &found {
        let (metrics, labels) = names(query);
        assert!(!metrics.is_empty(), "{query}");
        for metric in metrics {
            assert!(
                known.contains(metric),
                "{metric} of {query} is not in {text}"
            );
        }
        for label in labels {
            // Only accounts that have a name carry it.
            let is_known = known_labels.contains(label) || label == "tower_qwen_account";
            assert!(is_known, "{label} of {query} is not in {text}");
        }
    }
    Ok(())
}
