use std::{env, sync::Arc, time::Duration};

use anyhow::Context as _;
use opentelemetry::{InstrumentationScope, Key, metrics::MeterProvider, trace::TracerProvider};
use opentelemetry_otlp::{
    MetricExporter, OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL, SpanExporter,
    WithHttpConfig,
};
use opentelemetry_sdk::{
    Resource,
    metrics::SdkMeterProvider,
    trace::{SdkTracer, SdkTracerProvider},
};
use tower_qwen_tokens::ledger::LedgerSink;
use tracing::{info, warn};

use super::{SCHEMA, collector::Collector, figures::Figures};
use crate::model_places::ModelPlaces;

/// How long the end waits for what is not yet sent.
const LAST_EXPORT: Duration = Duration::from_secs(5);

/// What goes to a collector. Threads of its own send it, so that no call waits for them.
#[derive(Debug)]
pub struct Telemetry {
    traces: Option<(SdkTracerProvider, SdkTracer)>,
    metrics: Option<SdkMeterProvider>,
}

impl Telemetry {
    /// By the variables of OpenTelemetry's specification; `None` where they name no collector.
    ///
    /// # Errors
    ///
    /// When a collector's address cannot be read.
    pub fn from_env() -> anyhow::Result<Option<Self>> {
        let is_disabled = variable("OTEL_SDK_DISABLED").is_some_and(|it| it == "true");
        let [traces, metrics] = ["TRACES", "METRICS"].map(|it| !is_disabled && is_exported(it));
        if !traces && !metrics {
            return Ok(None);
        }
        if let Some(protocol) = variable(OTEL_EXPORTER_OTLP_PROTOCOL)
            && protocol != "http/protobuf"
        {
            warn!(protocol, "the collector is asked by http/protobuf instead");
        }
        let resource = resource();
        let telemetry = Self {
            traces: traces.then(|| tracer(resource.clone())).transpose()?,
            metrics: metrics.then(|| meter(resource)).transpose()?,
        };
        info!(traces, metrics, "OpenTelemetry");
        Ok(Some(telemetry))
    }

    /// Takes the calls' figures from the ledger; `None` where metrics are off.
    pub(crate) fn figures(&self, places: &ModelPlaces) -> Option<Arc<dyn LedgerSink>> {
        let meter = self.metrics.as_ref()?.meter_with_scope(scope());
        Some(Arc::new(Figures::new(&meter, places)))
    }

    pub(super) fn tracer(&self) -> Option<&SdkTracer> {
        self.traces.as_ref().map(|(_, tracer)| tracer)
    }

    /// Sends what is left, for as long as the end of the program may wait.
    pub(crate) fn shut_down(&self) {
        // What the collector did not take was logged.
        if let Some((traces, _)) = &self.traces {
            let _ = traces.shutdown_with_timeout(LAST_EXPORT);
        }
        if let Some(metrics) = &self.metrics {
            let _ = metrics.shutdown_with_timeout(LAST_EXPORT);
        }
    }
}

/// A variable that says something.
pub(super) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether a signal goes anywhere. The specification's default address is not taken: nobody who has no collector shall have
/// connections to nowhere.
fn is_exported(signal: &str) -> bool {
    let own = format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT");
    let is_off = variable(&format!("OTEL_{signal}_EXPORTER")).is_some_and(|it| it == "none");
    !is_off && (variable(&own).is_some() || variable(OTEL_EXPORTER_OTLP_ENDPOINT).is_some())
}

fn resource() -> Resource {
    let builder = || Resource::builder().with_schema_url([], SCHEMA);
    let resource = builder().build();
    let name = resource.get_ref(&Key::from_static_str("service.name"));
    match name.is_none_or(|name| name.as_str().starts_with("unknown_service")) {
        true => builder().with_service_name("axum-server").build(),
        false => resource,
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("axum-server")
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(SCHEMA)
        .build()
}

fn tracer(resource: Resource) -> anyhow::Result<(SdkTracerProvider, SdkTracer)> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Collector::new("traces"))
        .build()
        .context("the collector of traces")?;
    let provider = SdkTracerProvider::builder()
        .with_resource(resource)
        .with_batch_exporter(exporter)
        .build();
    let tracer = provider.tracer_with_scope(scope());
    Ok((provider, tracer))
}

fn meter(resource: Resource) -> anyhow::Result<SdkMeterProvider> {
    let exporter = MetricExporter::builder()
        .with_http()
        .with_http_client(Collector::new("metrics"))
        .build()
        .context("the collector of metrics")?;
    let provider = SdkMeterProvider::builder()
        .with_resource(resource)
        .with_periodic_exporter(exporter);
    Ok(provider.build())
}
