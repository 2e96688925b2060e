//! A collector that keeps what it is sent.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Bytes, routing::post};
use http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{KeyValue, any_value::Value as Any},
    metrics::v1::{HistogramDataPoint, metric::Data},
    resource::v1::Resource,
    trace::v1::Span,
};
use prost::Message;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::support::TestResult;

/// Clones share it.
#[derive(Clone)]
pub(crate) struct Collector(Arc<Shared>);

pub(crate) struct Shared {
    at: SocketAddr,
    /// What it answers.
    status: AtomicU16,
    /// How many requests with traces came.
    pub(crate) asked: AtomicUsize,
    all: Mutex<All>,
}

#[derive(Default)]
pub(crate) struct All {
    pub(crate) spans: Vec<Span>,
    /// By the name of the metric.
    pub(crate) points: BTreeMap<String, Vec<HistogramDataPoint>>,
    pub(crate) resources: Vec<Resource>,
    /// Of resources and scopes.
    pub(crate) schemas: Vec<String>,
    pub(crate) headers: Vec<HeaderMap>,
    /// All bytes, one after the other.
    pub(crate) bytes: Vec<u8>,
}

impl Collector {
    /// In the runtime of the test, which must have several threads: tests wait for the program without yielding.
    pub(crate) async fn start() -> TestResult<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let shared = Shared {
            at: listener.local_addr()?,
            status: AtomicU16::new(200),
            asked: AtomicUsize::new(0),
            all: Mutex::default(),
        };
        let collector = Self(Arc::new(shared));
        let (traces, metrics) = (collector.clone(), collector.clone());
        let traces = async move |headers, body| traces.traces(headers, &body);
        let metrics = async move |headers, body| metrics.metrics(headers, &body);
        let router = Router::new()
            .route("/v1/traces", post(traces))
            .route("/v1/metrics", post(metrics));
        tokio::spawn(async { axum::serve(listener, router).await });
        Ok(collector)
    }

    /// The variable that names it.
    pub(crate) fn address(&self) -> String {
        format!("http://{}", self.0.at)
    }

    pub(crate) fn answer_with(&self, status: StatusCode) {
        self.0.status.store(status.as_u16(), Ordering::SeqCst);
    }

    /// Waits until it was sent traces once more.
    pub(crate) async fn asked_again(&self) {
        let before = self.0.asked.load(Ordering::SeqCst);
        while self.0.asked.load(Ordering::SeqCst) == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn all(&self) -> MutexGuard<'_, All> {
        self.0.all.lock().expect("whole")
    }

    fn traces(&self, headers: HeaderMap, body: &Bytes) -> StatusCode {
        let sent = ExportTraceServiceRequest::decode(&body[..]).expect("traces");
        let mut all = self.all();
        all.headers.push(headers);
        all.bytes.extend_from_slice(body);
        for sent in sent.resource_spans {
            all.schemas.push(sent.schema_url);
            all.resources.extend(sent.resource);
            for sent in sent.scope_spans {
                all.schemas.push(sent.schema_url);
                all.spans.extend(sent.spans);
            }
        }
        drop(all);
        // Before the test can change it.
        let status = self.status();
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        status
    }

    fn metrics(&self, headers: HeaderMap, body: &Bytes) -> StatusCode {
        let sent = ExportMetricsServiceRequest::decode(&body[..]).expect("metrics");
        let mut all = self.all();
        all.headers.push(headers);
        all.bytes.extend_from_slice(body);
        for sent in sent.resource_metrics {
            all.schemas.push(sent.schema_url);
            all.resources.extend(sent.resource);
            for sent in sent.scope_metrics {
                all.schemas.push(sent.schema_url);
                for metric in sent.metrics {
                    let Some(Data::Histogram(histogram)) = metric.data else {
                        panic!("{} is no histogram", metric.name);
                    };
                    // Each export has the sums so far.
                    all.points.insert(metric.name, histogram.data_points);
                }
            }
        }
        self.status()
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status.load(Ordering::SeqCst)).expect("a status")
    }
}

impl All {
    /// The spans of this name, in the order of their beginnings.
    pub(crate) fn named(&self, name: &str) -> Vec<&Span> {
        let mut spans: Vec<_> = self.spans.iter().filter(|span| span.name == name).collect();
        spans.sort_by_key(|span| span.start_time_unix_nano);
        spans
    }

    /// The only span of this name.
    pub(crate) fn one(&self, name: &str) -> TestResult<&Span> {
        match self.named(name)[..] {
            [span] => Ok(span),
            _ => Err(format!("not one {name} in {:?}", self.spans).into()),
        }
    }

    /// Count and sum of a metric's points that have all of these attributes.
    pub(crate) fn sum(&self, metric: &str, having: &[(&str, &str)]) -> (u64, f64) {
        let points = self.points.get(metric).into_iter().flatten();
        let points = points.filter(|point| {
            let mut having = having.iter();
            having.all(|(name, value)| attribute(&point.attributes, name) == **value)
        });
        points.fold((0, 0.0), |(count, sum), point| {
            (count + point.count, sum + point.sum.unwrap_or_default())
        })
    }
}

/// An attribute's value; `null` where it has none.
pub(crate) fn attribute(attributes: &[KeyValue], name: &str) -> Value {
    let mut found = attributes.iter().filter(|it| it.key == name);
    let value = found.next().and_then(|it| it.value.clone()?.value);
    assert!(found.next().is_none(), "{name} is there twice");
    match value {
        Some(Any::StringValue(text)) => text.into(),
        Some(Any::IntValue(number)) => number.into(),
        Some(Any::DoubleValue(number)) => number.into(),
        Some(Any::ArrayValue(all)) => {
            let texts = all.values.into_iter().map(|it| match it.value {
                Some(Any::StringValue(text)) => text,
                other => panic!("{name} has {other:?}"),
            });
            texts.collect()
        }
        None => Value::Null,
        Some(other) => panic!("{name} is {other:?}"),
    }
}
