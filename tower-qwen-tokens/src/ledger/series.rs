use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use metrics::{IntoF64, Key, Label, Level, Metadata, SharedString};

use crate::price::{Currency, Money};

pub(super) const TOKENS: &str = "gen_ai.client.token.usage";
pub(super) const DURATION: &str = "gen_ai.client.operation.duration";
pub(super) const FIRST: &str = "gen_ai.client.operation.time_to_first_chunk";
pub(super) const COST: &str = "tower_qwen.client.cost";

static METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// The histograms of one model and operation. Their keys are made once, since that takes longer than to record; the handles
/// are not kept, since a recorder may forget histograms that rest.
pub(super) struct Series {
    common: Vec<Label>,
    input: Key,
    output: Key,
    duration: Key,
    first: Key,
    /// In the currency of the first price.
    cost: OnceLock<(Currency, Key)>,
}

impl Series {
    pub(super) fn new(
        provider: SharedString,
        model: &Arc<str>,
        operation: Option<&'static str>,
    ) -> Self {
        let mut common = vec![
            Label::new("gen_ai.provider.name", provider),
            Label::new(
                "gen_ai.request.model",
                SharedString::from_shared(Arc::clone(model)),
            ),
        ];
        if let Some(operation) = operation {
            common.push(Label::from_static_parts("gen_ai.operation.name", operation));
        }
        let of_kind = |kind| {
            let kind = Label::from_static_parts("gen_ai.token.type", kind);
            key(TOKENS, &common, Some(kind)).to_retained()
        };
        Self {
            input: of_kind("input"),
            output: of_kind("output"),
            duration: key(DURATION, &common, None).to_retained(),
            first: key(FIRST, &common, None).to_retained(),
            cost: OnceLock::new(),
            common,
        }
    }

    pub(super) fn tokens(&self, input: u64, output: u64) {
        record(&self.input, input as f64);
        record(&self.output, output as f64);
    }

    pub(super) fn duration(&self, duration: Duration, error: Option<&str>) {
        match error {
            Some(error) => {
                let error = Label::new("error.type", error.to_owned());
                record(&key(DURATION, &self.common, Some(error)), duration);
            }
            None => record(&self.duration, duration),
        }
    }

    pub(super) fn first(&self, first: Duration) {
        record(&self.first, first);
    }

    pub(super) fn cost(&self, cost: Money) {
        let amount = cost.pico() as f64 / 1e12;
        let key_of = |currency: Currency| {
            let currency = Label::new("tower_qwen.currency", currency.as_str().to_owned());
            key(COST, &self.common, Some(currency))
        };
        let currency = cost.currency();
        // A model has prices in one currency, nearly always: that key is made once.
        let (known, key) = self
            .cost
            .get_or_init(|| (currency, key_of(currency).to_retained()));
        if *known == currency {
            record(key, amount);
        } else {
            record(&key_of(currency), amount);
        }
    }
}

fn key(name: &'static str, common: &[Label], own: Option<Label>) -> Key {
    let labels: Vec<Label> = common.iter().cloned().chain(own).collect();
    Key::from_parts(name, labels)
}

fn record(key: &Key, value: impl IntoF64) {
    metrics::with_recorder(|recorder| recorder.register_histogram(key, &METADATA).record(value));
}
