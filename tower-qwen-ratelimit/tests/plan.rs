//! An account whose plan is used up: closed until the stated end, probed now and then.

use std::{
    convert::Infallible,
    error::Error,
    io::{self, ErrorKind},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tokio::time::{advance, sleep};
use tower::{Layer, ServiceExt, service_fn};
use tower_qwen_ratelimit::{
    AccountSnapshot, AdmissionLayer, BoxError, Discipline, Limiter, LimiterBuilder, LimiterEvent,
    Pacing, Quota, RejectKind, Rejected,
};
use tower_qwen_tokens::{
    PlanUsedUp,
    internal::clock::{Instant, WallClock, now},
    ledger::Tenant,
};

type Body = Full<Bytes>;
type Answer = Response<Body>;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// A provider: when it was called, and what it answers at that time.
#[derive(Clone)]
struct Provider {
    start: Instant,
    sent: Arc<Mutex<Vec<Duration>>>,
    answers: Arc<dyn Fn(Duration) -> (Answer, Duration) + Send + Sync>,
}

impl Provider {
    /// Answers at once.
    fn new(answers: impl Fn(Duration) -> Answer + Send + Sync + 'static) -> Self {
        Self::slow(move |at| (answers(at), Duration::ZERO))
    }

    /// Answers after a time.
    fn slow(answers: impl Fn(Duration) -> (Answer, Duration) + Send + Sync + 'static) -> Self {
        Self {
            start: now(),
            sent: Arc::default(),
            answers: Arc::new(answers),
        }
    }

    /// What became of one call.
    async fn call(&self, layer: &AdmissionLayer) -> Result<StatusCode, BoxError> {
        self.call_of(layer, "").await
    }

    async fn call_of(&self, layer: &AdmissionLayer, tenant: &str) -> Result<StatusCode, BoxError> {
        let provider = self.clone();
        let service = layer.layer(service_fn(move |_: Request<Body>| {
            let provider = provider.clone();
            async move {
                let at = provider.start.elapsed();
                provider.sent.lock().unwrap().push(at);
                let (answer, time) = (provider.answers)(at);
                sleep(time).await;
                Ok::<_, Infallible>(answer)
            }
        }));
        let body = r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Hello!"}]}"#;
        let request = Request::post("https://host/compatible-mode/v1/chat/completions")
            .extension(Tenant::new(tenant.to_owned()))
            .body(Full::from(body))
            .unwrap();
        Ok(service.oneshot(request).await?.status())
    }

    fn sent(&self) -> Vec<Duration> {
        self.sent.lock().unwrap().clone()
    }

    fn minutes(&self) -> Vec<u64> {
        self.sent().iter().map(|at| at.as_secs() / 60).collect()
    }
}

fn ok() -> Answer {
    Response::new(Body::from("{}"))
}

fn error(status: StatusCode, body: impl Into<String>) -> Answer {
    let mut answer = Response::new(Body::from(body.into()));
    *answer.status_mut() = status;
    answer
}

/// The plan is used up until `end`.
fn used_up(at: Duration, end: Duration) -> Answer {
    let seconds = end.saturating_sub(at).as_secs();
    let body =
        format!(r#"{{"error":{{"type":"usage_limit_reached","resets_in_seconds":{seconds}}}}}"#);
    error(StatusCode::TOO_MANY_REQUESTS, body)
}

/// It is, and the provider does not say until when.
fn used_up_for_some_time() -> Answer {
    let body = r#"{"error":{"message":"you (u) have reached your session usage limit, upgrade for higher limits","type":"api_error"}}"#;
    error(StatusCode::TOO_MANY_REQUESTS, body)
}

fn builder() -> LimiterBuilder {
    Limiter::builder(Quota::per_minute(600, 600_000).pacing(Pacing::Window))
}

fn layer(builder: LimiterBuilder) -> (Limiter, AdmissionLayer) {
    let limiter = builder.build().unwrap();
    let layer = AdmissionLayer::new(limiter.clone());
    (limiter, layer)
}

fn account(limiter: &Limiter) -> AccountSnapshot {
    limiter.snapshot().remove(0)
}

fn rejected(result: Result<StatusCode, BoxError>) -> Rejected {
    let rejected = *result.unwrap_err().downcast::<Rejected>().unwrap();
    assert_eq!(rejected.kind(), RejectKind::PlanUsedUp);
    rejected
}

/// One call a minute, from now on.
async fn call_each_minute(provider: &Provider, layer: &AdmissionLayer, minutes: u32) {
    for _ in 0..minutes {
        let _ = provider.call(layer).await;
        advance(MINUTE).await;
    }
}

#[tokio::test(start_paused = true)]
async fn five_hours_cost_a_request_and_a_probe_each_half_hour() {
    let (limiter, layer) = layer(builder());
    let wall = WallClock::new().now();
    let end = 5 * HOUR;
    let provider = Provider::new(move |at| match at < end {
        true => used_up(at, end),
        false => ok(),
    });
    let first = provider.call(&layer).await.unwrap();
    assert_eq!(first, StatusCode::TOO_MANY_REQUESTS);

    advance(MINUTE).await;
    let rejected = rejected(provider.call(&layer).await);
    assert_eq!(rejected.predicted_wait(), Some(end - MINUTE));
    let until = rejected.until().unwrap();
    let off = until
        .duration_since(wall + end)
        .unwrap_or_else(|off| off.duration());
    assert!(off < Duration::from_secs(5), "{off:?}");
    let source = rejected.source().unwrap().downcast_ref::<PlanUsedUp>();
    assert_eq!(source, Some(&PlanUsedUp::new(Some(until))));
    let says = rejected.to_string();
    assert!(
        says.starts_with("a window of the account's plan is used up until "),
        "{says}"
    );
    let state = account(&limiter);
    assert_eq!(state.closed_for, end - MINUTE);
    assert!(
        state.to_string().contains("closed for 17940s: a window of"),
        "{state}"
    );

    call_each_minute(&provider, &layer, 299).await;
    assert_eq!(provider.start.elapsed(), end);
    let minutes = [0, 30, 60, 90, 120, 150, 180, 210, 240, 270];
    assert_eq!(provider.minutes(), minutes);
    assert_eq!(provider.call(&layer).await.unwrap(), StatusCode::OK);
    assert_eq!(account(&limiter).plan_used_up, None);
}

#[tokio::test(start_paused = true)]
async fn at_the_stated_end_one_call_goes_and_then_all() {
    for discipline in [Discipline::Fifo, Discipline::Fair] {
        let (_, layer) = layer(builder().discipline(discipline));
        let end = 5 * HOUR;
        let takes = Duration::from_millis(300);
        let provider = Provider::slow(move |at| match at < end {
            true => (used_up(at, end), Duration::ZERO),
            false => (ok(), takes),
        });
        provider.call(&layer).await.unwrap();
        advance(end).await;
        let calls = (0..20).map(|call| {
            let (provider, layer) = (&provider, &layer);
            async move { provider.call_of(layer, &(call % 3).to_string()).await }
        });
        for result in join_all(calls).await {
            assert_eq!(result.unwrap(), StatusCode::OK);
        }
        let sent = provider.sent();
        assert_eq!(sent.len(), 21);
        assert_eq!(sent[1], end, "the probe");
        let others = &sent[2..];
        let soon = end + takes..end + takes + Duration::from_millis(10);
        assert!(others.iter().all(|at| soon.contains(at)), "{others:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_accepted_opens_the_account() {
    for stated in [true, false] {
        let (_, layer) = layer(builder());
        let provider = Provider::new(move |at| match (at < 40 * MINUTE, stated) {
            (true, true) => used_up(at, 300 * MINUTE),
            (true, false) => used_up_for_some_time(),
            (false, _) => ok(),
        });
        call_each_minute(&provider, &layer, 64).await;
        assert_eq!(provider.minutes(), [0, 30, 60, 61, 62, 63], "{stated}");
    }
}

#[tokio::test(start_paused = true)]
async fn while_a_probe_is_under_way_the_others_are_rejected() {
    let (_, layer) = layer(builder());
    let provider = Provider::slow(|at| match at < 90 * MINUTE {
        true => (used_up_for_some_time(), Duration::from_secs(10)),
        false => (ok(), Duration::from_secs(10)),
    });
    provider.call(&layer).await.unwrap();
    advance(40 * MINUTE).await;
    let calls = (0..20).map(|_| provider.call(&layer));
    let results = join_all(calls).await;
    let answered = results.into_iter().filter(|result| match result {
        Ok(_) => true,
        Err(error) => {
            let rejected = error.downcast_ref::<Rejected>().unwrap();
            assert_eq!((rejected.until(), rejected.predicted_wait()), (None, None));
            false
        }
    });
    assert_eq!(answered.count(), 1);
    // The caller of a probe goes away: nothing is learned, so another goes soon, but not for each call.
    advance(60 * MINUTE).await;
    let dropped = tokio::time::timeout(Duration::from_secs(1), provider.call(&layer)).await;
    assert!(dropped.is_err());
    assert_eq!(provider.sent().len(), 3);
    rejected(provider.call(&layer).await);
    advance(Duration::from_secs(30)).await;
    assert_eq!(provider.call(&layer).await.unwrap(), StatusCode::OK);
    assert_eq!(provider.call(&layer).await.unwrap(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn without_probes_nothing_goes_before_the_end() {
    for (stated, end) in [(true, 300), (false, 30)] {
        let (_, layer) = layer(builder().plan_probe_interval(None));
        let provider = Provider::new(move |at| match (at < end * MINUTE, stated) {
            (true, true) => used_up(at, end * MINUTE),
            (true, false) => used_up_for_some_time(),
            (false, _) => ok(),
        });
        call_each_minute(&provider, &layer, end + 2).await;
        let end = u64::from(end);
        assert_eq!(provider.minutes(), [0, end, end + 1]);
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_are_rejected_with_those_that_come() {
    for discipline in [Discipline::Fifo, Discipline::Fair] {
        let quota = Quota::per_minute(60, 600_000);
        let (limiter, layer) = layer(Limiter::builder(quota).discipline(discipline));
        let provider = Provider::new(|at| used_up(at, HOUR));
        let calls = (0..20).map(|call| {
            let (provider, layer) = (&provider, &layer);
            async move { provider.call_of(layer, &(call % 3).to_string()).await }
        });
        let results = join_all(calls).await;
        let took = provider.start.elapsed();
        assert!(took < Duration::from_secs(2), "{took:?}");
        assert_eq!(provider.sent().len(), 1);
        let errors: Vec<_> = results.into_iter().filter(Result::is_err).collect();
        assert_eq!(errors.len(), 19);
        for error in errors {
            assert!(rejected(error).until().is_some());
        }
        assert_eq!(account(&limiter).queued, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_needs_no_wait_is_rejected_alike() {
    let (limiter, layer) = layer(builder());
    Provider::new(|at| used_up(at, HOUR))
        .call(&layer)
        .await
        .unwrap();
    let key = account(&limiter).key;
    let cost = tower_qwen_ratelimit::Cost::request();
    let rejected = limiter.try_acquire(&key, cost).unwrap_err();
    assert_eq!(rejected.kind(), RejectKind::PlanUsedUp);
    assert_eq!(rejected.predicted_wait(), Some(HOUR));
    let other = tower_qwen_ratelimit::Key::new("https://host", "qwen-flash");
    assert!(
        limiter.try_acquire(&other, cost).is_ok(),
        "other accounts go on"
    );
}

#[tokio::test(start_paused = true)]
async fn observers_get_each_closure_and_an_absurd_wait_once() {
    let events: Arc<Mutex<Vec<String>>> = Arc::default();
    let observer = {
        let events = events.clone();
        move |event: &LimiterEvent<'_>| {
            let text = match event {
                LimiterEvent::PlanUsedUp { until, .. } => {
                    format!("used up, stated: {}", until.is_some())
                }
                LimiterEvent::AbsurdWait { cause, .. } => format!("absurd: {cause}"),
                _ => return,
            };
            events.lock().unwrap().push(text);
        }
    };
    let (_, layer) = layer(builder().observe(observer));
    let provider = Provider::slow(|at| {
        let answer = match at < MINUTE {
            true => used_up(at, 40 * MINUTE),
            false => {
                let mut answer = error(StatusCode::TOO_MANY_REQUESTS, "{}");
                let date = "Fri, 31 Dec 9999 23:59:59 GMT".parse().unwrap();
                answer.headers_mut().insert("retry-after", date);
                answer
            }
        };
        (answer, Duration::from_secs(1))
    });
    join_all((0..5).map(|_| provider.call(&layer))).await;
    assert_eq!(*events.lock().unwrap(), ["used up, stated: true"]);
    advance(40 * MINUTE).await;
    for _ in 0..3 {
        provider.call(&layer).await.unwrap();
    }
    let events = events.lock().unwrap().clone();
    assert_eq!(events, ["used up, stated: true", "absurd: throttled"]);
}

/// A place comes free when another call ends: nobody has to wait for as long as the server says at most.
#[tokio::test(start_paused = true)]
async fn a_wait_beside_too_many_calls_at_one_time_is_a_ceiling() {
    let (limiter, layer) = layer(builder());
    let body = r#"{"code":"Throttling.Concurrency","message":"Too many concurrent requests."}"#;
    let provider = Provider::new(move |_| {
        let mut answer = error(StatusCode::TOO_MANY_REQUESTS, body);
        let headers = answer.headers_mut();
        headers.insert("retry-after", "120".parse().unwrap());
        answer
    });
    provider.call(&layer).await.unwrap();
    assert_eq!(account(&limiter).closed_for, Duration::from_secs(1));
    provider.call(&layer).await.unwrap();
    assert_eq!(
        account(&limiter).closed_for,
        Duration::from_secs(2),
        "it grows"
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_never_worked_on_costs_nothing() {
    for (kind, charged) in [
        (ErrorKind::ConnectionRefused, 0),
        (ErrorKind::ConnectionReset, 1),
    ] {
        let (limiter, layer) = layer(builder());
        let service = layer.layer(service_fn(move |_: Request<Body>| async move {
            Err::<Answer, _>(io::Error::other(io::Error::from(kind)))
        }));
        let request = Request::post("https://host/v1/chat/completions")
            .body(Full::from(
                r#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#,
            ))
            .unwrap();
        service.oneshot(request).await.unwrap_err();
        let state = account(&limiter);
        assert_eq!(
            (state.requests.used, state.in_flight),
            (charged, 0),
            "{kind:?}"
        );
        assert_eq!(state.tokens.used > 0, charged == 1, "{kind:?}");
    }
}
