//! The stack below async-openai, whose own retry layer it replaces.
//!
//! ```text
//! cargo run --release -p async-openai-client
//! DASHSCOPE_API_KEY=sk-... cargo run --release -p async-openai-client --features reqwest/rustls
//! ```
//!
//! Without a key and without `DASHSCOPE_BASE_URL` it calls a mock of the provider in this process, which needs no TLS.

use std::time::Duration;

use async_openai::{
    Client,
    config::OpenAIConfig,
    error::OpenAIError,
    middleware::HttpRequestFactory,
    types::chat::{
        ChatCompletionRequestUserMessage, CreateChatCompletionRequest,
        CreateChatCompletionRequestArgs,
    },
};
use futures_util::TryStreamExt;
use mock_qwen::Provider;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_qwen_ratelimit::{AdmissionLayer, BoxError, Limiter, Quota, Rejected};
use tower_qwen_retry::{RetryLayer, RetryPolicy};
use tower_qwen_tokens::{
    Deadline, Ledger, MeterLayer, PriceBook,
    adapter::reqwest_0_13::{ReqwestFrontLayer, ReqwestTransport, WithExtension},
    ledger::Tenant,
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

/// A client whose every call goes through the stack, for this tenant. Installing a service drops the client's own retry layer.
///
/// async-openai builds its requests inside: what the layers shall know of them is added where the stack is called.
fn client(
    provider: &Provider,
    ledger: &Ledger,
    tenant: &Tenant,
) -> Result<Client<OpenAIConfig>, BoxError> {
    let limiter = Limiter::new(Quota::per_minute(600, 60_000)); // requests, tokens
    let stack = ServiceBuilder::new()
        .layer(ReqwestFrontLayer)
        .layer(RetryLayer::new(RetryPolicy::default()))
        .layer(AdmissionLayer::new(limiter))
        .layer(MeterLayer::new(ledger.clone()))
        .service(ReqwestTransport::build(reqwest::Client::builder())?);
    let tenant = tenant.clone();
    let service = service_fn(move |factory: HttpRequestFactory| {
        let (stack, tenant) = (stack.clone(), tenant.clone());
        async move {
            let request = factory.build().await?.with_extension(tenant)?;
            let in_time = Deadline::after(Duration::from_secs(120));
            stack.oneshot(request.with_extension(in_time)?).await
        }
    });
    let config = OpenAIConfig::new()
        .with_api_base(provider.base_url())
        .with_api_key(provider.key());
    Ok(Client::with_config(config).with_http_service(service))
}

async fn run(provider: &Provider) -> Result<Ledger, BoxError> {
    let ledger = Ledger::new(PriceBook::builtin());
    let client = client(provider, &ledger, &Tenant::new("oceanography"))?;

    // A whole answer.
    let answer = client
        .chat()
        .create(question("Why is the sea salty?", 200)?)
        .await?;
    println!(
        "{}",
        answer.choices[0]
            .message
            .content
            .as_deref()
            .unwrap_or_default()
    );

    // A stream. Its usage is asked for, and the extra event taken out again.
    let mut events = client
        .chat()
        .create_stream(question("And lakes?", 200)?)
        .await?;
    while let Some(event) = events.try_next().await? {
        for choice in event.choices {
            print!("{}", choice.delta.content.unwrap_or_default());
        }
    }
    println!();

    // What the provider refuses.
    let request = question("And rivers?", 0)?;
    if let Err(OpenAIError::ApiError(error)) = client.chat().create(request).await {
        println!("{}: {}", error.status_code, error.api_error);
    }

    // What no wait for quota can help is refused before anything is sent.
    match client
        .chat()
        .create(question(&"river ".repeat(100_000), 200)?)
        .await
    {
        Err(OpenAIError::Boxed(error)) if error.is::<Rejected>() => println!("not sent: {error}"),
        other => return Err(format!("{other:?}").into()),
    }
    Ok(ledger)
}

fn question(text: &str, max_tokens: u32) -> Result<CreateChatCompletionRequest, OpenAIError> {
    CreateChatCompletionRequestArgs::default()
        .model("qwen-plus")
        .max_tokens(max_tokens)
        .messages([ChatCompletionRequestUserMessage::from(text).into()])
        .build()
}

#[cfg(test)]
mod tests {
    use mock_qwen::Config;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_runs_and_counts_what_the_provider_counts() -> Result<(), BoxError> {
        let provider = Provider::mock(Config::default()).await?;
        let sums = run(&provider).await?.snapshot();
        let total = sums.total;
        let stats = provider.stats().ok_or("no mock")?;
        // Two were served and one refused; the fourth was never sent.
        assert_eq!((stats.seen, stats.completed), (3, 2));
        assert_eq!((total.calls, total.failed, total.estimated), (3, 1, 0));
        assert_eq!(sums.tenants["oceanography"].calls, 3);
        assert_eq!(total.input_tokens, stats.tokens.prompt);
        assert_eq!(total.output_tokens, stats.tokens.output);
        Ok(())
    }

    /// The provider throttles the second call, of which the caller sees nothing.
    #[tokio::test(start_paused = true)]
    async fn our_retry_stands_in_for_its_own() -> Result<(), BoxError> {
        let provider = Provider::mock(Config {
            rpm: 1,
            window: Duration::from_secs(5),
            ..Config::default()
        })
        .await?;
        let client = client(&provider, &Ledger::default(), &Tenant::new("a"))?;
        for _ in 0..2 {
            client.chat().create(question("Why?", 200)?).await?;
        }
        let stats = provider.stats().ok_or("no mock")?;
        assert_eq!(stats.completed, 2);
        assert!(stats.throttled.requests > 0, "{stats:?}");
        Ok(())
    }
}
