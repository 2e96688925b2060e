use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
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

const UNKNOWN_CODES: &str = "tower_qwen.client.unknown_codes";

/// A model and the name of the operation.
type Of = (Arc<str>, Option<&'static str>);

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
    series: Mutex<HashMap<Of, Arc<Series>>>,
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
            // OpenTelemetry lists no well-known value for this provider.
            provider: SharedString::const_str("dashscope"),
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

    fn series(&self, entry: &Entry) -> Arc<Series> {
        // The names first: their lock is released before that of the series is taken. They also
        // bound the map, which would otherwise grow with every name that callers invent.
        let of = (self.models.get(&entry.model), entry.dialect.map(operation));
        let mut all = lock(&self.series);
        let series = all.entry(of).or_insert_with_key(|(model, operation)| {
            Arc::new(Series::new(self.provider.clone(), model, *operation))
        });
        Arc::clone(series)
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
        let series = self.series(entry);
        if let Some((input, output)) = entry.usage.input_and_output() {
            series.tokens(input, output);
        }
        if let Some(duration) = entry.duration {
            series.duration(duration, entry.error_type());
        }
        if let Some(first) = entry.first_token {
            series.first(first);
        }
        if let Some(cost) = record.cost {
            series.cost(cost);
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
