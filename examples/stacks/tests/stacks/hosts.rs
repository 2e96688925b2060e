//! The whole stack before every host that the mock can be.

use http::StatusCode;
use mock_qwen::{Config, Host};
use serde_json::json;
use tower::{ServiceBuilder, ServiceExt};

use crate::support::{Place, TestResult, boxed, chat, for_axum, text};

/// Whatever a host's usage looks like and wherever it stands, ledger and account have what the host counted.
#[tokio::test(start_paused = true)]
async fn what_every_host_states_is_booked_to_the_token() -> TestResult {
    for host in Host::all() {
        // Several answers at hosts of which it is recorded how they state the usage of those.
        let may_have_two = matches!(host, Host::Vllm | Host::LlamaCpp);
        let streams = [(false, 1), (true, 1), (true, 2)];
        for (stream, n) in streams.into_iter().take(2 + usize::from(may_have_two)) {
            let config = Config {
                host,
                ..Config::default()
            };
            let place = Place::new(config).await?;
            let client = ServiceBuilder::new()
                .layer(place.stack())
                .service(place.mock.router())
                .map_request(for_axum);
            let mut body = chat(stream);
            if n > 1 {
                body["n"] = json!(n);
            }
            let answer = boxed(client.oneshot(place.request(&body)).await?);
            assert_eq!(answer.status(), StatusCode::OK, "{}", host.name());
            text(answer).await?;
            let (total, stats) = (place.total(), place.stats());
            let booked = (total.input_tokens, total.output_tokens, total.estimated);
            let counted = (stats.tokens.prompt, stats.tokens.output, 0);
            assert_eq!(booked, counted, "{} stream: {stream} n: {n}", host.name());
            place.assert_all_agree();
        }
    }
    Ok(())
}

/// A second call within the minute of one is throttled in the host's own words. A lone call ends by its own attempts, and
/// each of them counts as a throttle; llama-server makes calls wait instead.
#[tokio::test(start_paused = true)]
async fn what_every_host_throttles_is_known_as_a_throttle() -> TestResult {
    for host in Host::all() {
        let config = Config {
            host,
            rpm: 1,
            ..Config::default()
        };
        let place = Place::new(config).await?;
        let client = ServiceBuilder::new()
            .layer(place.stack())
            .service(place.mock.router())
            .map_request(for_axum);
        let mut said = String::new();
        for _ in 0..2 {
            let answer = client.clone().oneshot(place.request(&chat(false))).await?;
            said = text(boxed(answer)).await?;
        }
        let throttled: u64 = place.account().throttled.values().sum();
        let expected = if host == Host::LlamaCpp { 0 } else { 1 };
        assert!(throttled >= expected, "{}: {said}", host.name());
        let total = place.total();
        assert_eq!(total.failed, throttled, "{}: {said}", host.name());
    }
    Ok(())
}
