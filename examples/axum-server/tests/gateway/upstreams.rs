//! Several upstreams: which one serves a call, and under which name of the model.

use std::sync::{Arc, Mutex};

use axum::body::Body;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use mock_qwen::{Config, MockQwen};
use serde_json::Value;
use tower::{ServiceExt, service_fn};
use tower_qwen_tokens::call::BoxError;

use crate::{
    config::write,
    support::{ANTHROPIC, CHAT, Harness, NATIVE, TestResult, call_of, problem},
};

/// What an attempt looked like on its way to an upstream: host, path, key, model.
type Seen = Arc<Mutex<Vec<[String; 4]>>>;

/// A gateway by a file; hosts whose names begin with `bad` refuse its key, those with `down` cannot serve, those with `later`
/// ask for minutes. A request whose id says so is rejected by every host.
fn gateway(text: &str) -> TestResult<(Harness, Seen)> {
    let folder = tempfile::tempdir()?;
    let flag = write(&folder, text)?;
    let mock = MockQwen::new(Config::default());
    let (seen, router) = (Seen::default(), mock.router());
    let log = seen.clone();
    let transport = service_fn(move |request: Request<Body>| {
        let (log, router) = (log.clone(), router.clone());
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let host = parts.uri.host().unwrap_or_default().to_owned();
            let json: Value = serde_json::from_slice(&body).unwrap_or_default();
            let key = parts.headers.get("authorization");
            let key = key.and_then(|key| key.to_str().ok()).unwrap_or_default();
            let length = parts.headers.get("content-length");
            let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
            assert!(length.is_none_or(|length: usize| length == body.len()));
            log.lock().expect("a log").push([
                host.clone(),
                parts.uri.path().to_owned(),
                key.to_owned(),
                json["model"].as_str().unwrap_or_default().to_owned(),
            ]);
            let id = parts.headers.get("x-request-id");
            let id = id.and_then(|id| id.to_str().ok()).unwrap_or_default();
            if let Some(rejected) = id.strip_prefix("reject-") {
                let answer = Response::builder().status(rejected);
                let body = r#"{"error":{"code":"Arrearage","message":"Access denied."}}"#;
                return Ok(answer.body(Body::from(body))?);
            }
            let status = match host.split('.').next() {
                Some("bad") => Some(StatusCode::UNAUTHORIZED),
                Some("down") => Some(StatusCode::SERVICE_UNAVAILABLE),
                Some("later") => Some(StatusCode::TOO_MANY_REQUESTS),
                _ => None,
            };
            if let Some(status) = status {
                let mut answer = Response::new(Body::from("{}"));
                *answer.status_mut() = status;
                if status == StatusCode::TOO_MANY_REQUESTS {
                    answer.headers_mut().insert("retry-after", 300.into());
                }
                return Ok::<_, BoxError>(answer);
            }
            let request = Request::from_parts(parts, Body::from(body));
            let Ok(answer) = router.oneshot(request).await;
            Ok(answer.map(Body::new))
        }
    });
    let harness = Harness::before(transport, mock, &[&flag])?;
    Ok((harness, seen))
}

const CALLER: &str = "[[callers]]\nname = \"acme\"\nkey = \"sk-acme\"\n";

fn rows(seen: &Seen) -> Vec<[String; 4]> {
    std::mem::take(&mut seen.lock().expect("a log"))
}

#[tokio::test(start_paused = true)]
async fn a_call_goes_to_the_upstreams_that_have_its_model() -> TestResult {
    let (harness, seen) = gateway(&format!(
        r#"{CALLER}
        [[upstreams]]
        name = "max"
        base_url = "http://max/v1"
        models = ["qwen-max"]
        [[upstreams]]
        name = "plus"
        base_url = "http://plus/compatible-mode/v1"
        api_key = "sk-plus"
        models = ["qwen-plus"]
        "#
    ))?;
    for (path, at) in [
        (CHAT, "/compatible-mode/v1/chat/completions"),
        (NATIVE, NATIVE),
        (ANTHROPIC, ANTHROPIC),
    ] {
        // The mock may not serve every dialect; where the call went is what counts.
        let _ = harness.text(call_of("sk-acme", path, "Hi", false)).await?;
        let expected = ["plus", at, "Bearer sk-plus", "qwen-plus"].map(str::to_owned);
        assert_eq!(rows(&seen).first(), Some(&expected));
    }
    let unknown = call_of("sk-acme", CHAT, "Hi", false)
        .map(|_| Body::from(r#"{"model":"other","messages":[]}"#));
    let (status, body) = harness.text(unknown).await?;
    assert_eq!(
        (status, problem(&body)?.1.as_str()),
        (StatusCode::NOT_FOUND, "model_not_found")
    );
    assert!(rows(&seen).is_empty());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_call_leaves_an_upstream_that_cannot_serve_it() -> TestResult {
    for (first, fallback) in [
        ("bad", false),
        ("bad", true),
        ("down", false),
        ("down", true),
    ] {
        let (harness, seen) = gateway(&format!(
            r#"{CALLER}
            [[upstreams]]
            name = "first"
            base_url = "http://{first}.first/compatible-mode/v1"
            api_key = "sk-first"
            [[upstreams]]
            name = "second"
            base_url = "http://second:8000/v1"
            api_key = "sk-second"
            fallback = {fallback}
            "#
        ))?;
        for (path, at) in [(CHAT, "/v1/chat/completions"), (NATIVE, NATIVE)] {
            let (status, body) = harness.text(call_of("sk-acme", path, "Hi", false)).await?;
            let rows = rows(&seen);
            let expected = ["second", at, "Bearer sk-second", "qwen-plus"].map(str::to_owned);
            assert_eq!(rows.last(), Some(&expected), "{first} {fallback}");
            // The mock knows the path of its own API alone.
            if path == NATIVE {
                assert_eq!(status, StatusCode::OK, "{body}");
            }
        }
    }
    Ok(())
}

/// Where all have failed for long, a caller learns when it may come back.
#[tokio::test(start_paused = true)]
async fn a_call_that_no_upstream_takes_is_answered_with_its_wait() -> TestResult {
    let (harness, seen) = gateway(&format!(
        r#"{CALLER}
        [[upstreams]]
        name = "first"
        base_url = "http://later.first/v1"
        [[upstreams]]
        name = "second"
        base_url = "http://later.second/v1"
        "#
    ))?;
    let call = || harness.send(call_of("sk-acme", CHAT, "Hi", false));
    assert_eq!(call().await.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(rows(&seen).len(), 2, "each once");
    let answer = call().await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let wait: u64 = answer.headers()["retry-after"].to_str()?.parse()?;
    assert!((1..=300).contains(&wait), "{wait}");
    assert!(rows(&seen).is_empty());
    Ok(())
}

/// One caller's call that every upstream rejects for what it is must not close the model to the others.
#[tokio::test(start_paused = true)]
async fn rejected_calls_of_one_caller_close_no_upstream_to_others() -> TestResult {
    for status in ["400", "401", "402", "403", "404"] {
        let (harness, seen) = gateway(&format!(
            r#"{CALLER}
            [[upstreams]]
            name = "first"
            base_url = "http://first/compatible-mode/v1"
            [[upstreams]]
            name = "second"
            base_url = "http://second/compatible-mode/v1"
            "#
        ))?;
        for _ in 0..3 {
            for _ in 0..5 {
                let mut poisonous = call_of("sk-acme", CHAT, "Hi", false);
                let headers = poisonous.headers_mut();
                headers.insert("x-request-id", format!("reject-{status}").parse()?);
                let answer = harness.send(poisonous).await;
                assert!(!answer.status().is_success());
                assert!(!rows(&seen).is_empty(), "sent to one at least");
            }
            for _ in 0..5 {
                let (answered, body) = harness.text(call_of("sk-acme", CHAT, "Hi", false)).await?;
                assert_eq!(answered, StatusCode::OK, "after {status}: {body}");
            }
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_model_goes_by_another_name_at_each_upstream() -> TestResult {
    let text = format!(
        r#"{CALLER}
        [[upstreams]]
        name = "first"
        base_url = "http://bad.first/compatible-mode/v1"
        models = []
        aliases = {{ qwen-plus = "qwen-turbo-latest" }}
        [[upstreams]]
        name = "second"
        base_url = "http://second/compatible-mode/v1"
        models = ["qwen-plus"]
        "#
    );
    let (harness, seen) = gateway(&text)?;
    for stream in [false, true] {
        let (status, body) = harness.text(call_of("sk-acme", CHAT, "Hi", stream)).await?;
        assert_eq!(status, StatusCode::OK, "{body}");
    }
    let models: Vec<_> = rows(&seen)
        .into_iter()
        .map(|[host, .., model]| (host, model))
        .collect();
    let row = |host: &str, model: &str| (host.to_owned(), model.to_owned());
    assert!(
        models.contains(&row("bad.first", "qwen-turbo-latest")),
        "{models:?}"
    );
    assert!(models.contains(&row("second", "qwen-plus")), "{models:?}");
    assert_eq!(
        models.iter().filter(|(_, model)| model.is_empty()).count(),
        0
    );
    let sums = harness.gateway.ledger().snapshot();
    // Booked by the name that the caller used, and metered also as a stream.
    assert_eq!(sums.models.keys().collect::<Vec<_>>(), ["qwen-plus"]);
    assert_eq!((sums.total.estimated, sums.total.unpriced_calls), (0, 0));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn each_upstream_has_its_own_quota() -> TestResult {
    let (harness, seen) = gateway(&format!(
        r#"{CALLER}
        [[upstreams]]
        name = "small"
        base_url = "http://small/compatible-mode/v1"
        requests_per_minute = 60
        [[upstreams]]
        name = "large"
        base_url = "http://large/compatible-mode/v1"
        "#
    ))?;
    let calls = (0..40).map(|_| harness.text(call_of("sk-acme", CHAT, "Hi", false)));
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(answer?.0, StatusCode::OK);
    }
    let rows = rows(&seen);
    let to = |host: &str| rows.iter().filter(|[at, ..]| at == host).count();
    // What would wait at the small one goes to the other.
    assert!(to("small") >= 1 && to("large") > to("small"), "{rows:?}");
    Ok(())
}
