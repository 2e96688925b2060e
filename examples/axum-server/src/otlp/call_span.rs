use std::{
    borrow::Cow,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use axum::{body::Body, extract::Request};
use http::{HeaderValue, Method, StatusCode, Uri};
use opentelemetry::{
    Array, Context, KeyValue, StringValue, Value,
    propagation::TextMapPropagator,
    trace::{Span as _, SpanBuilder, SpanKind, Status, TraceContextExt, Tracer},
};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{SdkTracer, Span},
};
use tower_qwen_tokens::{CallReport, Dialect, internal::gen_ai, ledger::End};

use super::{answer::Member, telemetry::Telemetry};
use crate::call_metrics::units;

/// Far more choices than an answer has.
const MAX_REASONS: usize = 16;

/// The longest text: callers choose some of them, and could fill the collector else.
const MAX_TEXT: usize = 256;

/// The span of a call of a model, which ends with the call.
pub(crate) struct CallSpan {
    span: Span,
    operation: &'static str,
    trace: CallTrace,
}

/// What the gateway knows of a call when it has ended.
pub(crate) struct CallEnd<'a> {
    pub(crate) id: Option<&'a HeaderValue>,
    pub(crate) tenant: Option<&'a str>,
    pub(crate) model: Option<&'a str>,
    pub(crate) upstream: Option<&'a str>,
    /// Status and cause; `None` where there was no answer.
    pub(crate) answer: Option<(StatusCode, &'static str)>,
    pub(crate) report: &'a CallReport,
}

/// The trace that a call's attempts belong to. In the call's extensions; clones share it.
#[derive(Debug, Clone)]
pub(super) struct CallTrace(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    tracer: SdkTracer,
    call: Context,
    attempts: AtomicU32,
    latest: Mutex<Latest>,
}

/// What is known of the latest attempt.
#[derive(Debug, Default)]
struct Latest {
    server: Option<Uri>,
    model: Option<String>,
    reasons: Vec<StringValue>,
}

impl Telemetry {
    /// Begins the span of a call, as a part of its caller's trace if it names one.
    pub(crate) fn begin(&self, request: &mut Request) -> Option<CallSpan> {
        let tracer = self.tracer()?;
        let dialect = Dialect::of_path(request.uri().path())?;
        if request.method() != Method::POST {
            return None;
        }
        let operation = gen_ai::operation(dialect);
        let headers = HeaderExtractor(request.headers());
        // Nothing of this thread's own belongs to the call.
        let caller = TraceContextPropagator::new().extract_with_context(&Context::new(), &headers);
        let builder = SpanBuilder::from_name(operation)
            .with_kind(SpanKind::Client)
            .with_attributes([
                KeyValue::new("gen_ai.operation.name", operation),
                KeyValue::new("gen_ai.provider.name", gen_ai::PROVIDER),
            ]);
        let span = tracer.build_with_context(builder, &caller);
        let call = Context::new().with_remote_span_context(span.span_context().clone());
        let trace = CallTrace(Arc::new(Shared {
            tracer: tracer.clone(),
            call,
            attempts: AtomicU32::new(0),
            latest: Mutex::default(),
        }));
        request.extensions_mut().insert(trace.clone());
        Some(CallSpan {
            span,
            operation,
            trace,
        })
    }
}

impl CallSpan {
    /// Ends it with all that is known now.
    pub(crate) fn end(&mut self, call: &CallEnd<'_>) {
        let span = &mut self.span;
        if !span.is_recording() {
            return;
        }
        let report = call.report;
        let text = |name, value: Option<&str>| {
            let value = value.filter(|value| value.len() <= MAX_TEXT)?;
            Some(KeyValue::new(name, value.to_owned()))
        };
        let count = |name, value: Option<u64>| Some(KeyValue::new(name, value?.cast_signed()));
        if let Some(model) = call.model.filter(|model| model.len() <= MAX_TEXT) {
            span.update_name(format!("{} {model}", self.operation));
        }
        let usage = report.usage().unwrap_or_default();
        let status = call.answer.map(|(status, _)| status);
        let cost = report.cost();
        let id = call.id.and_then(|id| id.to_str().ok());
        let attributes = [
            text("gen_ai.request.model", call.model),
            count("gen_ai.usage.input_tokens", usage.input_tokens),
            count("gen_ai.usage.output_tokens", usage.output_tokens),
            count("gen_ai.usage.cache_read.input_tokens", usage.cached_tokens),
            count(
                "gen_ai.usage.cache_creation.input_tokens",
                usage.cache_write_tokens,
            ),
            status.map(status_code),
            text("tower_qwen.request_id", id),
            text("tower_qwen.tenant", call.tenant),
            text("tower_qwen.upstream", call.upstream),
            count("tower_qwen.attempts", Some(report.sends().into())),
            cost.map(|cost| KeyValue::new("tower_qwen.cost", units(cost))),
            cost.map(|cost| KeyValue::new("tower_qwen.currency", cost.currency().to_string())),
        ];
        span.set_attributes(attributes.into_iter().flatten());
        for (name, wait) in [
            ("tower_qwen.queue_wait", report.queued()),
            ("tower_qwen.retry_wait", report.retry_wait()),
        ] {
            span.set_attribute(KeyValue::new(name, wait.as_secs_f64()));
        }
        let latest = self.trace.0.latest();
        if let Some(server) = &latest.server {
            span.set_attributes(address(server));
        }
        if let Some(model) = &latest.model {
            span.set_attribute(KeyValue::new("gen_ai.response.model", model.clone()));
        }
        if !latest.reasons.is_empty() {
            let reasons = Value::Array(Array::String(latest.reasons.clone()));
            span.set_attribute(KeyValue::new("gen_ai.response.finish_reasons", reasons));
        }
        if let Some(error) = error(call) {
            fail(span, error);
        }
        span.end();
    }
}

impl CallTrace {
    /// Begins the span of an attempt, and makes what the upstream does for it a part of it.
    pub(super) fn attempt(&self, request: &mut http::Request<Body>) -> Span {
        let shared = &*self.0;
        let before = shared.attempts.fetch_add(1, Ordering::Relaxed);
        let uri = request.uri().clone();
        let mut attributes = vec![
            KeyValue::new("http.request.method", request.method().to_string()),
            KeyValue::new("url.full", without_query(&uri)),
        ];
        attributes.extend(address(&uri));
        if before > 0 {
            attributes.push(KeyValue::new(
                "http.request.resend_count",
                i64::from(before),
            ));
        }
        *shared.latest() = Latest {
            server: Some(uri),
            ..Latest::default()
        };
        let builder = SpanBuilder::from_name(request.method().to_string())
            .with_kind(SpanKind::Client)
            .with_attributes(attributes);
        let span = shared.tracer.build_with_context(builder, &shared.call);
        let inside = Context::new().with_remote_span_context(span.span_context().clone());
        let mut headers = HeaderInjector(request.headers_mut());
        TraceContextPropagator::new().inject_context(&inside, &mut headers);
        span
    }

    /// Keeps what the answer says of itself.
    pub(super) fn note(&self, member: Member, value: &str) {
        let mut latest = self.0.latest();
        match member {
            // Each event of a stream says it again.
            Member::Model if latest.model.is_none() => latest.model = Some(value.to_owned()),
            Member::Reason if latest.reasons.len() < MAX_REASONS => {
                latest.reasons.push(value.to_owned().into());
            }
            _ => {}
        }
    }
}

impl Shared {
    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says why what the span is of did not go well.
pub(super) fn fail(span: &mut Span, error: impl Into<Cow<'static, str>>) {
    span.set_attribute(KeyValue::new("error.type", error.into()));
    span.set_status(Status::error(""));
}

pub(super) fn status_code(status: StatusCode) -> KeyValue {
    KeyValue::new("http.response.status_code", i64::from(status.as_u16()))
}

/// Why the call did not go well, in a word.
fn error(call: &CallEnd<'_>) -> Option<Cow<'static, str>> {
    let Some((status, cause)) = call.answer else {
        return Some("cancelled".into());
    };
    let report = call.report;
    // Of a stream the provider's own cause comes with an event.
    match (cause, report.facts().cause(), report.end()) {
        ("none", Some(cause), _) => Some(cause.as_str().into()),
        ("none", None, Some(End::Cancelled)) => Some("cancelled".into()),
        ("none", None, Some(End::Failed)) => Some("body".into()),
        ("none", None, _) => None,
        // It says less than the status.
        ("request", ..) => Some(status.as_u16().to_string().into()),
        (cause, ..) => Some(cause.into()),
    }
}

fn address(uri: &Uri) -> impl Iterator<Item = KeyValue> {
    let default = match uri.scheme_str() {
        Some("http") => 80,
        _ => 443,
    };
    let host = uri.host().map(str::to_owned);
    let port = uri.port_u16().unwrap_or(default);
    let of_host = |host| {
        let port = KeyValue::new("server.port", i64::from(port));
        [KeyValue::new("server.address", host), port]
    };
    host.map(of_host).into_iter().flatten()
}

/// A query may hold secrets.
fn without_query(uri: &Uri) -> String {
    let text = uri.to_string();
    match text.split_once('?') {
        Some((address, _)) => address.to_owned(),
        None => text,
    }
}
