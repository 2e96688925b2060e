use opentelemetry::{
    KeyValue,
    metrics::{Histogram, Meter},
};
use tower_qwen_tokens::{
    internal::{LabelValues, gen_ai},
    ledger::{LedgerSink, Record},
};

use crate::{
    call_metrics::units,
    metrics::{MONEY, SECONDS, TOKENS},
    model_places::ModelPlaces,
};

/// The figures of the conventions, and what calls cost: as `/metrics` has them.
pub(super) struct Figures {
    tokens: Histogram<u64>,
    duration: Histogram<f64>,
    first: Histogram<f64>,
    cost: Histogram<f64>,
    models: LabelValues,
}

impl Figures {
    pub(super) fn new(meter: &Meter, places: &ModelPlaces) -> Self {
        let seconds = |name, description| {
            let histogram = meter.f64_histogram(name).with_unit("s");
            histogram
                .with_description(description)
                .with_boundaries(SECONDS.to_vec())
                .build()
        };
        Self {
            tokens: meter
                .u64_histogram(gen_ai::TOKENS)
                .with_unit("{token}")
                .with_description("Number of input and output tokens used.")
                .with_boundaries(TOKENS.to_vec())
                .build(),
            duration: seconds(gen_ai::DURATION, "GenAI operation duration."),
            first: seconds(gen_ai::FIRST, "Time to receive the first chunk."),
            cost: meter
                .f64_histogram(gen_ai::COST)
                .with_description("Money that a call cost.")
                .with_boundaries(MONEY.to_vec())
                .build(),
            models: LabelValues::new().only(places.allowed()),
        }
    }
}

impl LedgerSink for Figures {
    fn record(&self, record: &Record<'_>) {
        let entry = &*record.entry;
        let mut common = vec![
            KeyValue::new("gen_ai.provider.name", gen_ai::PROVIDER),
            KeyValue::new("gen_ai.request.model", self.models.get(&entry.model)),
        ];
        let operation = entry.dialect.map(gen_ai::operation);
        common.extend(operation.map(|it| KeyValue::new("gen_ai.operation.name", it)));
        let with = |own: KeyValue| {
            let mut all = common.clone();
            all.push(own);
            all
        };
        if let Some((input, output)) = entry.usage.input_and_output() {
            for (kind, tokens) in [("input", input), ("output", output)] {
                let kind = KeyValue::new("gen_ai.token.type", kind);
                self.tokens.record(tokens, &with(kind));
            }
        }
        if let Some(duration) = entry.duration {
            let error = entry
                .error_type()
                .map(|error| KeyValue::new("error.type", error.to_owned()));
            let duration = duration.as_secs_f64();
            match error {
                Some(error) => self.duration.record(duration, &with(error)),
                None => self.duration.record(duration, &common),
            }
        }
        if let Some(first) = entry.first_token {
            self.first.record(first.as_secs_f64(), &common);
        }
        if let Some(cost) = record.cost {
            let currency = cost.currency().as_str().to_owned();
            let currency = KeyValue::new("tower_qwen.currency", currency);
            self.cost.record(units(cost), &with(currency));
        }
    }
}
