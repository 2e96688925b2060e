//! The stack as a middleware of reqwest-middleware: nothing else of the program changes.
//!
//! ```text
//! cargo run --release -p reqwest-middleware-client
//! DASHSCOPE_API_KEY=sk-... cargo run --release -p reqwest-middleware-client --features reqwest/rustls
//! ```
//!
//! Without a key and without `DASHSCOPE_BASE_URL` it calls a mock of the provider in this process, which needs no TLS.

use std::{error::Error, time::Duration};

use eventsource_stream::Eventsource;
use futures_util::TryStreamExt;
use mock_qwen::Provider;
use reqwest_middleware::{ClientBuilder, RequestBuilder};
use serde_json::{Value, json};
use tower::ServiceBuilder;
use tower_qwen_ratelimit::{AdmissionLayer, Limiter, Quota, RejectKind, Rejected};
use tower_qwen_retry::{RetryLayer, RetryPolicy};
use tower_qwen_tokens::{
    CallReport, Deadline, Ledger, MeterLayer, PriceBook,
    adapter::reqwest_middleware_0_5::TowerMiddleware, ledger::Tenant,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Result<()> {
    let ledger = run(&Provider::of_environment().await?).await?;
    for (tenant, totals) in ledger.snapshot().tenants {
        let (calls, input, output) = (totals.calls, totals.input_tokens, totals.output_tokens);
        println!(
            "\n{tenant}: {calls} calls, {input} tokens in, {output} out, {:?}",
            totals.cost
        );
    }
    Ok(())
}

async fn run(provider: &Provider) -> Result<Ledger> {
    let ledger = Ledger::new(PriceBook::builtin());
    let limiter = Limiter::new(Quota::per_minute(600, 60_000)); // requests, tokens
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::default()))
        .layer(AdmissionLayer::new(limiter))
        .layer(MeterLayer::new(ledger.clone()))
        .into_inner();
    // reqwest's own retries would bypass Admission.
    let client = reqwest::Client::builder()
        .retry(reqwest::retry::never())
        .build()?;
    let client = ClientBuilder::new(client)
        .with(TowerMiddleware::new(stack))
        .build();
    let chat = |body: Value| -> RequestBuilder {
        client
            .post(provider.chat_url())
            .bearer_auth(provider.key())
            .json(&body)
    };

    // A whole answer. The middlewares' extensions reach the layers, and theirs come back with the answer.
    let request = chat(question("Why is the sea salty?"))
        .with_extension(Tenant::new("oceanography"))
        .with_extension(Deadline::after(Duration::from_secs(120)));
    let answer = request.send().await?;
    let attempts = answer
        .extensions()
        .get::<CallReport>()
        .map(CallReport::sends);
    println!(
        "{} of {} attempts",
        answer.url(),
        attempts.unwrap_or_default()
    );
    let body: Value = answer.error_for_status()?.json().await?;
    println!("{}", body["choices"][0]["message"]["content"]);

    // A stream. Its usage is asked for, and the extra event taken out again.
    let mut request = question("And lakes?");
    request["stream"] = true.into();
    let request = chat(request).with_extension(Tenant::new("limnology"));
    let mut events = request.send().await?.bytes_stream().eventsource();
    while let Some(event) = events.try_next().await? {
        if let Ok(event) = serde_json::from_str::<Value>(&event.data) {
            print!(
                "{}",
                event["choices"][0]["delta"]["content"]
                    .as_str()
                    .unwrap_or_default()
            );
        }
    }
    println!();

    // What no wait for quota can help is refused before anything is sent: an error of a layer, found by its type.
    let request = chat(question(&"river ".repeat(100_000)));
    if let Err(error) = request.send().await {
        let mut chain = std::iter::successors(Some(&error as &dyn Error), |&error| error.source());
        match chain.find_map(|error| error.downcast_ref::<Rejected>()) {
            Some(rejected) if rejected.kind() == RejectKind::TooLarge => {
                println!("not sent: {rejected}")
            }
            _ => return Err(error.into()),
        }
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
    async fn it_runs_and_counts_what_the_provider_counts() -> Result<()> {
        let provider = Provider::mock(Config::default()).await?;
        let snapshot = run(&provider).await?.snapshot();
        let stats = provider.stats().ok_or("no mock")?;
        assert_eq!((stats.seen, stats.completed), (2, 2));
        let total = snapshot.total;
        assert_eq!((total.calls, total.failed, total.estimated), (2, 0, 0));
        assert_eq!(total.input_tokens, stats.tokens.prompt);
        assert_eq!(total.output_tokens, stats.tokens.output);
        assert!(snapshot.tenants.keys().eq(["limnology", "oceanography"]));
        Ok(())
    }
}
