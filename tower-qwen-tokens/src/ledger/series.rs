use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use metrics::{Histogram, IntoF64, Key, Label, Level, Metadata, SharedString};

use crate::{
    price::{Currency, Money},
    shared::RecorderHandles,
};

/// Tokens of an attempt.
pub const TOKENS: &str = "gen_ai.client.token.usage";
/// From the send to the end.
pub const DURATION: &str = "gen_ai.client.operation.duration";
/// From the send to the first part of a stream.
pub const FIRST: &str = "gen_ai.client.operation.time_to_first_chunk";
/// What an attempt cost. Ours: there is no convention.
pub const COST: &str = "tower_qwen.client.cost";

static METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// The histograms of one model and operation. Their keys are made once, since that takes longer than to record.
pub(super) struct Series {
    common: Vec<Label>,
    input: Key,
    output: Key,
    duration: Key,
    first: Key,
    /// In the currency of the first price.
    cost: OnceLock<(Currency, Key)>,
    handles: RecorderHandles<Handles>,
}

/// The handles of one second, each registered with the first value for it: a histogram without values is not shown before.
#[derive(Default)]
pub(super) struct Handles {
    input: OnceLock<Histogram>,
    output: OnceLock<Histogram>,
    duration: OnceLock<Histogram>,
    first: OnceLock<Histogram>,
    cost: OnceLock<Histogram>,
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
            handles: RecorderHandles::default(),
            common,
        }
    }

    /// The handles for values of this second.
    pub(super) fn handles(&self, second: Option<u64>) -> Arc<Handles> {
        match second {
            Some(second) => metrics::with_recorder(|recorder| self.handles.get(second, recorder)),
            // Without a clock nobody knows for how long.
            None => Arc::default(),
        }
    }

    pub(super) fn tokens(&self, handles: &Handles, input: u64, output: u64) {
        record(&handles.input, &self.input, input as f64);
        record(&handles.output, &self.output, output as f64);
    }

    pub(super) fn duration(&self, handles: &Handles, duration: Duration, error: Option<&str>) {
        match error {
            Some(error) => {
                let error = Label::new("error.type", error.to_owned());
                let key = key(DURATION, &self.common, Some(error));
                histogram(&key).record(duration);
            }
            None => record(&handles.duration, &self.duration, duration),
        }
    }

    pub(super) fn first(&self, handles: &Handles, first: Duration) {
        record(&handles.first, &self.first, first);
    }

    pub(super) fn cost(&self, handles: &Handles, cost: Money) {
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
            record(&handles.cost, key, amount);
        } else {
            histogram(&key_of(currency)).record(amount);
        }
    }
}

fn key(name: &'static str, common: &[Label], own: Option<Label>) -> Key {
    let labels: Vec<Label> = common.iter().cloned().chain(own).collect();
    Key::from_parts(name, labels)
}

fn record(handle: &OnceLock<Histogram>, key: &Key, value: impl IntoF64) {
    handle.get_or_init(|| histogram(key)).record(value);
}

fn histogram(key: &Key) -> Histogram {
    metrics::with_recorder(|recorder| recorder.register_histogram(key, &METADATA))
}
