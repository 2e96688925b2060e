//! `/metrics`, for Prometheus.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, header::CONTENT_TYPE};
use metrics::counter;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusRecorder};
use metrics_util::MetricKindMask;
use tower_qwen_tokens::error_format::ErrorFormat;

use crate::{auth::unauthenticated, callers::ApiKey, gateway::Gateway};

/// As OpenTelemetry's conventions for generative AI have them.
const TOKENS: [f64; 14] = [
    1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0,
    16777216.0, 67108864.0,
];
const SECONDS: [f64; 14] = [
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];
const MONEY: [f64; 7] = [0.00001, 0.0001, 0.001, 0.01, 0.1, 1.0, 10.0];
/// Reserved less used, by used.
const ERRORS: [f64; 8] = [-0.5, -0.2, -0.05, 0.0, 0.05, 0.2, 1.0, 5.0];

/// What collects the figures of all layers. To be installed before the gateway is made.
///
/// Gauges that were not set for longer than `idle` are forgotten: the handler sets those of every account there is, so that
/// the others are of accounts that have gone.
///
/// # Errors
///
/// Never, as the bounds stand.
pub fn recorder(idle: Duration) -> Result<PrometheusRecorder, BuildError> {
    Ok(PrometheusBuilder::new()
        .idle_timeout(MetricKindMask::GAUGE, Some(idle))
        .set_buckets_for_metric(Matcher::Suffix("token_usage".into()), &TOKENS)?
        .set_buckets_for_metric(Matcher::Suffix("cost".into()), &MONEY)?
        .set_buckets_for_metric(Matcher::Suffix("estimate_error".into()), &ERRORS)?
        .set_buckets(&SECONDS)?
        .build_recorder())
}

/// The handler. Where there is an admin key, it takes that.
pub async fn metrics(State(gateway): State<Arc<Gateway>>, mut headers: HeaderMap) -> Response {
    let key = ApiKey::take(&mut headers);
    let callers = &gateway.callers;
    if callers.has_admin() && !key.is_some_and(|key| callers.is_admin(&key)) {
        return unauthenticated(&ErrorFormat::of("/metrics", &headers));
    }
    gateway.count();
    let kind = [(CONTENT_TYPE, "text/plain; version=0.0.4")];
    (kind, gateway.metrics.render()).into_response()
}

impl Gateway {
    /// Brings the figures up to date that nobody pushes.
    fn count(&self) {
        self.observer.record(&self.upstream.snapshot());
        let counts = self.enforce.counts();
        for (outcome, count) in [
            ("admitted", counts.admitted),
            ("requests", counts.requests),
            ("tokens", counts.tokens),
            ("too_large", counts.too_large),
            ("unread", counts.unread),
        ] {
            counter!("axum_server.callers", "outcome" => outcome).absolute(count);
        }
        let calls = self.ledger.snapshot().total;
        counter!("axum_server.calls").absolute(calls.calls);
        counter!("axum_server.calls.failed").absolute(calls.failed);
        counter!("axum_server.calls.cancelled").absolute(calls.cancelled);
        counter!("axum_server.calls.estimated").absolute(calls.estimated);
        counter!("axum_server.attempts").absolute(self.attempts.count());
    }
}
