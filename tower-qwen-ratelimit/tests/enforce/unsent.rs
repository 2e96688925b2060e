//! Calls that a gateway has admitted and never sent on: they cost nothing and hold nothing.

use std::{future::pending, io, sync::Arc, time::Duration};

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use tokio_test::{assert_pending, task};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_qwen_ratelimit::{AdmissionLayer, BoxError, Limiter, Pacing, Quota, admission};
use tower_qwen_tokens::{
    Basis, CallReport, Ledger, MeterLayer, PriceBook,
    ledger::{MemorySink, Record},
};

use crate::support::{Body, account, chat, layer, limiter};

type Upstream = Response<admission::ResponseBody<Body>>;

/// Who may call, what the provider grants, and what was recorded.
struct Gateway {
    callers: Limiter,
    upstream: Limiter,
    records: Arc<MemorySink>,
    ledger: Ledger,
}

impl Gateway {
    /// The provider grants one call a minute.
    fn new() -> Self {
        let quota = Quota::per_minute(1, 1_000_000);
        let records = Arc::new(MemorySink::new(100));
        Self {
            callers: limiter(100, 10_000),
            upstream: Limiter::new(quota.headroom(0).pacing(Pacing::Window)),
            ledger: Ledger::new(PriceBook::builtin()).with_sink(records.clone()),
            records,
        }
    }

    /// Enforce, Meter, what the handler makes of the client's result, Admission, transport.
    async fn call<F, T>(
        &self,
        transport: T,
        answer: F,
        request: Request<Body>,
    ) -> Result<StatusCode, BoxError>
    where
        T: Service<Request<Body>, Response = Response<Body>, Error = BoxError, Future: Send>
            + Clone,
        F: Fn(Result<Upstream, BoxError>) -> Result<Upstream, BoxError> + Clone,
    {
        let client = AdmissionLayer::new(self.upstream.clone())
            .max_wait(Duration::from_secs(120))
            .layer(transport);
        let handler = service_fn(move |request: Request<Body>| {
            let (client, answer) = (client.clone(), answer.clone());
            async move { answer(client.oneshot(request).await) }
        });
        let meter = MeterLayer::new(self.ledger.clone()).layer(handler);
        let answer = layer(&self.callers).layer(meter).oneshot(request).await?;
        let status = answer.status();
        answer.into_body().collect().await?;
        Ok(status)
    }

    fn used(&self) -> u64 {
        account(&self.callers).tokens.used
    }

    fn assert_free(&self, what: &str) -> Record<'static> {
        let callers = account(&self.callers);
        assert_eq!((callers.tokens.used, callers.in_flight), (0, 0), "{what}");
        let total = self.ledger.snapshot().total;
        assert_eq!(
            (total.calls, total.estimated, total.unknown),
            (1, 0, 0),
            "{what}"
        );
        assert!(total.cost.is_empty() && total.input_tokens == 0, "{what}");
        let record = self.records.records().remove(0);
        assert_eq!(
            (record.entry.basis, record.cost),
            (Basis::NotSent, None),
            "{what}"
        );
        record
    }
}

fn chat_with(report: &CallReport) -> Request<Body> {
    let mut request = chat();
    request.extensions_mut().insert(report.clone());
    request
}

#[tokio::test(start_paused = true)]
async fn who_leaves_the_queue_costs_nothing_wherever_it_is() {
    let never = || service_fn(|_: Request<Body>| pending::<Result<Response<Body>, BoxError>>());
    for seconds in [0, 1, 30, 59] {
        let gateway = Gateway::new();
        // Takes the provider's quota, for a caller of another account.
        let mut first = chat();
        let other = "Bearer sk-2".parse().expect("a value");
        first.headers_mut().insert("authorization", other);
        let client = AdmissionLayer::new(gateway.upstream.clone()).layer(never());
        let mut running = task::spawn(client.oneshot(first));
        assert_pending!(running.poll());

        let report = CallReport::new();
        let mut call = task::spawn(gateway.call(never(), |answer| answer, chat_with(&report)));
        assert_pending!(call.poll());
        for _ in 0..seconds {
            tokio::time::advance(Duration::from_secs(1)).await;
            assert_pending!(call.poll());
        }
        assert!(gateway.used() > 100, "it is charged while it waits");
        assert_eq!(report.queued(), Duration::from_secs(seconds));
        drop(call);
        let record = gateway.assert_free(&format!("{seconds} s"));
        assert_eq!(record.entry.attempt, Some(0));
        assert_eq!(record.entry.queued, Some(Duration::from_secs(seconds)));
        assert_eq!((report.sends(), report.was_sent()), (0, false));
        assert_eq!(
            (report.basis(), report.has_ended()),
            (Some(Basis::NotSent), true)
        );
        let upstream = account(&gateway.upstream);
        assert_eq!(
            (upstream.queued, upstream.in_flight),
            (0, 1),
            "the first alone"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn who_leaves_after_the_send_keeps_the_estimate() {
    let gateway = Gateway::new();
    let never = service_fn(|_: Request<Body>| pending::<Result<Response<Body>, BoxError>>());
    let report = CallReport::new();
    let mut call = task::spawn(gateway.call(never, |answer| answer, chat_with(&report)));
    assert_pending!(call.poll());
    drop(call);
    assert!(gateway.used() > 100);
    assert_eq!(gateway.ledger.snapshot().total.estimated, 1);
    assert_eq!((report.sends(), report.was_sent()), (1, true));
}

/// The gateway's own error, or its own answer.
fn as_is(result: Result<Upstream, BoxError>) -> Result<Upstream, BoxError> {
    result
}

#[tokio::test(start_paused = true)]
async fn what_never_began_costs_nothing_whatever_the_handler_makes_of_it() {
    let refuses = service_fn(|_: Request<Body>| async {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        Err::<Response<Body>, BoxError>(refused.into())
    });
    let gateway = Gateway::new();
    gateway
        .call(refuses, as_is, chat())
        .await
        .expect_err("refused");
    assert_eq!(gateway.assert_free("an error").entry.attempt, Some(1));
    let upstream = account(&gateway.upstream);
    assert_eq!((upstream.tokens.used, upstream.requests.used), (0, 0));
    // governor gives no request back.
    assert_eq!(account(&gateway.callers).requests.used, 1);
}

#[tokio::test(start_paused = true)]
async fn an_error_answer_of_the_gateways_own_costs_nothing() {
    let upstream = Limiter::new(Quota::per_minute(100, 1)); // too small for any call
    let gateway = Gateway {
        upstream,
        ..Gateway::new()
    };
    let ok =
        service_fn(|_: Request<Body>| async { Ok::<_, BoxError>(Response::new(Body::default())) });
    let report = CallReport::new();
    // The handler answers every failure with 503.
    let client = AdmissionLayer::new(gateway.upstream.clone()).layer(ok);
    let handler = service_fn(move |request: Request<Body>| {
        let client = client.clone();
        async move {
            let mut answer = Response::new(Body::default());
            if client.oneshot(request).await.is_err() {
                *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            }
            Ok::<_, BoxError>(answer)
        }
    });
    let meter = MeterLayer::new(gateway.ledger.clone()).layer(handler);
    let server = layer(&gateway.callers).layer(meter);
    let answer = server.oneshot(chat_with(&report)).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    answer.into_body().collect().await.expect("a body");
    gateway.assert_free("503");
    assert!(!report.was_sent());
}
