use std::{
    convert::Infallible,
    future::{pending, ready},
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::body::Body;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{Client, connect::Connect},
    rt::{TokioExecutor, TokioIo},
};
use mock_qwen::{Config, MockQwen};
use tokio::net::TcpStream;
use tower::{ServiceExt, service_fn};
use tower_qwen_tokens::call::BoxError;

use crate::support::{ANTHROPIC, CHAT, Harness, NATIVE, TestResult, call, problem};

/// Sends a call; gives its status and what is left of its caller's tokens.
async fn tokens_left(harness: &Harness) -> TestResult<(StatusCode, u64)> {
    let answer = harness.send(call(CHAT, "Hi", false)).await;
    let left = answer.headers()["x-ratelimit-remaining-tokens"]
        .to_str()?
        .parse()?;
    let (status, _) = crate::support::read(answer).await?;
    Ok((status, left))
}

/// A transport that reaches nobody.
fn nowhere() -> Client<impl Connect + Clone + Send + Sync + 'static, Body> {
    let connector = service_fn(|_: Uri| {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        ready(Err::<TokioIo<TcpStream>, _>(refused))
    });
    Client::builder(TokioExecutor::new()).build(connector)
}

/// The provider's quota is smaller than the gateway knows.
#[tokio::test(start_paused = true)]
async fn throttles_behind_are_retried_and_each_call_is_booked_once() -> TestResult {
    let config = Config {
        rpm: 4,
        window: Duration::from_secs(10),
        ..Config::default()
    };
    let harness = Harness::new(config, &[])?;
    for turn in 0..12 {
        let (status, body) = harness
            .text(call(CHAT, &format!("{turn}"), turn % 2 == 0))
            .await?;
        assert_eq!(status, StatusCode::OK, "{body}");
    }
    let (total, stats) = (harness.total(), harness.mock.stats());
    assert!(stats.throttled.total() > 0);
    assert_eq!((total.calls, total.failed), (12, 0));
    assert_eq!(
        (total.estimated, total.unknown),
        (0, 0),
        "retried streams state their usage"
    );
    assert_eq!(total.input_tokens, stats.tokens.prompt);
    assert_eq!(total.output_tokens, stats.tokens.output);
    assert_eq!(harness.gateway.attempts(), 12 + stats.throttled.total());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_error_that_stays_is_the_providers_own() -> TestResult {
    let mut config = Config::default();
    config.faults.unavailable = 1.0;
    let harness = Harness::new(config, &[])?;
    let (status, body) = harness.text(call(CHAT, "Hi", false)).await?;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("capacity"), "{body}");
    // One call alone feels its way every three seconds, until Retry's patience of two minutes is over.
    let seen = harness.mock.stats().seen;
    assert!((5..=60).contains(&seen), "{seen} attempts");
    let total = harness.total();
    assert_eq!((total.calls, total.failed, total.unknown), (1, 1, 0));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_is_away_is_told_in_the_callers_dialect_and_costs_no_tokens() -> TestResult
{
    let transport = nowhere();
    for (path, code) in [
        (CHAT, "bad_gateway"),
        (NATIVE, "InternalError"),
        (ANTHROPIC, "api_error"),
    ] {
        let mock = MockQwen::new(Config::default());
        let harness = Harness::before(transport.clone(), mock, &["--tpm=500"])?;
        for _ in 0..3 {
            let (status, body) = harness.text(call(path, "Hi", false)).await?;
            assert_eq!(status, StatusCode::BAD_GATEWAY, "the quota of tokens holds");
            let (message, found) = problem(&body)?;
            assert_eq!(found, code);
            assert!(message.contains("cannot be reached"), "{message}");
        }
        let total = harness.total();
        assert_eq!((total.calls, total.failed), (3, 3));
    }
    Ok(())
}

/// Its key is the gateway's matter: the caller's own is good.
#[tokio::test(start_paused = true)]
async fn an_upstream_that_refuses_the_gateways_key_is_no_refusal_of_the_callers() -> TestResult {
    let config = Config {
        require_key: true,
        ..Config::default()
    };
    let harness = Harness::new(config.clone(), &["--tpm=500"])?;
    for _ in 0..3 {
        let told = tokens_left(&harness).await?;
        assert_eq!(told, (StatusCode::BAD_GATEWAY, 500), "nobody pays");
    }
    let total = harness.total();
    assert_eq!((total.failed, total.unknown), (3, 0));
    let harness = Harness::new(config, &["--upstream-key=sk-secret-upstream"])?;
    let (status, body) = harness.text(call(CHAT, "Hi", false)).await?;
    assert_eq!(status, StatusCode::OK, "{body}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_never_answers_is_timed_out() -> TestResult {
    let mock = MockQwen::new(Config::default());
    let harness = Harness::before(service_fn(silent), mock, &["--timeout=5"])?;
    let (status, body) = harness.text(call(NATIVE, "Hi", false)).await?;
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(problem(&body)?.1, "RequestTimeOut");
    let total = harness.total();
    assert_eq!((total.calls, total.failed), (1, 1));
    assert_eq!(total.estimated, 1, "its prompt, at least");
    Ok(())
}

/// It is written while nobody answers.
async fn silent(request: Request<Body>) -> Result<Response<Body>, BoxError> {
    request.into_body().collect().await?;
    pending().await
}

/// It waits for a connection, which never comes: the deadline ends it, or its caller leaves.
#[tokio::test(start_paused = true)]
async fn an_attempt_that_was_never_written_costs_nothing() -> TestResult {
    for flag in ["--deadline=4", "--deadline=100", "--timeout=100"] {
        let waits = service_fn(async |request: Request<Body>| {
            if request.method() == Method::POST {
                pending::<()>().await;
            }
            Ok::<_, Infallible>(Response::new(Body::empty()))
        });
        let mock = MockQwen::new(Config::default());
        let harness = Harness::before(waits, mock, &["--timeout=5", "--tpm=500", flag])?;
        let asked = harness.send(call(CHAT, "Hi", false));
        if flag == "--timeout=100" {
            let left = tokio::time::timeout(Duration::from_secs(1), asked).await;
            assert!(left.is_err(), "it is answered");
        } else {
            let answer = asked.await;
            assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT, "{flag}");
        }
        let models = Request::get("/v1/models").header("authorization", "Bearer sk-secret-acme");
        let answer = harness.send(models.body(Body::empty())?).await;
        let total = harness.total();
        assert_eq!(
            (
                total.calls,
                total.input_tokens,
                total.estimated,
                total.unknown
            ),
            (1, 0, 0, 0),
            "{flag} {total:?}"
        );
        let left = &answer.headers()["x-ratelimit-remaining-tokens"];
        assert_eq!(left, "500", "{flag}");
    }
    Ok(())
}

/// Whatever the upstream generated meanwhile: the gateway's own answer tells nothing of it.
#[tokio::test(start_paused = true)]
async fn of_attempts_that_were_not_answered_the_estimates_stand() -> TestResult {
    let mut charged = Vec::new();
    for deadline in ["--deadline=4", "--deadline=300"] {
        let mock = MockQwen::new(Config::default());
        let harness = Harness::before(service_fn(silent), mock, &["--timeout=5", deadline])?;
        let (status, _) = harness.text(call(CHAT, "Hi", false)).await?;
        assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
        let account = harness.gateway.upstream().snapshot().remove(0);
        charged.push((harness.gateway.attempts(), account.settled_tokens));
    }
    let [(1, one), (5, five)] = charged[..] else {
        return Err(format!("{charged:?}").into());
    };
    assert!(one > 400, "the answer that was set aside is in it: {one}");
    assert_eq!(five, 5 * one);
    Ok(())
}

/// Calls of one request a minute, with time for the first, which goes at once; callers have 500 tokens, which do not come back meanwhile.
const SLOW: [&str; 6] = [
    "--timeout=5",
    "--max-wait=30",
    "--deadline=50",
    "--upstream-rpm=1",
    "--tpm=500",
    "--window=600",
];

/// Its first attempt is sent and times out; the next one finds no quota, or nobody there.
#[tokio::test(start_paused = true)]
async fn a_call_that_went_out_once_is_paid_for_however_its_last_attempt_fails() -> TestResult {
    for (flag, attempts) in [("--upstream-rpm=1", 1), ("--upstream-rpm=60", 5)] {
        let sent = Arc::new(AtomicBool::new(false));
        let transport = service_fn(move |request: Request<Body>| {
            let is_first = !sent.swap(true, Ordering::Relaxed);
            async move {
                if is_first {
                    silent(request).await?;
                    unreachable!("it never answers");
                }
                let answer = nowhere().oneshot(request).await?;
                Ok::<_, BoxError>(answer.map(Body::new))
            }
        });
        let mock = MockQwen::new(Config::default());
        let harness = Harness::before(transport, mock, &[&SLOW[..], &[flag]].concat())?;
        let (status, left) = tokens_left(&harness).await?;
        assert_eq!(harness.gateway.attempts(), attempts, "{flag}");
        assert_eq!(status, StatusCode::GATEWAY_TIMEOUT, "{flag}");
        assert!((400..500).contains(&left), "the prompt is paid: {left}");
        let total = harness.total();
        assert_eq!((total.calls, total.failed, total.estimated), (1, 1, 1));
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_only_throttled_costs_no_tokens() -> TestResult {
    let full = service_fn(|request: Request<Body>| {
        if request.method() == Method::GET {
            return ready(Ok(Response::new(Body::empty())));
        }
        let body =
            r#"{"error":{"code":"limit_requests","message":"Requests rate limit exceeded"}}"#;
        let answer = Response::builder()
            .status(StatusCode::TOO_MANY_REQUESTS)
            .header("content-type", "application/json")
            .body(Body::from(body));
        ready(answer)
    });
    let harness = Harness::before(full, MockQwen::new(Config::default()), &SLOW)?;
    let answer = harness.send(call(CHAT, "Hi", false)).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(harness.gateway.attempts(), 1);
    drop(answer);
    let models = Request::get("/v1/models").header("authorization", "Bearer sk-secret-acme");
    let models = harness.send(models.body(Body::empty())?).await;
    assert_eq!(models.headers()["x-ratelimit-remaining-tokens"], "500");
    let total = harness.total();
    assert_eq!((total.calls, total.failed, total.unknown), (1, 1, 0));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_call_that_cannot_have_its_turn_in_time_is_told_when() -> TestResult {
    let flags = ["--upstream-rpm=1", "--max-wait=20"];
    let harness = Harness::new(Config::default(), &flags)?;
    // The first call of an idle account goes at once, however small the quota is.
    for expected in [StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE] {
        let (status, body) = harness.text(call(CHAT, "Hi", false)).await?;
        assert_eq!(status, expected, "{body}");
    }
    let flags = ["--upstream-rpm=6", "--max-wait=15"];
    let harness = Harness::new(Config::default(), &flags)?;
    assert_eq!(
        harness.text(call(CHAT, "Hi", false)).await?.0,
        StatusCode::OK
    );
    let first = harness.send(call(CHAT, "Hi", false));
    let second = harness.send(call(CHAT, "Hi", false));
    let (first, second) = tokio::join!(first, second);
    assert_eq!(first.status(), StatusCode::OK);
    assert_eq!(second.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(second.headers().contains_key("retry-after"));
    let flags = ["--upstream-tpm=100", "--max-wait=20"];
    let harness = Harness::new(Config::default(), &flags)?;
    let long = call(CHAT, &"word ".repeat(300), false);
    let (status, body) = harness.text(long).await?;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{body}");
    Ok(())
}
