use axum::body::Body;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use mock_qwen::{Config, MockQwen};
use tower::service_fn;
use tower_qwen_tokens::call::BoxError;

use crate::support::{ANTHROPIC, CHAT, Harness, NATIVE, TestResult, call, call_of, problem};

#[tokio::test(start_paused = true)]
async fn each_caller_has_a_quota_and_is_told_in_its_dialect() -> TestResult {
    for (path, code) in [
        (CHAT, "limit_requests"),
        (NATIVE, "Throttling.RateQuota"),
        (ANTHROPIC, "rate_limit_error"),
    ] {
        let harness = Harness::new(Config::default(), &["--rpm=2"])?;
        for stream in [false, true] {
            let answer = harness.send(call(CHAT, "Hi", stream)).await;
            assert_eq!(answer.status(), StatusCode::OK);
            assert_eq!(answer.headers()["x-ratelimit-limit-requests"], "2");
        }
        let answer = harness.send(call(path, "Hi", false)).await;
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.headers()["retry-after"], "30");
        let id = answer.headers()["x-request-id"].to_str()?.to_owned();
        let (_, body) = crate::support::read(answer).await?;
        let body = String::from_utf8(body)?;
        assert_eq!(problem(&body)?.1, code);
        assert!(body.contains(&id), "the id of the answer is in its body");

        let other = call_of("sk-secret-zed", CHAT, "Hi", false);
        assert_eq!(harness.send(other).await.status(), StatusCode::OK);
        tokio::time::advance(std::time::Duration::from_secs(30)).await;
        let again = harness.send(call(CHAT, "Hi", false)).await;
        assert_eq!(again.status(), StatusCode::OK, "Retry-After is true");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn tokens_are_a_quota_too_and_what_was_not_used_comes_back() -> TestResult {
    let harness = Harness::new(Config::default(), &["--tpm=2000"])?;
    let mut used = 0;
    // Each call may take 400, and takes about 160.
    for turn in 0..4 {
        let (status, body) = harness.text(call(CHAT, &format!("{turn}"), true)).await?;
        assert_eq!(status, StatusCode::OK, "{body}");
        used = harness.total().input_tokens + harness.total().output_tokens;
    }
    let request = call(CHAT, &"word ".repeat(2_000 - used as usize), false);
    let (status, body) = harness.text(request).await?;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{body}");
    assert_eq!(problem(&body)?.1, "insufficient_quota");
    assert_eq!(harness.mock.stats().seen, 4, "it never went out");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_let_in_is_told_why() -> TestResult {
    let harness = Harness::new(Config::default(), &["--max-body=1000"])?;
    let long = "x".repeat(2_000);
    let declared = || {
        let mut request = call(CHAT, &long, false);
        let length = "2099".parse().expect("a value");
        request.headers_mut().insert("content-length", length);
        request
    };
    let with = |name: &'static str, value: &str| {
        let mut request = call(CHAT, "Hi", false);
        let value = value.parse().expect("a value");
        request.headers_mut().insert(name, value);
        request
    };
    let at = |path: &str| call(path, "Hi", false);
    let garbage = call(CHAT, "Hi", false).map(|_| Body::from("{"));
    let no_key = Request::post(CHAT).body(Body::empty())?;
    for (request, status, code) in [
        (declared(), 413, "request_too_large"),
        (
            with("content-encoding", "compress"),
            415,
            "unsupported_media_type",
        ),
        (
            with("content-encoding", "gzip"),
            400,
            "invalid_parameter_error",
        ),
        (
            with("content-type", "text/plain"),
            415,
            "unsupported_media_type",
        ),
        (
            with("authorization", "Bearer sk-other"),
            401,
            "invalid_api_key",
        ),
        (with("authorization", "Basic c2s="), 401, "invalid_api_key"),
        (no_key, 401, "invalid_api_key"),
        (garbage, 400, "invalid_parameter_error"),
        (at("/anything"), 404, "not_found_error"),
        (at("/healthz"), 405, "method_not_supported"),
    ] {
        let (found, body) = harness.text(request).await?;
        assert_eq!(found, status, "{body}");
        assert_eq!(problem(&body)?.1, code, "{status}");
    }
    assert_eq!(harness.mock.stats().seen, 0);
    Ok(())
}

/// Whatever else a server behind may read as the path of a model.
#[tokio::test(start_paused = true)]
async fn no_other_spelling_of_a_path_goes_past_the_quota() -> TestResult {
    let harness = Harness::new(Config::default(), &["--tpm=600"])?;
    for (path, code) in [
        ("/v1/chat/%63ompletions", "invalid_parameter_error"),
        ("/v1/chat/completions//", "invalid_parameter_error"),
        ("/v1/chat/./completions/.", "invalid_parameter_error"),
        (
            "/v1/files/%2e%2e/chat/completions",
            "invalid_parameter_error",
        ),
        ("/v1/chat%2Fcompletions", "invalid_parameter_error"),
        (
            "/api/v1//services/aigc/text-generation/generation",
            "InvalidParameter",
        ),
        ("/apps/anthropic//v1/messages", "invalid_request_error"),
    ] {
        let (status, body) = harness.text(call(path, "Hi", false)).await?;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        assert_eq!(problem(&body)?.1, code, "{path}");
    }
    let slash = format!("{CHAT}/");
    let (status, body) = harness.text(call(&slash, "Hi", false)).await?;
    assert_eq!(status, StatusCode::NOT_FOUND, "{body}");
    let (seen, calls) = (harness.mock.stats().seen, harness.total().calls);
    assert_eq!((seen, calls), (0, 0));
    Ok(())
}

/// A body that does not declare its length is too long only once so much of it has come.
#[tokio::test(start_paused = true)]
async fn a_body_that_turns_out_too_long_is_refused_for_that() -> TestResult {
    let bare = || vec!["--bare"];
    for (path, flags, within, code) in [
        (CHAT, vec![], 400, "request_too_large"),
        (CHAT, bare(), 200, "request_too_large"),
        (NATIVE, bare(), 200, "RequestTooLarge"),
    ] {
        let upstream = service_fn(|request: Request<Body>| async move {
            request.into_body().collect().await?;
            Ok::<_, BoxError>(Response::new(Body::empty()))
        });
        let flags = [&["--max-body=1000"], &flags[..]].concat();
        let harness = Harness::before(upstream, MockQwen::new(Config::default()), &flags)?;
        for (length, expected) in [(1_000, within), (1_001, 413)] {
            let request = call(path, "", false).map(|_| Body::from(vec![b'x'; length]));
            let (status, body) = harness.text(request).await?;
            assert_eq!(status, expected, "{path} {flags:?} {body}");
            if expected == 413 {
                assert_eq!(problem(&body)?.1, code, "{path}");
            }
        }
    }
    Ok(())
}
