//! tower-http's Trace, at every place of the stack.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use http::{Response, StatusCode};
use mock_qwen::{Config, Faults};
use tower::{ServiceBuilder, ServiceExt};
use tower_http::trace::TraceLayer;

use crate::support::{Place, TestResult, boxed, chat, for_axum, text};

/// Counts the answers that pass a place.
#[derive(Clone, Default)]
struct Passed(Arc<AtomicU32>);

impl<B> tower_http::trace::OnResponse<B> for Passed {
    fn on_response(self, _: &Response<B>, _: std::time::Duration, _: &tracing::Span) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The first attempt fails, the second is served: whoever stands outside of Retry sees one answer, whoever stands inside
/// two.
#[tokio::test(start_paused = true)]
async fn trace_fits_everywhere_and_sees_calls_or_attempts() -> TestResult {
    let place = Place::new(Config {
        faults: Faults {
            unavailable: 0.5,
            ..Faults::default()
        },
        seed: 3,
        ..Config::default()
    })
    .await?;
    let passed: [Passed; 4] = Default::default();
    let trace = |at: usize| TraceLayer::new_for_http().on_response(passed[at].clone());
    let client = ServiceBuilder::new()
        .layer(trace(0))
        .layer(place.retry())
        .layer(trace(1))
        .layer(place.admission())
        .layer(trace(2))
        .layer(place.meter())
        .layer(trace(3))
        .service(place.mock.router())
        .map_request(for_axum);
    for _ in 0..8 {
        let answer = boxed(client.clone().oneshot(place.request(&chat(true))).await?);
        assert_eq!(answer.status(), StatusCode::OK);
        text(answer).await?;
    }
    let seen = place.stats().seen;
    assert!(seen > 8, "some attempts failed");
    let passed = passed.map(|passed| u64::from(passed.0.load(Ordering::Relaxed)));
    assert_eq!(passed, [8, seen, seen, seen]);
    assert_eq!(place.total().calls, seen);
    place.assert_all_agree();
    Ok(())
}
