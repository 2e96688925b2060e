//! What the recorder of the `metrics` facade gets.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use metrics::{
    Counter, CounterFn, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit, with_local_recorder,
};
use tower_qwen_tokens::{
    Cause, Dialect, Ledger,
    ledger::{End, Entry, MetricsSink},
};

use crate::entry;

/// Every figure with its series, written as one text.
#[derive(Default)]
struct Figures(Arc<Mutex<Vec<(String, f64)>>>);

struct Series {
    name: String,
    figures: Arc<Mutex<Vec<(String, f64)>>>,
}

impl HistogramFn for Series {
    fn record(&self, value: f64) {
        let mut figures = self.figures.lock().expect("lock");
        figures.push((self.name.clone(), value));
    }
}

impl CounterFn for Series {
    fn increment(&self, value: u64) {
        self.record(value as f64);
    }

    fn absolute(&self, _: u64) {
        unreachable!("counters are only incremented")
    }
}

impl Figures {
    fn series(&self, key: &Key) -> Arc<Series> {
        let mut labels: Vec<_> = key
            .labels()
            .map(|label| format!("{}={}", label.key(), label.value()))
            .collect();
        labels.sort();
        Arc::new(Series {
            name: format!("{} {}", key.name(), labels.join(" ")),
            figures: Arc::clone(&self.0),
        })
    }
}

impl Recorder for Figures {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.describe_histogram(name, unit, text);
    }
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        let unit = unit.map_or("none", |unit| unit.as_str());
        let name = format!("described {} {unit}", name.as_str());
        self.0.lock().expect("lock").push((name, 0.0));
    }
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.series(key))
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        unreachable!("there is no gauge")
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.series(key))
    }
}

impl Figures {
    fn take(&self) -> Vec<(String, f64)> {
        std::mem::take(&mut *self.0.lock().expect("lock"))
    }
}

#[test]
fn figures_carry_the_names_of_the_conventions() {
    let recorder = Figures::default();
    with_local_recorder(&recorder, || {
        let ledger = Ledger::default().with_sink(Arc::new(MetricsSink::new()));
        assert_eq!(
            recorder
                .take()
                .into_iter()
                .map(|row| row.0)
                .collect::<Vec<_>>(),
            [
                "described gen_ai.client.token.usage count",
                "described gen_ai.client.operation.duration seconds",
                "described gen_ai.client.operation.time_to_first_chunk seconds",
                "described tower_qwen.client.cost none",
                "described tower_qwen.client.unknown_codes none",
            ]
        );
        let mut whole = entry("qwen2", 1_000_000, 500_000);
        whole.dialect = Some(Dialect::Chat);
        whole.first_token = Some(Duration::from_millis(250));
        whole.duration = Some(Duration::from_secs(2));
        ledger.record(&whole);
        let common =
            "gen_ai.operation.name=chat gen_ai.provider.name=dashscope gen_ai.request.model=qwen2";
        assert_eq!(
            recorder.take(),
            [
                (
                    format!("gen_ai.client.token.usage {common} gen_ai.token.type=input"),
                    1e6
                ),
                (
                    format!("gen_ai.client.token.usage {common} gen_ai.token.type=output"),
                    5e5
                ),
                (format!("gen_ai.client.operation.duration {common}"), 2.0),
                (
                    format!("gen_ai.client.operation.time_to_first_chunk {common}"),
                    0.25
                ),
                (
                    format!("tower_qwen.client.cost {common} tower_qwen.currency=USD"),
                    0.5
                ),
            ]
        );
    });
}

#[test]
fn codes_that_are_not_known_are_counted() {
    let recorder = Figures::default();
    with_local_recorder(&recorder, || {
        let ledger = Ledger::default().with_sink(Arc::new(MetricsSink::new()));
        recorder.take();
        let mut failed = Entry::unanswered("qwen2", End::Complete);
        failed.unknown_code = Some("brand_new_code".into());
        ledger.record(&failed);
        let counted = "tower_qwen.client.unknown_codes error.code=brand_new_code";
        assert_eq!(recorder.take(), [(counted.to_owned(), 1.0)]);
    });
}

#[test]
fn failures_say_why_and_what_is_unknown_is_left_out() {
    let recorder = Figures::default();
    with_local_recorder(&recorder, || {
        let sink = MetricsSink::new().provider("my host");
        let ledger = Ledger::default().with_sink(Arc::new(sink));
        recorder.take();
        let mut failed = Entry::unanswered("qwen2", End::Complete);
        failed.cause = Some(Cause::RequestRate);
        failed.duration = Some(Duration::from_secs(1));
        ledger.record(&failed);
        assert_eq!(
            recorder.take(),
            [(
                "gen_ai.client.operation.duration error.type=request_rate gen_ai.provider.name=my host \
                 gen_ai.request.model=qwen2"
                    .to_owned(),
                1.0
            )]
        );
        ledger.record(&Entry::unanswered("qwen2", End::Failed));
        assert_eq!(recorder.take(), []);
    });
}

#[test]
fn a_flood_of_models_is_bounded() {
    let recorder = Figures::default();
    with_local_recorder(&recorder, || {
        let ledger = Ledger::default().with_sink(Arc::new(MetricsSink::new()));
        recorder.take();
        for model in 0..1_030 {
            ledger.record(&entry(&format!("model-{model}"), 1, 0));
        }
        ledger.record(&entry("model-3", 1, 0));
        let figures = recorder.take();
        let of = |model: &str| {
            let label = format!("gen_ai.request.model={model} ");
            figures.iter().filter(|row| row.0.contains(&label)).count()
        };
        assert_eq!(of("model-3"), 4);
        assert_eq!(of("model-1023"), 2);
        assert_eq!(of("model-1024"), 0);
        assert_eq!(of("(other)"), 12);
    });
}
