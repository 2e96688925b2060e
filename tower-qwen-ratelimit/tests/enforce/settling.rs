use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_qwen_ratelimit::{AdmissionLayer, EnforceLayer, KeyOf, Limiter, enforce::Reserved};
use tower_qwen_tokens::{Ledger, MeterLayer, PriceBook};

use crate::support::{Body, account, answering, chat, layer, limiter, send};

/// Enforce before a Meter before a handler that answers so; the answer's body is read to its end.
async fn metered(
    limiter: &Limiter,
    status: u16,
    kind: &'static str,
    body: &'static str,
) -> StatusCode {
    let handler = service_fn(move |_: Request<Body>| async move {
        Response::builder()
            .status(status)
            .header("content-type", kind)
            .body(Full::<Bytes>::from(body))
    });
    let meter = MeterLayer::new(Ledger::new(PriceBook::builtin())).layer(handler);
    let server = EnforceLayer::new(limiter.clone(), KeyOf::api_key()).layer(meter);
    let answer = server.oneshot(chat()).await.unwrap();
    let status = answer.status();
    let read = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(read, body);
    status
}

const JSON: &str = "application/json";

#[tokio::test(start_paused = true)]
async fn the_meters_report_corrects_the_tokens() {
    let limiter = limiter(10, 10_000);
    let body = r#"{"choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":200,"total_tokens":1200}}"#;
    assert_eq!(metered(&limiter, 200, JSON, body).await, 200);
    let account = account(&limiter);
    assert_eq!((account.tokens.used, account.in_flight), (1_200, 0));
    assert_eq!(account.requests.used, 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_meter_the_estimate_stands() {
    let limiter = limiter(10, 10_000);
    let server = answering(&layer(&limiter), StatusCode::OK, "");
    send(&server, chat()).await;
    let account = account(&limiter);
    assert!(
        (103..130).contains(&account.tokens.used),
        "{}",
        account.tokens.used
    );
    assert_eq!(
        (account.settled_tokens, account.in_flight),
        (account.tokens.used, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_left_before_its_first_word_keeps_the_estimate() {
    let ledger = Ledger::new(PriceBook::builtin());
    let handler = service_fn(|_: Request<Body>| async {
        Response::builder()
            .header("content-type", "text/event-stream")
            .body(Full::<Bytes>::from(
                "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n",
            ))
    });
    let meter = MeterLayer::new(ledger.clone()).layer(handler);
    let limiter = limiter(10, 10_000);
    let server = EnforceLayer::new(limiter.clone(), KeyOf::api_key()).layer(meter);
    drop(server.oneshot(chat()).await.unwrap());
    let account = account(&limiter);
    let charged = account.tokens.used;
    assert_eq!((account.settled_tokens, account.in_flight), (charged, 0));
    let total = ledger.snapshot().total;
    assert_eq!((total.estimated, total.output_tokens), (1, 0));
    assert!(
        charged >= total.input_tokens + 100,
        "{charged}: the answer is still set aside"
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_handler_rejects_costs_a_request_and_what_fails_its_prompt() {
    for status in [400, 401, 404, 413, 429] {
        let limiter = limiter(10, 10_000);
        let server = answering(&layer(&limiter), StatusCode::from_u16(status).unwrap(), "");
        assert_eq!(send(&server, chat()).await.status(), status);
        let account = account(&limiter);
        assert_eq!(
            (account.requests.used, account.tokens.used),
            (1, 0),
            "{status}"
        );
    }
    for status in [500, 502, 503, 504] {
        let limiter = limiter(10, 10_000);
        let server = answering(&layer(&limiter), StatusCode::from_u16(status).unwrap(), "");
        assert_eq!(send(&server, chat()).await.status(), status);
        let used = account(&limiter).tokens.used;
        assert!((3..30).contains(&used), "{status}: {used}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_throttle_behind_the_handler_does_not_close_the_callers_account() {
    let throttle = r#"{"error":{"code":"limit_requests","message":"You have exceeded your current request limit.","type":"limit_requests"}}"#;
    let event = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\ndata: {\"error\":{\"code\":\"limit_requests\",\"message\":\"Requests rate limit exceeded\",\"type\":\"limit_requests\"}}\n\n";
    let rows = [
        (429, JSON, throttle),
        (429, JSON, ""),
        (200, "text/event-stream", event),
    ];
    for (status, kind, body) in rows {
        let limiter = limiter(10, 10_000);
        assert_eq!(metered(&limiter, status, kind, body).await, status);
        let account = account(&limiter);
        assert!(
            account.closed_for.is_zero() && account.throttled.is_empty(),
            "{body}"
        );
        assert_eq!((account.tokens.rate_percent, account.in_flight), (100, 0));
        let ok = r#"{"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;
        assert_eq!(metered(&limiter, 200, JSON, ok).await, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_is_used_up_behind_the_handler_does_not_close_the_callers_account() {
    let with_end = r#"{"error":{"type":"usage_limit_reached","resets_in_seconds":3600}}"#;
    let without = r#"{"error":{"message":"you (u) have reached your session usage limit, upgrade for higher limits","type":"api_error"}}"#;
    let event = format!("data: {with_end}\n\n");
    let rows = [
        (429, JSON, with_end),
        (429, JSON, without),
        (200, "text/event-stream", event.leak()),
    ];
    for (status, kind, body) in rows {
        let limiter = limiter(10, 10_000);
        assert_eq!(metered(&limiter, status, kind, body).await, status);
        let account = account(&limiter);
        assert_eq!(account.plan_used_up, None, "{body}");
        assert!(account.closed_for.is_zero(), "{body}");
        let ok = r#"{"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;
        assert_eq!(metered(&limiter, 200, JSON, ok).await, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn an_under_estimate_is_owed() {
    let limiter = limiter(10, 1_000);
    let body = r#"{"choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":7000,"total_tokens":8000}}"#;
    assert_eq!(metered(&limiter, 200, JSON, body).await, 200);
    let server = answering(&layer(&limiter), StatusCode::OK, "");
    assert_eq!(send(&server, chat()).await.status(), 429);
    tokio::time::advance(std::time::Duration::from_secs(61)).await;
    assert_eq!(send(&server, chat()).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn what_is_learned_is_the_cost_of_one_answer() {
    let limiter = limiter(10, 100_000);
    let body =
        r#"{"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":200,"total_tokens":210}}"#;
    let handler = service_fn(move |_: Request<Body>| async move {
        Response::builder()
            .header("content-type", JSON)
            .body(Full::<Bytes>::from(body))
    });
    let meter = MeterLayer::new(Ledger::new(PriceBook::builtin())).layer(handler);
    let server = EnforceLayer::new(limiter.clone(), KeyOf::api_key()).layer(meter);
    for _ in 0..8 {
        let two = r#"{"model":"qwen-plus","messages":[],"max_tokens":900,"n":2}"#;
        let request = crate::support::request(crate::support::CHAT, two);
        let answer = server.clone().oneshot(request).await.unwrap();
        answer.into_body().collect().await.unwrap();
    }
    assert_eq!(account(&limiter).expected_output, 100);
}

const THROTTLE: &str = r#"{"error":{"code":"limit_requests","message":"Requests rate limit exceeded","type":"limit_requests"}}"#;
const THROTTLED_STREAM: &str = "data: {\"error\":{\"code\":\"limit_requests\",\"message\":\"Requests rate limit exceeded\",\"type\":\"limit_requests\"}}\n\n";
const OF_1200: &str =
    r#"{"choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":200,"total_tokens":1200}}"#;

fn whole(status: u16, kind: &str, body: &'static str) -> Response<Body> {
    let answer = Response::builder()
        .status(status)
        .header("content-type", kind);
    answer.body(Full::from(body)).unwrap()
}

/// Sends a chat call and reads its answer to the end.
async fn read<S, B>(server: S) -> StatusCode
where
    S: Service<Request<Body>, Response = Response<B>, Error: std::fmt::Debug>,
    B: http_body::Body<Error: std::fmt::Debug>,
{
    let answer = server.oneshot(chat()).await.unwrap();
    let status = answer.status();
    answer.into_body().collect().await.unwrap();
    status
}

#[tokio::test(start_paused = true)]
async fn every_enforce_and_admission_above_a_meter_is_settled() {
    let (all, each, upstream) = (
        limiter(10, 10_000),
        limiter(10, 10_000),
        limiter(10, 10_000),
    );
    let server = ServiceBuilder::new()
        .layer(EnforceLayer::new(all.clone(), KeyOf::path()))
        .layer(layer(&each))
        .layer(AdmissionLayer::new(upstream.clone()))
        .layer(MeterLayer::new(Ledger::default()))
        .service(service_fn(async |_: Request<Body>| {
            Ok::<_, std::convert::Infallible>(whole(200, JSON, OF_1200))
        }));
    assert_eq!(read(server).await, 200);
    for limiter in [all, each, upstream] {
        let account = account(&limiter);
        assert_eq!((account.tokens.used, account.in_flight), (1_200, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_reserved_is_the_innermost_enforces() {
    let (outer, inner) = (limiter(10, 10_000), limiter(10, 10_000));
    let server = ServiceBuilder::new()
        .layer(EnforceLayer::new(outer.clone(), KeyOf::path()))
        .layer(layer(&inner))
        .service(service_fn(async |request: Request<Body>| {
            Reserved::of(&request).unwrap().settle(2, 3);
            Ok::<_, std::convert::Infallible>(Response::new(Body::default()))
        }));
    assert_eq!(read(server).await, 200);
    assert_eq!(account(&inner).tokens.used, 5);
    assert!(account(&outer).tokens.used > 100, "its estimate stands");
}

/// Sends a request until its answer is whole, as a Retry does, whose attempts are all reported.
fn until_served<S, B>(
    inner: S,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = S::Error> + Clone
where
    S: Service<Request<Body>, Response = Response<B>, Error: std::fmt::Debug> + Clone,
    B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
{
    service_fn(move |request: Request<Body>| {
        let inner = inner.clone();
        async move {
            loop {
                let answer = inner.clone().oneshot(request.clone()).await?;
                let (parts, body) = answer.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                if parts.status.is_success() && !body.starts_with(b"data: {\"error\"") {
                    return Ok(Response::from_parts(parts, Full::from(body)));
                }
            }
        }
    })
}

#[tokio::test(start_paused = true)]
async fn of_several_attempts_the_one_that_was_served_is_charged() {
    let (caller, upstream) = (limiter(10, 10_000), limiter(10, 10_000));
    let answers = [
        whole(429, JSON, THROTTLE),
        whole(500, JSON, ""),
        whole(200, "text/event-stream", THROTTLED_STREAM),
        whole(200, JSON, OF_1200),
    ];
    let answers = std::sync::Arc::new(std::sync::Mutex::new(answers.into_iter()));
    let client = ServiceBuilder::new()
        .layer(AdmissionLayer::new(upstream.clone()))
        .layer(MeterLayer::new(Ledger::default()))
        .service(service_fn(move |_: Request<Body>| {
            let answer = answers.lock().unwrap().next().unwrap();
            async { Ok::<_, std::convert::Infallible>(answer) }
        }));
    let server = layer(&caller).layer(until_served(client));
    assert_eq!(read(server).await, 200);
    assert_eq!(account(&upstream).admitted, 4);
    let account = account(&caller);
    assert_eq!((account.tokens.used, account.admitted), (1_200, 1));
    assert!(account.closed_for.is_zero());
}

#[tokio::test(start_paused = true)]
async fn an_error_answer_costs_the_same_with_and_without_a_body() {
    for (status, prompt) in [(400, false), (404, false), (500, true), (503, true)] {
        let used = |body| async move {
            let limiter = limiter(10, 10_000);
            assert_eq!(metered(&limiter, status, JSON, body).await, status);
            let account = account(&limiter);
            assert_eq!(account.in_flight, 0);
            account.tokens.used
        };
        let (empty, whole) = (used("").await, used(r#"{"message":"no"}"#).await);
        assert_eq!(empty, whole, "{status}");
        assert_eq!((3..30).contains(&empty), prompt, "{status}: {empty}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_answer_that_nobody_reads_gives_its_tokens_back() {
    let limiter = limiter(10, 10_000);
    let handler = service_fn(async |_: Request<Body>| {
        Ok::<_, std::convert::Infallible>(whole(400, JSON, "no"))
    });
    let meter = MeterLayer::new(Ledger::default()).layer(handler);
    let answer = layer(&limiter).layer(meter).oneshot(chat()).await.unwrap();
    assert_eq!(account(&limiter).in_flight, 1);
    drop(answer);
    let account = account(&limiter);
    assert_eq!((account.tokens.used, account.in_flight), (0, 0));
}
