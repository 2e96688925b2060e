use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use axum::body::{Body, Bytes};
use http::{Request, Response};
use http_body_util::{BodyExt, Limited};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{OTEL_EXPORTER_OTLP_TIMEOUT, OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT};
use tokio::{runtime::Builder, time::timeout};
use tower_qwen_tokens::internal::chain;
use tracing::{info, warn};

use super::telemetry::variable;
use crate::client;

/// Far more than a collector's answer is.
const MAX_ANSWER: usize = 64 << 10;

/// Sends one signal to its collector, from the thread that gathers it.
#[derive(Debug)]
pub(super) struct Collector {
    signal: &'static str,
    timeout: Duration,
    /// Whether the latest attempt failed: that is logged once, and not for each.
    is_away: AtomicBool,
}

impl Collector {
    pub(super) fn new(signal: &'static str) -> Self {
        let timeout = variable(OTEL_EXPORTER_OTLP_TIMEOUT).and_then(|it| it.parse().ok());
        Self {
            signal,
            timeout: timeout.map_or(OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT, Duration::from_millis),
            is_away: AtomicBool::new(false),
        }
    }

    /// With a runtime and a connection of its own, each time: the gateway's runtime has ended when the last calls are sent, and
    /// is not to be slowed before.
    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let sent = async {
            let answer = client::transport().request(request.map(Body::from)).await?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
            Ok(Response::from_parts(head, body))
        };
        runtime.block_on(async { timeout(self.timeout, sent).await? })
    }

    fn log(&self, answer: &Result<Response<Bytes>, HttpError>) {
        let signal = self.signal;
        let why = match answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(answer.status().to_string()),
            Err(error) => {
                let causes: Vec<_> = chain(&**error).map(ToString::to_string).collect();
                Some(causes.join(": "))
            }
        };
        let was_away = self.is_away.swap(why.is_some(), Ordering::Relaxed);
        match why {
            Some(why) if !was_away => {
                warn!(
                    signal,
                    why, "the collector takes nothing: calls go on without it"
                );
            }
            None if was_away => info!(signal, "the collector is back"),
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.send(request);
        self.log(&answer);
        answer
    }
}
