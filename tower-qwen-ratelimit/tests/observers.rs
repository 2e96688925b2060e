//! The events that observers get.

use std::{
    sync::{
        Arc, Mutex, OnceLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use http::{HeaderMap, StatusCode};
use tower_qwen_ratelimit::{
    Cost, Key, Limiter, LimiterEvent, OutputLimit, Pacing, Quota, Reservation,
    observe::LimiterObserver,
};
use tower_qwen_tokens::Verdict;

#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<String>>>);

impl LimiterObserver for Recorder {
    fn on_event(&self, event: &LimiterEvent<'_>) {
        let text = match event {
            LimiterEvent::Admitted {
                waited, reserved, ..
            } => format!("admitted {reserved} after {} s", waited.as_secs()),
            LimiterEvent::Rejected { rejected, .. } => format!("rejected {:?}", rejected.kind()),
            LimiterEvent::Settled {
                reserved,
                used,
                known,
                ..
            } => format!("settled {reserved} as {used}, known: {known}"),
            LimiterEvent::Throttled {
                cause, closed_for, ..
            } => format!("throttled {cause:?} for {} s", closed_for.as_secs()),
            _ => "something else".into(),
        };
        self.0.lock().unwrap().push(text);
    }
}

impl Recorder {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn key() -> Key {
    Key::new("https://host", "qwen-plus")
}

fn throttle() -> Verdict {
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", "7".parse().unwrap());
    let body = br#"{"code":"Throttling.RateQuota","message":"Requests rate limit exceeded, please try again later."}"#;
    Verdict::of_response(
        StatusCode::TOO_MANY_REQUESTS,
        &headers,
        body,
        SystemTime::UNIX_EPOCH,
    )
}

#[tokio::test(start_paused = true)]
async fn an_observer_may_read_the_settled_reservation() {
    let settled: Arc<OnceLock<Weak<Reservation>>> = Arc::default();
    let seen = Arc::new(AtomicU64::new(0));
    let observer = {
        let (settled, seen) = (settled.clone(), seen.clone());
        move |event: &LimiterEvent<'_>| {
            let reservation = settled.get().and_then(Weak::upgrade);
            if let (LimiterEvent::Settled { .. }, Some(reservation)) = (event, reservation) {
                seen.store(reservation.input_tokens(), Ordering::Relaxed);
                // Too late: it is settled.
                reservation.settle(1, 1);
            }
        }
    };
    let quota = Quota::per_minute(2, 1_000).pacing(Pacing::Window);
    let limiter = Limiter::builder(quota).observe(observer).build().unwrap();
    let call = limiter.acquire(&key(), Cost::new(100, OutputLimit::NoOutput));
    let call = Arc::new(call.await.unwrap());
    settled.set(Arc::downgrade(&call)).unwrap();
    call.mark_sent();
    call.settle(90, 0);
    assert_eq!(seen.load(Ordering::Relaxed), 100);
    assert_eq!(limiter.snapshot()[0].settled_tokens, 90);
}

#[tokio::test(start_paused = true)]
async fn every_event_is_emitted_once() {
    let events = Recorder::default();
    let limiter = Limiter::builder(
        Quota::per_minute(2, 1_000)
            .headroom(0)
            .pacing(Pacing::Window),
    )
    .observe(events.clone())
    .observe(|_: &LimiterEvent<'_>| {})
    .build()
    .unwrap();
    let cost = Cost::new(100, OutputLimit::AtMost(50));
    let first = limiter.acquire(&key(), cost).await.unwrap();
    first.mark_sent();
    first.settle(90, 20);
    first.settle(1, 1);
    drop(first);
    assert_eq!(
        events.take(),
        ["admitted 150 after 0 s", "settled 150 as 110, known: true"]
    );

    let second = limiter.acquire(&key(), cost).await.unwrap();
    second.mark_sent();
    second.throttle(&throttle());
    drop(second);
    assert_eq!(
        events.take(),
        [
            "admitted 150 after 0 s",
            "throttled RequestRate for 7 s",
            "settled 150 as 0, known: false"
        ]
    );

    let hasty = limiter
        .acquire(&key(), cost)
        .max_wait(Duration::from_secs(1));
    assert!(hasty.await.is_err());
    assert!(limiter.try_acquire(&key(), cost).is_err());
    let huge = limiter.acquire(&key(), Cost::new(1_001, OutputLimit::NoOutput));
    assert!(huge.await.is_err());
    assert_eq!(
        events.take(),
        ["rejected MaxWait", "rejected MaxWait", "rejected TooLarge"]
    );

    let third = limiter.acquire(&key(), cost).await.unwrap();
    third.mark_sent();
    drop(third);
    let events = events.take();
    assert_eq!(events.len(), 2);
    assert!(events[0].starts_with("admitted 150 after 6"), "{events:?}");
    assert_eq!(events[1], "settled 150 as 150, known: false");
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_shows_its_main_figures() {
    let limiter = Limiter::new(Quota::per_minute(100, 1_000));
    for _ in 0..80 {
        let call = limiter.acquire(&key(), Cost::request()).await.unwrap();
        call.mark_sent();
        call.settle(0, 0);
    }
    let call = limiter.acquire(&key(), Cost::new(100, OutputLimit::NoOutput));
    let call = call.await.unwrap();
    call.mark_sent();
    assert_eq!(
        limiter.snapshot()[0].to_string(),
        "https://host qwen-plus: requests 81/99, tokens 100/990, 1 in flight, 0 queued"
    );
    call.throttle(&throttle());
    assert_eq!(
        limiter.snapshot()[0].to_string(),
        "https://host qwen-plus: requests 81/99 at 81 %, tokens 0/990, 0 in flight, 0 queued, \
         closed for 7s"
    );
}

#[cfg(feature = "metrics")]
#[path = "support/figures.rs"]
mod figures;

#[cfg(feature = "metrics")]
mod metrics {
    use std::time::Duration;

    use metrics::with_local_recorder;
    use tokio_test::{assert_pending, assert_ready_ok, task};
    use tower_qwen_ratelimit::{
        Cost, Key, Limiter, OutputLimit, Pacing, Priority, Quota, observe::LimiterMetrics,
    };

    use super::figures::Figures;

    #[tokio::test(start_paused = true)]
    async fn figures_of_calls_and_accounts() {
        let figures = Figures::default();
        let observer = LimiterMetrics::new();
        let limiter = Limiter::builder(
            Quota::per_minute(60, 1_000)
                .headroom(0)
                .concurrency(5)
                .pacing(Pacing::Window),
        )
        .observe(observer.clone())
        .build()
        .unwrap();
        let reservation = limiter.acquire(&super::key(), Cost::new(100, OutputLimit::AtMost(50)));
        let reservation = reservation.await.unwrap();
        reservation.mark_sent();
        with_local_recorder(&figures, || {
            reservation.settle(80, 40);
            assert!(
                limiter
                    .try_acquire(&super::key(), Cost::new(2_000, OutputLimit::NoOutput))
                    .is_err()
            );
            reservation.throttle(&super::throttle());
            observer.record(&limiter.snapshot());
        });
        let figures = figures.lines();
        for expected in [
            "tower_qwen.ratelimit.estimate_error host qwen-plus = 0.25",
            "tower_qwen.ratelimit.settled_tokens host qwen-plus = 120",
            "tower_qwen.ratelimit.refused host qwen-plus too_large = 1",
            "tower_qwen.ratelimit.throttled host qwen-plus request_rate = 1",
            "tower_qwen.ratelimit.used host qwen-plus tokens = 120",
            "tower_qwen.ratelimit.quota host qwen-plus requests = 60",
            "tower_qwen.ratelimit.queued host qwen-plus normal = 0",
            "tower_qwen.ratelimit.running host qwen-plus = 1",
        ] {
            assert!(
                figures.iter().any(|line| line == expected),
                "{expected}: {figures:#?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_class_has_its_waits_and_its_queue() {
        let (figures, observer) = (Figures::default(), LimiterMetrics::new());
        let quota = Quota::per_minute(1, 1_000).headroom(0);
        let limiter = Limiter::builder(quota.pacing(Pacing::Window))
            .observe(observer.clone())
            .build()
            .unwrap();
        let call = |priority| {
            let acquire = limiter.acquire(&super::key(), Cost::request());
            acquire.priority(priority)
        };
        let mut low = task::spawn(call(Priority::Low));
        with_local_recorder(&figures, || {
            call(Priority::High).try_now().unwrap().mark_sent();
            assert_pending!(low.poll());
            observer.record(&limiter.snapshot());
        });
        tokio::time::advance(Duration::from_secs(61)).await;
        with_local_recorder(&figures, || {
            assert_ready_ok!(low.poll()).mark_sent();
            observer.record(&limiter.snapshot());
        });
        let lines = figures.lines();
        let of = |name: &str| -> Vec<&str> {
            let start = format!("tower_qwen.ratelimit.{name} host qwen-plus ");
            let values = lines.iter().filter_map(|line| line.strip_prefix(&start));
            values.collect()
        };
        assert_eq!(of("wait"), ["high = 0", "low = 61"]);
        let waiting = ["high = 0", "normal = 0", "low = 1"];
        let empty = ["high = 0", "normal = 0", "low = 0"];
        assert_eq!(of("queued"), [waiting, empty].concat());
    }

    #[tokio::test(start_paused = true)]
    async fn an_account_of_the_provider_has_series_of_its_own() {
        let (figures, observer) = (Figures::default(), LimiterMetrics::new());
        let limiter = Limiter::new(Quota::per_minute(60, 1_000));
        for key in [super::key(), super::key().with_account("second")] {
            drop(limiter.try_acquire(&key, Cost::request()).unwrap());
        }
        with_local_recorder(&figures, || observer.record(&limiter.snapshot()));
        let figures = figures.lines();
        for expected in [
            "tower_qwen.ratelimit.queued host qwen-plus normal = 0",
            "tower_qwen.ratelimit.queued host qwen-plus second normal = 0",
        ] {
            assert!(
                figures.iter().any(|line| line == expected),
                "{expected}: {figures:#?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_models_or_hosts_is_bounded() {
        let of_model = |model: u32| Key::new("https://host", &format!("model-{model}"));
        let of_host = |host: u32| Key::new(&format!("https://host-{host}"), "qwen-plus");
        let rows: [(&dyn Fn(u32) -> Key, _, _, _); 2] = [
            (&of_model, "host model-1023", "model-1024", "host (other)"),
            (
                &of_host,
                "host-1023 qwen-plus",
                "host-1024",
                "(other) qwen-plus",
            ),
        ];
        for (key, last, beyond, other) in rows {
            let (figures, observer) = (Figures::default(), LimiterMetrics::new());
            let quota = Quota::per_minute(60, 1_000).pacing(Pacing::Window);
            let limiter = Limiter::builder(quota)
                .observe(observer.clone())
                .build()
                .unwrap();
            with_local_recorder(&figures, || {
                for number in 0..1_026 {
                    let cost = Cost::new(1, OutputLimit::NoOutput);
                    drop(limiter.try_acquire(&key(number), cost).unwrap());
                }
                observer.record(&limiter.snapshot());
            });
            let lines = figures.lines();
            let of = |name: &str, labels: &str| {
                let start = format!("tower_qwen.ratelimit.{name} {labels} ");
                lines.iter().filter(|line| line.starts_with(&start)).count()
            };
            let of_class = |labels: &str| {
                let labels = format!("{labels} normal");
                (of("wait", &labels), of("queued", &labels))
            };
            assert_eq!(of_class(last), (1, 1));
            assert_eq!(of_class(other), (2, 2));
            assert!(!lines.iter().any(|line| line.contains(beyond)));
        }
    }
}
