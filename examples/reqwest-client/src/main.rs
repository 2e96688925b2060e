//! The stack over reqwest, and called as reqwest is.
//!
//! ```text
//! cargo run --release -p reqwest-client
//! DASHSCOPE_API_KEY=sk-... cargo run --release -p reqwest-client --features reqwest/rustls
//! ```
//!
//! Without a key and without `DASHSCOPE_BASE_URL` it calls a mock of the provider in this process, which needs no TLS.

use std::time::Duration;

use eventsource_stream::Eventsource;
use futures_util::TryStreamExt;
use mock_qwen::Provider;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_qwen_ratelimit::{AdmissionLayer, BoxError, Limiter, Quota, Rejected};
use tower_qwen_retry::{RetryLayer, RetryPolicy};
use tower_qwen_tokens::{
    CallReport, Ledger, MeterLayer, PriceBook, Verdict,
    adapter::reqwest_0_13::{ReqwestFrontLayer, ReqwestTransport},
};

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
    // reqwest's own retries, which would bypass Admission, are switched off here.
    let transport = ReqwestTransport::build(reqwest::Client::builder())?;
    let requests = transport.get_ref().clone();
    let chat = |body: Value| -> RequestBuilder {
        requests
            .post(provider.chat_url())
            .bearer_auth(provider.key())
            .json(&body)
    };

    let ledger = Ledger::new(PriceBook::builtin());
    let limiter = Limiter::new(Quota::per_minute(600, 60_000)); // requests, tokens
    let mut client = ServiceBuilder::new()
        .layer(ReqwestFrontLayer)
        .layer(RetryLayer::new(RetryPolicy::default()))
        .layer(AdmissionLayer::new(limiter))
        .layer(MeterLayer::new(ledger.clone()))
        .service(transport);

    // A whole answer. The timeout is that of one attempt, and does not count the wait for quota.
    let request = chat(question("Why is the sea salty?")).timeout(Duration::from_secs(60));
    let answer = client.ready().await?.call(request.build()?).await?;
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
    let answer = client.ready().await?.call(chat(request).build()?).await?;
    let mut events = answer.bytes_stream().eventsource();
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

    // What the provider refuses is an answer, with the reason in its extensions.
    let request = chat(json!({"model": "qwen-plus", "messages": "none"})).build()?;
    let answer = client.ready().await?.call(request).await?;
    if let Some(verdict) = answer.extensions().get::<Verdict>() {
        println!("{}: {}", answer.status(), verdict.cause().as_str());
    }

    // What no wait for quota can help is refused before anything is sent.
    let request = chat(question(&"river ".repeat(100_000))).build()?;
    let error = client.ready().await?.call(request).await.err();
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
        Ok(())
    }
}
