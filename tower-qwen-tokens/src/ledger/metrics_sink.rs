use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use metrics::{Label, SharedString, Unit, describe_histogram, histogram};

use crate::Dialect;

use super::{Entry, LedgerSink, Record};

/// Models that get a series of their own. On a server the name comes from outside.
const MAX_MODELS: usize = 1_024;
const OTHER: &str = "(other)";

const TOKENS: &str = "gen_ai.client.token.usage";
const DURATION: &str = "gen_ai.client.operation.duration";
const FIRST: &str = "gen_ai.client.operation.time_to_first_chunk";
const COST: &str = "tower_qwen.client.cost";

/// Hands figures to the recorder of the [`metrics`] facade, under the names of OpenTelemetry's conventions for
/// generative AI.
///
/// | histogram | unit | labels beside the common ones |
/// |---|---|---|
/// | `gen_ai.client.token.usage` | tokens | `gen_ai.token.type`: `input` or `output` |
/// | `gen_ai.client.operation.duration` | seconds | `error.type`, where the attempt failed |
/// | `gen_ai.client.operation.time_to_first_chunk` | seconds | |
/// | `tower_qwen.client.cost` (ours: there is no convention) | of `tower_qwen.currency` | `tower_qwen.currency` |
///
/// All carry `gen_ai.provider.name`, `gen_ai.request.model` and, where it is known, `gen_ai.operation.name`. Beyond 1,024
/// models the rest is `(other)`. Tenants and labels are not exported: the ledger's sums have them.
pub struct MetricsSink {
    provider: SharedString,
    models: Mutex<HashSet<Arc<str>>>,
}

impl MetricsSink {
    /// A sink for the recorder that is installed whenever an attempt ends. Describes its metrics to the one that is
    /// installed now.
    #[must_use]
    pub fn new() -> Self {
        describe_histogram!(TOKENS, Unit::Count, "Tokens of one attempt");
        describe_histogram!(DURATION, Unit::Seconds, "From the send to the end");
        describe_histogram!(
            FIRST,
            Unit::Seconds,
            "From the send to the first part of a stream"
        );
        describe_histogram!(COST, "Money that one attempt cost");
        Self {
            provider: SharedString::const_str("dashscope"),
            models: Mutex::default(),
        }
    }

    /// What `gen_ai.provider.name` says. Default: `dashscope`.
    #[must_use]
    pub fn provider(mut self, name: impl Into<String>) -> Self {
        self.provider = SharedString::from_owned(name.into());
        self
    }

    fn model(&self, model: &Arc<str>) -> SharedString {
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        if !models.contains(model) {
            if models.len() >= MAX_MODELS {
                return SharedString::const_str(OTHER);
            }
            models.insert(Arc::clone(model));
        }
        SharedString::from_shared(Arc::clone(model))
    }

    fn common(&self, entry: &Entry) -> Vec<Label> {
        let mut labels = vec![
            Label::new("gen_ai.provider.name", self.provider.clone()),
            Label::new("gen_ai.request.model", self.model(&entry.model)),
        ];
        if let Some(dialect) = entry.dialect {
            let operation = operation(dialect);
            labels.push(Label::from_static_parts("gen_ai.operation.name", operation));
        }
        labels
    }
}

/// What the conventions call it.
fn operation(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Embeddings | Dialect::NativeEmbeddings => "embeddings",
        Dialect::Completions => "text_completion",
        Dialect::Generate => "generate_content",
        _ => "chat",
    }
}

impl LedgerSink for MetricsSink {
    fn record(&self, record: &Record<'_>) {
        let entry = &*record.entry;
        let common = self.common(entry);
        let with = |label: Label| {
            let mut labels = Vec::with_capacity(common.len() + 1);
            labels.extend_from_slice(&common);
            labels.push(label);
            labels
        };
        if let Some((input, output)) = entry.usage.input_and_output() {
            for (kind, tokens) in [("input", input), ("output", output)] {
                let kind = Label::from_static_parts("gen_ai.token.type", kind);
                histogram!(TOKENS, with(kind)).record(tokens as f64);
            }
        }
        if let Some(duration) = entry.duration {
            let labels = match entry.error_type() {
                Some(error) => with(Label::new("error.type", error.to_owned())),
                None => common.clone(),
            };
            histogram!(DURATION, labels).record(duration);
        }
        if let Some(first) = entry.first_token {
            histogram!(FIRST, common.clone()).record(first);
        }
        if let Some(cost) = record.cost {
            let currency = cost.currency().as_str().to_owned();
            let labels = with(Label::new("tower_qwen.currency", currency));
            histogram!(COST, labels).record(cost.pico() as f64 / 1e12);
        }
    }
}

impl Default for MetricsSink {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MetricsSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsSink").finish_non_exhaustive()
    }
}
