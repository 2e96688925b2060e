//! tower's limit of concurrent calls: below Admission, which asks for its permit last, and better as a part of the quota.

use std::time::Duration;
use tokio::time::Instant;

use futures_util::future::try_join;
use mock_qwen::Config;
use tower::{ServiceBuilder, ServiceExt, limit::ConcurrencyLimitLayer};
use tower_qwen_ratelimit::{Limiter, Quota};
use tower_qwen_tokens::call::BoxError;

use crate::support::{Client, Place, TestResult, boxed, chat, for_axum};

/// How long a call of another model takes, which has an account of its own, beside one that waits a minute for quota.
async fn time_beside_a_call_that_waits(place: &Place, client: Client) -> Result<u128, BoxError> {
    let call = |model: &str| {
        let mut call = chat(false);
        call["model"] = model.into();
        client.clone().oneshot(place.request(&call))
    };
    call("qwen-plus").await?;
    let begun = Instant::now();
    let beside = async {
        call("qwen-turbo").await?;
        Ok((Instant::now() - begun).as_secs().into())
    };
    let (_, seconds) = try_join(call("qwen-plus"), beside).await?;
    assert!(
        Instant::now() >= begun + Duration::from_secs(55),
        "it waited"
    );
    Ok(seconds)
}

#[tokio::test(start_paused = true)]
async fn below_admission_a_waiting_call_holds_no_permit() -> TestResult {
    let limit = ConcurrencyLimitLayer::new(1);

    let place = Place::with_one_call_a_minute(Config::default()).await?;
    let below = ServiceBuilder::new()
        .layer(place.admission())
        .layer(limit.clone())
        .service(place.mock.router())
        .map_request(for_axum)
        .map_response(boxed);
    let seconds = time_beside_a_call_that_waits(&place, below.boxed_clone()).await?;
    assert_eq!(seconds, 0);

    let place = Place::with_one_call_a_minute(Config::default()).await?;
    let above = ServiceBuilder::new()
        .layer(limit)
        .layer(place.admission())
        .service(place.mock.router())
        .map_request(for_axum)
        .map_response(boxed);
    let seconds = time_beside_a_call_that_waits(&place, above.boxed_clone()).await?;
    assert!(seconds >= 55, "{seconds}");
    Ok(())
}

/// tower's permit is free again when the head has come, the quota's when the body has ended.
#[tokio::test(start_paused = true)]
async fn a_quotas_concurrency_lasts_until_the_body_ends() -> TestResult {
    for (quota, limit, both_run) in [
        (Quota::per_minute(600, 600_000), 1, true),
        (Quota::per_minute(600, 600_000).concurrency(1), 9, false),
    ] {
        let place = Place {
            limiter: Limiter::new(quota),
            ..Place::new(Config::default()).await?
        };
        let client = ServiceBuilder::new()
            .layer(place.admission())
            .layer(ConcurrencyLimitLayer::new(limit))
            .service(place.mock.router())
            .map_request(for_axum)
            .map_response(boxed);
        let first = client.clone().oneshot(place.request(&chat(true))).await?;
        let second = client.clone().oneshot(place.request(&chat(true)));
        let second = tokio::time::timeout(Duration::from_secs(60), second).await;
        assert_eq!(second.is_ok(), both_run);
        drop(first);
        client.oneshot(place.request(&chat(true))).await?;
    }
    Ok(())
}
