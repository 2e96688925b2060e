//! Who gets which calls.

use std::collections::BTreeMap;

use crate::{
    provider::{Provider, batch, everything, folder, said, summary},
    support::{TestResult, lines},
};

#[tokio::test(flavor = "multi_thread")]
async fn two_accounts_share_the_calls_by_their_quotas() -> TestResult {
    let (small, large) = (
        Provider::granting(1_200).await?,
        Provider::granting(3_600).await?,
    );
    let tokens = "tokens_per_minute = 100000000";
    let limits = |requests: u64| format!("requests_per_minute = {requests}\n{tokens}");
    let folder = folder(
        800,
        &[
            ("small", "sk-small-secret", &small.base, &limits(1_200)),
            ("large", "sk-large-secret", &large.base, &limits(3_600)),
        ],
    )?;
    let run = batch(folder.path(), &["--accounts", "accounts.toml"], &[]).await?;
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    let output = lines(&folder.path().join("calls.output.jsonl"))?;
    assert_eq!(output.len(), 800);
    let mut by_provider = BTreeMap::<&str, u64>::new();
    for line in output.values() {
        let provider = line["provider"].as_str().ok_or("a provider")?;
        *by_provider.entry(provider).or_default() += 1;
    }
    let of_small = by_provider[small.origin()];
    assert_eq!(of_small + by_provider[large.origin()], 800);
    // A quarter of both quotas together.
    assert!((160..=240).contains(&of_small), "{by_provider:?}");
    for provider in [&small, &large] {
        let throttled = provider.stats().throttled.total();
        assert!(throttled <= 4, "{throttled} throttles");
    }
    // No key at the other address, and none where people read.
    assert_eq!(small.keys(), ["Bearer sk-small-secret"]);
    assert_eq!(large.keys(), ["Bearer sk-large-secret"]);
    assert!(!everything(folder.path(), &run)?.contains("secret"));
    let summary = summary(folder.path())?;
    let accounts = summary["accounts"].as_array().ok_or("accounts")?;
    assert_eq!(accounts[0]["name"], "small");
    assert_eq!(accounts[0]["provider"], small.origin());
    let attempts = |at: usize| accounts[at]["attempts"].as_u64().unwrap_or_default();
    assert_eq!(attempts(0), small.calls());
    assert_eq!(attempts(0) + attempts(1), summary["attempts"]);
    let table = String::from_utf8_lossy(&run.stdout);
    assert!(table.contains("| account small"), "{table}");
    // In the lines of progress too.
    assert!(said(&run).contains(" (small "), "{}", said(&run));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_account_does_not_stop_the_others() -> TestResult {
    // It is said to have fifty times what it grants.
    let (tight, wide) = (
        Provider::granting(12).await?,
        Provider::granting(6_000).await?,
    );
    let limits =
        |requests: u64| format!("requests_per_minute = {requests}\ntokens_per_minute = 100000000");
    let folder = folder(
        400,
        &[
            ("tight", "sk-1", &tight.base, &limits(600)),
            ("wide", "sk-2", &wide.base, &limits(6_000)),
        ],
    )?;
    let began = tokio::time::Instant::now();
    let run = batch(folder.path(), &["--accounts", "accounts.toml"], &[]).await?;
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    assert_eq!(lines(&folder.path().join("calls.output.jsonl"))?.len(), 400);
    // Alone the first would take half an hour.
    let took = began.elapsed();
    assert!(took.as_secs() < 120, "{took:?}");
    assert!(tight.stats().throttled.total() > 0);
    let summary = summary(folder.path())?;
    assert!(
        summary["accounts"][0]["throttles"].as_u64() > Some(0),
        "{summary}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_the_environment_are_accounts_too_and_each_has_its_list() -> TestResult {
    let provider = Provider::granting(600).await?;
    let folder = folder(40, &[])?;
    let args = ["--api-key-env", "KEY_A", "--api-key-env", "KEY_B"];
    let args = [&args[..], &["--base-url", &provider.base]].concat();
    let keys = [("KEY_A", "sk-a-secret"), ("KEY_B", "sk-b-secret")];
    let run = batch(folder.path(), &args, &keys).await?;
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    assert_eq!(
        provider.keys(),
        ["Bearer sk-a-secret", "Bearer sk-b-secret"]
    );
    assert!(!everything(folder.path(), &run)?.contains("secret"));
    let summary = summary(folder.path())?;
    let names: Vec<_> = summary["quotas"]
        .as_array()
        .ok_or("quotas")?
        .iter()
        .collect();
    assert_eq!(
        (&names[0]["account"], &names[0]["origin"]),
        (&"KEY_A".into(), &"account".into())
    );
    assert_eq!(names[1]["account"], "KEY_B");
    // Both have done their part.
    for account in summary["accounts"].as_array().ok_or("accounts")? {
        assert!(account["attempts"].as_u64() >= Some(5), "{summary}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_goes_to_the_accounts_that_are_for_it() -> TestResult {
    let (plus, max) = (
        Provider::granting(60_000).await?,
        Provider::granting(60_000).await?,
    );
    let folder = folder(
        20,
        &[
            ("max", "sk-1", &max.base, "models = [\"qwen-max\"]"),
            ("plus", "sk-2", &plus.base, "models = [\"qwen-plus\"]"),
        ],
    )?;
    let run = batch(folder.path(), &["--accounts", "accounts.toml"], &[]).await?;
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    assert_eq!((plus.calls(), max.calls()), (20, 0));
    let other = ["--accounts", "accounts.toml", "--model", "qwen-flash"];
    let run = batch(
        folder.path(),
        &[&other[..], &["--output", "o.jsonl"]].concat(),
        &[],
    )
    .await?;
    assert_eq!(run.status.code(), Some(3), "{}", said(&run));
    assert!(said(&run).contains("no account names it in its `models`"));
    assert_eq!((plus.calls(), max.calls()), (20, 0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forecast_says_what_each_account_would_have() -> TestResult {
    let provider = Provider::granting(60_000).await?;
    let intl = "https://dashscope-intl.aliyuncs.com/compatible-mode/v1";
    let beijing = "https://dashscope.aliyuncs.com/compatible-mode/v1";
    let folder = folder(
        400,
        &[
            ("intl", "sk-1", intl, "requests_per_minute = 100"),
            ("beijing", "sk-2", beijing, "requests_per_minute = 300"),
        ],
    )?;
    let args = ["--accounts", "accounts.toml", "--dry-run"];
    let run = batch(folder.path(), &args, &[]).await?;
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    let forecast = summary(folder.path())?;
    let calls = |at: usize| forecast["accounts"][at]["calls"].as_u64();
    assert_eq!((calls(0), calls(1)), (Some(100), Some(300)), "{forecast}");
    assert_eq!(forecast["total"]["calls"], 400);
    // Each by the prices of its region.
    let cost = |at: usize| forecast["accounts"][at]["cost"][0].to_string();
    assert!(
        cost(0).contains("USD") && cost(1).contains("CNY"),
        "{forecast}"
    );
    let minute = forecast["duration_seconds"].as_f64().ok_or("a duration")?;
    assert!((minute - 60.0).abs() < 0.01, "{forecast}");
    assert_eq!(provider.calls(), 0);
    // Two currencies, one cap.
    let capped = [&args[..], &["--max-cost", "20USD"]].concat();
    let run = batch(folder.path(), &capped, &[]).await?;
    assert_eq!(run.status.code(), Some(2));
    assert!(said(&run).contains("--rate CNY=..USD"), "{}", said(&run));
    let with_rate = [&capped[..], &["--rate", "CNY=0.14USD"]].concat();
    let run = batch(folder.path(), &with_rate, &[]).await?;
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    Ok(())
}
