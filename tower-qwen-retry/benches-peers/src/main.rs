//! How long retriers wait where the server asks for one second: a 429 with `Retry-After: 1`, three times, then an answer.
//!
//! Real time, a server on the loopback. Prints the gaps between the attempts, and fails where ours are not within 1 and
//! 1.5 seconds or a peer's are no shorter than that.

mod server;

use std::{error::Error, time::Duration};

use reqwest::{Client, Url, retry};
use reqwest_middleware::ClientBuilder;
use reqwest_retry::{RetryTransientMiddleware, policies::ExponentialBackoff};
use server::Server;
use tower::{Layer, ServiceExt, service_fn};
use tower_qwen_retry::{RetryLayer, RetryPolicy};

type BoxError = Box<dyn Error + Send + Sync>;

const RETRIES: u32 = 3;
const PROMPT: &str = r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Hello!"}]}"#;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let second = Duration::from_secs(1);
    let asked = second..=second + second / 2;

    let gaps = Server::start().await?.gaps(of_reqwest).await?;
    report("reqwest::retry 0.13, 429 classified as retryable", &gaps);
    assert!(gaps.iter().all(|gap| *gap < second));

    let gaps = Server::start().await?.gaps(of_reqwest_retry).await?;
    report("reqwest-retry 0.9, bounds of 20 and 50 ms", &gaps);
    assert!(gaps.iter().all(|gap| *gap < second));

    let gaps = Server::start().await?.gaps(ours).await?;
    report("tower-qwen-retry over reqwest", &gaps);
    assert!(gaps.iter().all(|gap| asked.contains(gap)), "{gaps:?}");
    Ok(())
}

fn report(name: &str, gaps: &[Duration]) {
    let gaps: Vec<_> = gaps
        .iter()
        .map(|gap| format!("{:.2} ms", gap.as_secs_f64() * 1e3))
        .collect();
    println!("{name}: {}", gaps.join(", "));
}

async fn of_reqwest(url: Url) -> Result<u16, BoxError> {
    let policy = retry::for_host("127.0.0.1")
        .max_retries_per_request(RETRIES)
        .no_budget()
        .classify_fn(|attempt| match attempt.status() {
            Some(status) if status == 429 => attempt.retryable(),
            _ => attempt.success(),
        });
    let client = Client::builder().retry(policy).build()?;
    Ok(client
        .post(url)
        .body(PROMPT)
        .send()
        .await?
        .status()
        .as_u16())
}

async fn of_reqwest_retry(url: Url) -> Result<u16, BoxError> {
    let policy = ExponentialBackoff::builder()
        .retry_bounds(Duration::from_millis(20), Duration::from_millis(50))
        .build_with_max_retries(RETRIES);
    let client = ClientBuilder::new(Client::new())
        .with(RetryTransientMiddleware::new_with_policy(policy))
        .build();
    Ok(client
        .post(url)
        .body(PROMPT)
        .send()
        .await?
        .status()
        .as_u16())
}

async fn ours(url: Url) -> Result<u16, BoxError> {
    let client = Client::builder().retry(retry::never()).build()?;
    let transport = service_fn(move |request: hyper::http::Request<reqwest::Body>| {
        let client = client.clone();
        async move {
            let answer = client.execute(request.try_into()?).await?;
            Ok::<_, reqwest::Error>(hyper::http::Response::from(answer))
        }
    });
    let service = RetryLayer::new(RetryPolicy::default()).layer(transport);
    let request = hyper::http::Request::post(url.as_str()).body(reqwest::Body::from(PROMPT))?;
    Ok(service.oneshot(request).await?.status().as_u16())
}
