//! A whole answer, a stream, throttles, and callers who leave, over every transport.

use std::time::Duration;

use futures_util::future::try_join_all;
use http::StatusCode;
use http_body_util::BodyExt;
use mock_qwen::Config;
use tower::ServiceExt;
use tower_qwen_tokens::{CallReport, call::BoxError};

use crate::{
    support::{Client, Place, TestResult, chat, text},
    transports,
};

type Connect = fn(&Place) -> Result<Client, BoxError>;

macro_rules! over {
    ($($transport:ident),*) => {$(
        mod $transport {
            use super::{TestResult, transports::$transport as connect};

            #[tokio::test(start_paused = true)]
            async fn whole() -> TestResult {
                super::whole(connect).await
            }

            #[tokio::test(start_paused = true)]
            async fn stream() -> TestResult {
                super::stream(connect).await
            }

            #[tokio::test(start_paused = true)]
            async fn throttled() -> TestResult {
                super::throttled(connect).await
            }

            #[tokio::test(start_paused = true)]
            async fn left_in_mid_stream() -> TestResult {
                super::left_in_mid_stream(connect).await
            }

            #[tokio::test(start_paused = true)]
            async fn left_before_an_answer() -> TestResult {
                super::left_before_an_answer(connect).await
            }
        }
    )*};
}

over!(hyper, reqwest, reqwest_middleware, axum_below, axum_layer);

async fn whole(connect: Connect) -> TestResult {
    let place = Place::new(Config::default()).await?;
    let answer = connect(&place)?
        .oneshot(place.request(&chat(false)))
        .await?;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(
        answer
            .extensions()
            .get::<CallReport>()
            .map(CallReport::sends),
        Some(1)
    );
    assert!(text(answer).await?.contains(r#""finish_reason""#));
    assert_eq!((place.stats().completed, place.total().calls), (1, 1));
    place.assert_all_agree();
    Ok(())
}

async fn stream(connect: Connect) -> TestResult {
    let place = Place::new(Config::default()).await?;
    let mut answer = connect(&place)?.oneshot(place.request(&chat(true))).await?;
    let (mut whole, mut frames) = (Vec::new(), 0);
    while let Some(frame) = answer.frame().await {
        whole.extend_from_slice(frame?.data_ref().ok_or("no data")?);
        frames += 1;
    }
    let whole = String::from_utf8(whole)?;
    // The provider was asked for the usage, of which the caller sees nothing.
    assert!(
        whole.ends_with("data: [DONE]\n\n") && !whole.contains(r#""usage":{"#),
        "{whole}"
    );
    let events = whole.matches("data: {").count();
    assert!(frames > events / 2, "{events} events in {frames} frames");
    assert_eq!((place.stats().completed, place.total().calls), (1, 1));
    place.assert_all_agree();
    Ok(())
}

async fn throttled(connect: Connect) -> TestResult {
    let config = Config {
        rpm: 2,
        window: Duration::from_secs(5),
        ..Config::default()
    };
    let place = Place::new(config).await?;
    let client = connect(&place)?;
    let calls = (0..4).map(|call| {
        let request = place.request(&chat(call % 2 == 0));
        let client = client.clone();
        async move {
            let answer = client.oneshot(request).await?;
            let report = answer.extensions().get::<CallReport>().cloned();
            assert_eq!(answer.status(), StatusCode::OK);
            text(answer).await?;
            Ok::<_, BoxError>(report.ok_or("no report")?.sends())
        }
    });
    let attempts: u32 = try_join_all(calls).await?.into_iter().sum();
    let stats = place.stats();
    assert_eq!(stats.completed, 4);
    assert!(stats.throttled.requests > 0, "{stats:?}");
    assert_eq!(stats.seen, u64::from(attempts));
    assert_eq!(place.total().calls, stats.seen);
    assert_eq!(place.total().failed, stats.throttled.total());
    let heard: u64 = place.account().throttled.values().sum();
    assert_eq!(heard, stats.throttled.total());
    place.assert_all_agree();
    Ok(())
}

async fn left_in_mid_stream(connect: Connect) -> TestResult {
    let place = Place::new(Config::default()).await?;
    let mut answer = connect(&place)?.oneshot(place.request(&chat(true))).await?;
    let mut seen = String::new();
    while seen.matches("data: {").count() < 5 {
        let frame = answer.frame().await.ok_or("no fifth event")??;
        seen.push_str(std::str::from_utf8(frame.data_ref().ok_or("no data")?)?);
    }
    assert_eq!(place.total().calls, 0, "counted at the end");
    drop(answer);
    let total = place.total();
    assert_eq!(
        (total.calls, total.cancelled, total.estimated, total.failed),
        (1, 1, 1, 0)
    );
    assert!(
        total.output_tokens > 0 && total.output_tokens < 100,
        "{total:?}"
    );
    let account = place.account();
    assert_eq!(
        account.settled_tokens,
        total.input_tokens + total.output_tokens
    );
    assert_eq!(
        (account.in_flight, account.reserved_tokens, account.running),
        (0, 0, 0)
    );
    Ok(())
}

async fn left_before_an_answer(connect: Connect) -> TestResult {
    let place = Place::new(Config {
        ttft: Duration::from_secs(60),
        ..Config::default()
    })
    .await?;
    let calling = connect(&place)?.oneshot(place.request(&chat(false)));
    let answer = tokio::time::timeout(Duration::from_secs(30), calling).await;
    assert!(answer.is_err(), "it comes later");
    let total = place.total();
    assert_eq!(
        (total.calls, total.cancelled, total.output_tokens),
        (1, 1, 0)
    );
    // It was sent, so its estimate stands.
    let account = place.account();
    assert_eq!((account.in_flight, account.running), (0, 0));
    assert!(account.settled_tokens > 0, "{account:?}");
    Ok(())
}
