//! `/metrics`, for Prometheus.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::header::CONTENT_TYPE;
use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusRecorder};
use metrics_util::MetricKindMask;
use tower_qwen_tokens::error_format::ErrorFormat;

use crate::{
    access::NoAdmin, admin::AdminProblem, api_key::ApiKey, auth::unauthenticated, config::ANY,
    gateway::Gateway, serve::of_admin,
};

// Dashboards depend on these names.
const CALLERS: &str = "axum_server.callers";
const LOST: &str = "axum_server.ledger_lost";
const LOG_LOST: &str = "axum_server.log_lost";
const UNWRITTEN: &str = "axum_server.ledger_unwritten";
const ATTEMPTS: &str = "axum_server.attempts";
const UNDER_WAY: &str = "axum_server.calls_under_way";
const CALLER_USED: &str = "axum_server.caller_used";
const CALLER_QUOTA: &str = "axum_server.caller_quota";

/// As many as the other figures have tenants.
const MAX_CALLERS: usize = 1_024;

/// As OpenTelemetry's conventions for generative AI have them.
pub(crate) const TOKENS: [f64; 14] = [
    1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0,
    16777216.0, 67108864.0,
];
pub(crate) const SECONDS: [f64; 14] = [
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];
pub(crate) const MONEY: [f64; 7] = [0.00001, 0.0001, 0.001, 0.01, 0.1, 1.0, 10.0];
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
        // Counters end in `_total`, what is in seconds says so.
        .with_recommended_naming(true)
        .idle_timeout(MetricKindMask::GAUGE, Some(idle))
        .set_buckets_for_metric(Matcher::Suffix("token_usage".into()), &TOKENS)?
        .set_buckets_for_metric(Matcher::Suffix("cost".into()), &MONEY)?
        .set_buckets_for_metric(Matcher::Suffix("estimate_error".into()), &ERRORS)?
        .set_buckets(&SECONDS)?
        .build_recorder())
}

/// The handler. Where there is an admin key, it takes that.
pub async fn metrics(State(gateway): State<Arc<Gateway>>, mut request: Request) -> Response {
    let has_admin = gateway.live().callers.has_admin();
    if has_admin {
        let key = ApiKey::take(request.headers_mut());
        let problem = match key {
            Some(key) => gateway.check_admin_key(&key, request.extensions()).await,
            None => Err(NoAdmin::Key),
        };
        match problem {
            Ok(()) => {}
            Err(NoAdmin::TooMany(wait)) => return AdminProblem::TooMany(wait).into_response(),
            Err(_) => return unauthenticated(&ErrorFormat::of("/metrics", request.headers())),
        }
    }
    gateway.count();
    let kind = [(CONTENT_TYPE, "text/plain; version=0.0.4")];
    let answer = (kind, gateway.metrics.render()).into_response();
    match has_admin {
        true => of_admin(answer),
        false => answer,
    }
}

impl Gateway {
    /// Brings the figures up to date that nobody pushes.
    fn count(&self) {
        self.observer.record(&self.shared.limiter.snapshot());
        self.budget_metrics.record(&self.budgets.snapshot());
        self.record_callers();
        let counts = self.enforce.counts();
        for (outcome, count) in [
            ("admitted", counts.admitted),
            ("requests", counts.requests),
            ("tokens", counts.tokens),
            ("too_large", counts.too_large),
            ("closed", counts.closed),
            ("budget", counts.budget),
            ("store_away", counts.store_away),
            ("unread", counts.unread),
        ] {
            counter!(CALLERS, "outcome" => outcome).absolute(count);
        }
        counter!(LOST).absolute(self.lost());
        counter!(LOG_LOST).absolute(self.log_lost());
        gauge!(UNWRITTEN).set(self.unwritten() as f64);
        counter!(ATTEMPTS).absolute(self.attempts());
        gauge!(UNDER_WAY).set(self.under_way.calls() as f64);
    }

    /// What is used of the callers' quotas.
    fn record_callers(&self) {
        for account in self.callers.snapshot().into_iter().take(MAX_CALLERS) {
            let tenant = account.key.to_string();
            for (dimension, gate) in [("requests", &account.requests), ("tokens", &account.tokens)]
            {
                if is_limited(gate.quota) {
                    let tenant = tenant.clone();
                    let labels = [("tenant", tenant), ("dimension", dimension.to_owned())];
                    gauge!(CALLER_USED, &labels).set(gate.used as f64);
                    gauge!(CALLER_QUOTA, &labels).set(gate.quota as f64);
                }
            }
        }
    }
}

/// Whether a quota is one: where there is none, it is a number that nobody reaches, less its headroom.
pub(crate) fn is_limited(quota: u64) -> bool {
    quota < ANY / 2
}

/// Says what the gateway's own figures are, to the recorder that is installed now.
pub(crate) fn describe() {
    describe_counter!(
        CALLERS,
        Unit::Count,
        "What became of calls at the callers' own quotas and budgets"
    );
    describe_counter!(
        LOST,
        Unit::Count,
        "Calls that are missing in the ledger's file for good, since too many waited for room"
    );
    describe_counter!(
        LOG_LOST,
        Unit::Count,
        "Lines of the log that are lost, since standard error took none or too few"
    );
    describe_gauge!(
        UNWRITTEN,
        Unit::Count,
        "Calls that could not be written to the ledger's file so far, and wait"
    );
    describe_counter!(ATTEMPTS, Unit::Count, "Requests to the upstreams");
    describe_gauge!(
        UNDER_WAY,
        Unit::Count,
        "Calls of callers that are under way"
    );
    describe_gauge!(
        CALLER_USED,
        Unit::Count,
        "Used of a caller's quota now; requests flow back all the time"
    );
    describe_gauge!(CALLER_QUOTA, Unit::Count, "What a caller's window may hold");
}
