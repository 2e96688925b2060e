//! The stack over hyper's own client, which needs no adapter.
//!
//! ```text
//! cargo run --release -p hyper-client
//! DASHSCOPE_API_KEY=sk-... cargo run --release -p hyper-client
//! ```
//!
//! Without a key and without `DASHSCOPE_BASE_URL` it calls a mock of the provider in this process.

use std::io;

use bytes::Bytes;
use futures_util::TryStreamExt;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use mock_qwen::Provider;
use serde_json::{Value, json};
use tokio::io::AsyncBufReadExt;
use tokio_util::io::StreamReader;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_qwen_ratelimit::{AdmissionLayer, BoxError, Limiter, Quota, Rejected};
use tower_qwen_retry::{RetryLayer, RetryPolicy};
use tower_qwen_tokens::{CallReport, Ledger, MeterLayer, PriceBook, Verdict};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let ledger = run(&Provider::of_environment().await?).await?;
    for (model, totals) in ledger.snapshot().models {
        let (calls, input, output) = (totals.calls, totals.input_tokens, totals.output_tokens);
        println!(
            "\n{model}: {calls} calls, {input} tokens in, {output} out, {:?}",
            totals.cost
        );
    }
    Ok(())
}

async fn run(provider: &Provider) -> Result<Ledger, BoxError> {
    let connector = HttpsConnectorBuilder::new()
        .with_webpki_roots()
        .https_or_http()
        .enable_http1()
        .build();
    let hyper_client = Client::builder(TokioExecutor::new()).build::<_, Full<Bytes>>(connector);

    let ledger = Ledger::new(PriceBook::builtin());
    let limiter = Limiter::new(Quota::per_minute(600, 60_000)); // requests, tokens
    let mut client = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::default()))
        .layer(AdmissionLayer::new(limiter))
        .layer(MeterLayer::new(ledger.clone()))
        .service(hyper_client);
    let chat = |body: Value| {
        Request::post(provider.chat_url())
            .header("authorization", format!("Bearer {}", provider.key()))
            .header("content-type", "application/json")
            .body(Full::from(body.to_string()))
    };

    // A whole answer.
    let answer = client
        .ready()
        .await?
        .call(chat(question("Why is the sea salty?"))?)
        .await?;
    let attempts = answer
        .extensions()
        .get::<CallReport>()
        .map(CallReport::sends);
    let body: Value = serde_json::from_slice(&answer.into_body().collect().await?.to_bytes())?;
    println!(
        "{} ({attempts:?} attempts)",
        body["choices"][0]["message"]["content"]
    );

    // A stream. Its usage is asked for, and the extra event taken out again.
    let mut request = question("And lakes?");
    request["stream"] = true.into();
    let answer = client.ready().await?.call(chat(request)?).await?;
    let bytes = answer
        .into_body()
        .into_data_stream()
        .map_err(io::Error::other);
    let mut lines = StreamReader::new(bytes).lines();
    while let Some(line) = lines.next_line().await? {
        let Some(event) = line
            .strip_prefix("data:")
            .filter(|data| data.trim() != "[DONE]")
        else {
            continue;
        };
        let event: Value = serde_json::from_str(event)?;
        print!(
            "{}",
            event["choices"][0]["delta"]["content"]
                .as_str()
                .unwrap_or_default()
        );
    }
    println!();

    // What the provider refuses is an answer, with the reason in its extensions.
    let answer = client
        .ready()
        .await?
        .call(chat(json!({"model": "qwen-plus", "messages": "none"}))?)
        .await?;
    if let Some(verdict) = answer.extensions().get::<Verdict>() {
        println!("{}: {}", answer.status(), verdict.cause().as_str());
    }

    // What no wait for quota can help is refused before anything is sent.
    let error = client
        .ready()
        .await?
        .call(chat(question(&"river ".repeat(100_000)))?)
        .await
        .err();
    if let Some(rejected) = error
        .as_ref()
        .and_then(|error| error.downcast_ref::<Rejected>())
    {
        println!("not sent: {rejected}");
    }
    Ok(ledger)
}

fn question(text: &str) -> Value {
    json!({"model": "qwen-plus", "max_tokens": 200, "messages": [{"role": "user", "content": text}]})
}

#[cfg(test)]
mod tests {
    use mock_qwen::Config;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_runs_and_counts_what_the_provider_counts() -> Result<(), BoxError> {
        let provider = Provider::mock(Config::default()).await?;
        let total = run(&provider).await?.snapshot().total;
        let stats = provider.stats().ok_or("no mock")?;
        // Two were served and one refused; the fourth was never sent.
        assert_eq!((stats.seen, stats.completed), (3, 2));
        assert_eq!((total.calls, total.failed, total.estimated), (3, 1, 0));
        assert_eq!(total.input_tokens, stats.tokens.prompt);
        assert_eq!(total.output_tokens, stats.tokens.output);
        assert_eq!(total.cost.len(), 1);
        Ok(())
    }
}
