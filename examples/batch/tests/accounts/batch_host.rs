//! `--batch-host`: half the price.

use crate::{
    provider::{Provider, batch, folder, said, summary},
    support::{TestResult, line, lines},
};

/// What a run costs, and in which currency.
fn cost(summary: &serde_json::Value) -> TestResult<(f64, String)> {
    let cost = &summary["cost"][0];
    let amount = cost["amount"].as_str().ok_or("an amount")?;
    let currency = cost["currency"].as_str().ok_or("a currency")?;
    Ok((amount.parse()?, currency.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_for_it_has_half_the_price_of_beijing() -> TestResult {
    let provider = Provider::granting(60_000).await?;
    let folder = folder(20, &[])?;
    let key = [("DASHSCOPE_API_KEY", "sk-secret")];
    let args = ["--base-url", provider.base.as_str(), "--batch-host"];
    let run = batch(folder.path(), &args, &key).await?;
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    let summary = summary(folder.path())?;
    let (paid, currency) = cost(&summary)?;
    let tokens = |name: &str| summary["tokens"][name].as_f64().unwrap_or_default();
    // qwen-plus in Beijing: 0.8 and 2 CNY a million.
    let whole = (tokens("prompt") * 0.8 + tokens("output") * 2.0) / 1e6;
    assert_eq!(currency, "CNY");
    assert!((paid - whole / 2.0).abs() < 1e-9, "{paid} of {whole}");
    assert_eq!(provider.keys(), ["Bearer sk-secret"]);
    let output = lines(&folder.path().join("calls.output.jsonl"))?;
    assert_eq!(output["c0"]["provider"], provider.origin());
    let told = said(&run);
    assert!(
        told.contains("Quota: none, since calls wait in a queue"),
        "{told}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_built_in_provider_and_a_forecast_have_its_price_too() -> TestResult {
    let folder = folder(20, &[])?;
    let mut costs = Vec::new();
    for args in [&["--mock"][..], &["--mock", "--batch-host"]] {
        let output = format!("o{}.jsonl", costs.len());
        let args = [args, &["--output", &output]].concat();
        let run = batch(folder.path(), &args, &[]).await?;
        assert_eq!(run.status.code(), Some(0), "{}", said(&run));
        let output = lines(&folder.path().join(output))?;
        assert_eq!(output["c0"]["provider"], "mock-qwen");
        costs.push(cost(&summary(folder.path())?)?.1);
    }
    assert_eq!(costs, ["USD", "CNY"]);
    let run = batch(folder.path(), &["--batch-host", "--dry-run"], &[]).await?;
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    let forecast = summary(folder.path())?;
    let need = &forecast["total"];
    let tokens = |name: &str| need[name].as_f64().unwrap_or_default();
    let half = (tokens("prompt_tokens") * 0.8 + tokens("output_tokens") * 2.0) / 2e6;
    assert!((cost(need)?.0 - half).abs() < 1e-9, "{forecast}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_go_there_is_told() -> TestResult {
    let provider = Provider::granting(60_000).await?;
    let folder = folder(2, &[])?;
    let intl = "https://dashscope-intl.aliyuncs.com/compatible-mode/v1";
    for (key, base, expected) in [
        ("sk-1", intl, "--batch-host is for keys of Beijing"),
        (
            "sk-sp-1",
            provider.base.as_str(),
            "the key is one of a plan",
        ),
    ] {
        let args = ["--batch-host", "--base-url", base];
        let run = batch(folder.path(), &args, &[("DASHSCOPE_API_KEY", key)]).await?;
        assert_eq!(run.status.code(), Some(2), "{}", said(&run));
        assert!(said(&run).contains(expected), "{}", said(&run));
    }
    let calls = folder.path().join("calls.jsonl");
    let embedding = serde_json::json!({"model": "text-embedding-v4", "input": "words"});
    let mut text = std::fs::read_to_string(&calls)?;
    text += &line("e", "/v1/embeddings", &embedding);
    std::fs::write(&calls, text.replace("qwen-plus", "qwen-max"))?;
    let args = ["--batch-host", "--base-url", provider.base.as_str()];
    let run = batch(folder.path(), &args, &[]).await?;
    assert_eq!(run.status.code(), Some(1), "{}", said(&run));
    let output = lines(&folder.path().join("calls.output.jsonl"))?;
    let message = output["e"]["error"]["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("the batch host has chat completions alone"),
        "{message}"
    );
    assert!(
        said(&run).contains("qwen-max was not among the models"),
        "{}",
        said(&run)
    );
    assert_eq!(provider.calls(), 2);
    Ok(())
}
