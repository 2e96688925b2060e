//! Events about attempts and retries.

use std::sync::{Arc, Mutex};

use tower_qwen_retry::{RetryBudget, RetryEvent, RetryPolicy};
use tower_qwen_tokens::{Deadline, PacedUntil, internal::clock::now};

use crate::support::{answer, broken, ms, ok, request, run, throttled, with_header};

/// The events, one line each.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<String>>>);

impl Events {
    fn observe(&self, policy: RetryPolicy) -> RetryPolicy {
        let events = self.clone();
        policy.observe(move |event: &RetryEvent<'_>| {
            let line = match *event {
                RetryEvent::Attempt {
                    model,
                    number,
                    status,
                    cause,
                    took,
                    ..
                } => {
                    assert!(took.is_some());
                    let status =
                        status.map_or("no answer".to_owned(), |status| status.as_str().to_owned());
                    let cause = cause.map_or("", |cause| cause.as_str());
                    format!("{model} {number}: {status} {cause}")
                }
                RetryEvent::Retry {
                    number,
                    cause,
                    held_by_admission,
                    wait,
                    ..
                } => {
                    assert!(wait > ms(0));
                    format!(
                        "again after {number}, {cause}{}",
                        if held_by_admission { ", held" } else { "" }
                    )
                }
                RetryEvent::GaveUp {
                    number, cause, why, ..
                } => format!("no more after {number}, {cause}: {why}"),
                _ => "something else".to_owned(),
            };
            events.0.lock().expect("unbroken").push(line);
        })
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().expect("unbroken"))
    }
}

#[tokio::test(start_paused = true)]
async fn every_attempt_and_every_retry_is_observed() {
    let events = Events::default();
    let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let mut held = throttled();
    held.extensions_mut().insert(PacedUntil::new(now()));
    let script = vec![Ok(broken()), Err(reset.into()), Ok(held), Ok(ok())];
    run(events.observe(RetryPolicy::default()), request(), script).await;
    assert_eq!(
        events.take(),
        [
            "qwen-plus 1: 500 server_error",
            "again after 1, server_error",
            "qwen-plus 2: no answer transport",
            "again after 2, transport",
            "qwen-plus 3: 429 request_rate",
            "again after 3, request_rate, held",
            "qwen-plus 4: 200 ",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_reason_for_giving_up_is_observed() {
    let events = Events::default();
    let policy = || events.observe(RetryPolicy::default());
    run(policy().max_attempts(1), request(), vec![Ok(broken())]).await;
    assert_eq!(
        events.take().len(),
        1,
        "a call that may not be repeated is not given up"
    );

    run(
        policy().max_attempts(2),
        request(),
        vec![Ok(broken()), Ok(broken())],
    )
    .await;
    assert_eq!(events.take()[3], "no more after 2, server_error: attempts");

    let poor = policy().budget(RetryBudget::new(0, 0));
    run(poor, request(), vec![Ok(broken())]).await;
    assert_eq!(events.take()[1], "no more after 1, server_error: budget");

    let late = with_header(throttled(), "retry-after", "121");
    run(policy(), request(), vec![Ok(late)]).await;
    assert_eq!(
        events.take()[1],
        "no more after 1, request_rate: retry_after"
    );

    let mut hurried = request();
    hurried.extensions_mut().insert(Deadline::after(ms(10)));
    run(policy(), hurried, vec![Ok(throttled())]).await;
    assert_eq!(events.take()[1], "no more after 1, request_rate: deadline");

    let mut away = answer(503, "");
    away.extensions_mut()
        .insert(PacedUntil::new(now() + ms(200_000)).outage(true));
    run(policy(), request(), vec![Ok(away)]).await;
    assert_eq!(events.take()[1], "no more after 1, unavailable: patience");

    run(policy(), request(), vec![Err("unknown".into())]).await;
    assert_eq!(events.take(), ["qwen-plus 1: no answer "]);
}

/// One call that is throttled, then breaks, then fails, with this observer.
#[cfg(any(feature = "metrics", feature = "tracing"))]
fn one_call(observer: impl tower_qwen_retry::RetryObserver + 'static) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let script = vec![Ok(throttled()), Err(reset.into()), Ok(broken())];
    let policy = RetryPolicy::default().max_attempts(3).observe(observer);
    let called = run(policy, request(), script);
    runtime.expect("a runtime").block_on(called);
}

#[cfg(feature = "metrics")]
mod metrics {
    use std::sync::{Arc, Mutex};

    use metrics::{
        Counter, CounterFn, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
        SharedString, Unit, with_local_recorder,
    };
    use tower_qwen_retry::{RetryPolicy, observe::RetryMetrics};

    use crate::support::{PROMPT, ok, request, run};

    #[derive(Clone, Default)]
    struct Figures(Arc<Mutex<Vec<String>>>);

    struct Series(String, Figures);

    impl Series {
        fn add(&self) {
            self.1.0.lock().expect("unbroken").push(self.0.clone());
        }
    }

    impl CounterFn for Series {
        fn increment(&self, value: u64) {
            assert_eq!(value, 1);
            self.add();
        }
        fn absolute(&self, _: u64) {}
    }

    impl HistogramFn for Series {
        fn record(&self, value: f64) {
            assert!((0.0..60.0).contains(&value));
            self.add();
        }
    }

    impl Figures {
        fn series(&self, key: &Key) -> Arc<Series> {
            let labels: Vec<_> = key.labels().map(|label| label.value().to_owned()).collect();
            let name = format!("{} {}", key.name(), labels.join(" "));
            Arc::new(Series(name, self.clone()))
        }
    }

    impl Recorder for Figures {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            Counter::from_arc(self.series(key))
        }
        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }
        fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::from_arc(self.series(key))
        }
    }

    #[test]
    fn metrics_of_a_call() {
        let figures = Figures::default();
        with_local_recorder(&figures, || super::one_call(RetryMetrics::new()));
        assert_eq!(
            *figures.0.lock().expect("unbroken"),
            [
                "tower_qwen.retry.attempts qwen-plus request_rate",
                "tower_qwen.retry.attempt_duration qwen-plus",
                "tower_qwen.retry.retries qwen-plus request_rate false",
                "tower_qwen.retry.wait qwen-plus",
                "tower_qwen.retry.attempts qwen-plus transport",
                "tower_qwen.retry.attempt_duration qwen-plus",
                "tower_qwen.retry.retries qwen-plus transport false",
                "tower_qwen.retry.wait qwen-plus",
                "tower_qwen.retry.attempts qwen-plus server_error",
                "tower_qwen.retry.attempt_duration qwen-plus",
                "tower_qwen.retry.given_up qwen-plus server_error attempts",
            ]
        );
    }

    #[test]
    fn the_number_of_models_is_bounded() {
        let (figures, observer) = (Figures::default(), RetryMetrics::new());
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let flood = async {
            for number in 0..1_026 {
                let prompt = PROMPT.replace("qwen-plus", &format!("model-{number}"));
                let request = request().map(|_| prompt.into());
                let policy = RetryPolicy::default().observe(observer.clone());
                run(policy, request, vec![Ok(ok())]).await;
            }
        };
        let runtime = runtime.expect("a runtime");
        with_local_recorder(&figures, || runtime.block_on(flood));
        let lines = figures.0.lock().expect("unbroken");
        let of = |model: &str| {
            let line = format!("tower_qwen.retry.attempts {model} none");
            lines.iter().filter(|other| **other == line).count()
        };
        assert_eq!(
            (of("model-1023"), of("model-1024"), of("(other)")),
            (1, 0, 2)
        );
    }
}

#[cfg(feature = "tracing")]
mod tracing {
    use std::{
        fmt::Debug,
        sync::{Arc, Mutex},
    };

    use tower_qwen_retry::observe::RetryTracing;
    use tracing::{
        Event, Metadata, Subscriber,
        field::{Field, Visit},
        span,
        subscriber::with_default,
    };

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<String>>>);

    struct Line(String);

    impl Visit for Line {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            if !matches!(field.name(), "took" | "wait") {
                self.0 += &format!(" {}={value:?}", field.name());
            }
        }
    }

    impl Subscriber for Lines {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == "tower_qwen_retry"
        }
        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }
        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn event(&self, event: &Event<'_>) {
            let mut line = Line(event.metadata().level().to_string());
            event.record(&mut line);
            self.0.lock().expect("unbroken").push(line.0);
        }
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }

    #[test]
    fn events_of_a_call_hold_figures_and_names() {
        let lines = Lines::default();
        with_default(lines.clone(), || super::one_call(RetryTracing::new()));
        assert_eq!(
            *lines.0.lock().expect("unbroken"),
            [
                r#"DEBUG message=attempt model="qwen-plus" number=1 status=429 cause="request_rate""#,
                r#"INFO message=retry model="qwen-plus" number=1 cause="request_rate" held_by_admission=false"#,
                r#"DEBUG message=attempt model="qwen-plus" number=2 cause="transport""#,
                r#"INFO message=retry model="qwen-plus" number=2 cause="transport" held_by_admission=false"#,
                r#"DEBUG message=attempt model="qwen-plus" number=3 status=500 cause="server_error""#,
                r#"WARN message=gave up model="qwen-plus" number=3 cause="server_error" why="attempts""#,
            ]
        );
    }
}
