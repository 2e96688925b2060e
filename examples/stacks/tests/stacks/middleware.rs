//! Inside of reqwest-middleware the stack is laid anew around each request: what a layer keeps lasts, what a service keeps
//! does not.

use std::time::Duration;
use tokio::time::Instant;

use mock_qwen::Config;
use reqwest_middleware::{ClientBuilder, Middleware};
use tower::limit::RateLimitLayer;
use tower_qwen_tokens::{adapter::reqwest_middleware_0_5::TowerMiddleware, call::BoxError};

use crate::support::{Place, TestResult, chat};

/// How long three calls take, one after the other.
async fn three<M: Middleware>(place: &Place, middleware: M) -> Result<Duration, BoxError> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let client = ClientBuilder::new(client).with(middleware).build();
    let begun = Instant::now();
    for _ in 0..3 {
        let request = place.request(&chat(false)).try_into()?;
        client.execute(request).await?.error_for_status()?;
    }
    Ok(Instant::now() - begun)
}

#[tokio::test(start_paused = true)]
async fn a_limit_kept_in_the_service_limits_nothing() -> TestResult {
    let hour = Duration::from_secs(3_600);
    let place = Place::with_one_call_a_minute(Config::default()).await?;
    let towers = TowerMiddleware::new(RateLimitLayer::new(1, hour));
    assert!(three(&place, towers).await? < hour / 2);
    let ours = TowerMiddleware::new(place.admission());
    assert!(three(&place, ours).await? > Duration::from_secs(110));
    Ok(())
}
