use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::UNIX_EPOCH,
};

use metrics::{SharedString, Unit, counter, describe_counter, describe_histogram};

use crate::{
    Dialect,
    macros::opaque_debug,
    shared::{LabelValues, lock},
};

use super::{
    Entry, LedgerSink, Record,
    series::{COST, DURATION, FIRST, Series, TOKENS},
};

/// What `gen_ai.provider.name` says unless it is set: OpenTelemetry lists no well-known value for this provider.
pub const PROVIDER: &str = "dashscope";
const UNKNOWN_CODES: &str = "tower_qwen.client.unknown_codes";

/// The series of one model, by the name of the operation: few, so that a list of them is searched sooner than a map.
type OfModel = Vec<(Option<&'static str>, Arc<Series>)>;

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
/// The counter `tower_qwen.client.unknown_codes` counts error answers by a code of the provider (`error.code`) that is not
/// known here: please report such a code.
///
/// All histograms carry `gen_ai.provider.name`, `gen_ai.request.model` and, where it is known, `gen_ai.operation.name`. Beyond 1,024
/// models the rest is `(other)`, and so is one whose name is longer than 256 bytes ([`LabelValues`]). Tenants and labels are
/// not exported: the ledger's sums have them.
pub struct MetricsSink {
    provider: SharedString,
    models: LabelValues,
    codes: LabelValues,
    series: Mutex<HashMap<Arc<str>, OfModel>>,
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
        describe_counter!(UNKNOWN_CODES, "Error answers with a code that is not known");
        Self {
            provider: SharedString::const_str(PROVIDER),
            models: LabelValues::new(),
            codes: LabelValues::new(),
            series: Mutex::default(),
        }
    }

    /// What `gen_ai.provider.name` says. Default: `dashscope`.
    #[must_use]
    pub fn provider(mut self, name: impl Into<String>) -> Self {
        self.provider = SharedString::from_owned(name.into());
        self
    }

    /// Tells these models alone apart; all others are `(other)`. Default: all.
    #[must_use]
    pub fn only_models(mut self, allowed: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.models = self.models.only(allowed);
        self
    }

    fn series(&self, entry: &Entry) -> Arc<Series> {
        let operation = entry.dialect.map(operation);
        let of_operation = |known: &&(Option<&'static str>, Arc<Series>)| known.0 == operation;
        if let Some(of_model) = lock(&self.series).get(&*entry.model)
            && let Some((_, series)) = of_model.iter().find(of_operation)
        {
            return Arc::clone(series);
        }
        // The names first: their lock is released before that of the series is taken. They also
        // bound the map, which would otherwise grow with every name that callers invent.
        let model = self.models.get(&entry.model);
        let mut all = lock(&self.series);
        let of_model = all.entry(Arc::clone(&model)).or_default();
        if let Some((_, series)) = of_model.iter().find(of_operation) {
            return Arc::clone(series);
        }
        let series = Arc::new(Series::new(self.provider.clone(), &model, operation));
        of_model.push((operation, Arc::clone(&series)));
        series
    }
}

/// What the conventions call it.
#[must_use]
pub fn operation(dialect: Dialect) -> &'static str {
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
        let series = self.series(entry);
        let second = record.at.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let handles = &*series.handles(second.map(|since| since.as_secs()));
        if let Some((input, output)) = entry.usage.input_and_output() {
            series.tokens(handles, input, output);
        }
        if let Some(duration) = entry.duration {
            series.duration(handles, duration, entry.error_type());
        }
        if let Some(first) = entry.first_token {
            series.first(handles, first);
        }
        if let Some(cost) = record.cost {
            series.cost(handles, cost);
        }
        if let Some(code) = &entry.unknown_code {
            let code = SharedString::from_shared(self.codes.get(code));
            counter!(UNKNOWN_CODES, "error.code" => code).increment(1);
        }
    }
}

impl Default for MetricsSink {
    fn default() -> Self {
        Self::new()
    }
}

opaque_debug!(MetricsSink, impl std::fmt::Debug for MetricsSink);
