use std::time::{Duration, SystemTime};

use http::StatusCode;
use http_body_util::BodyExt;
use tower_qwen_ratelimit::{EnforceLayer, KeyOf, Limiter, Quota, enforce::RejectionKind};
use tower_qwen_tokens::{Cause, Verdict, call::ReadOptions, meter::BodyRejection};

use crate::support::{
    ANTHROPIC, Answer, Body, CHAT, NATIVE, account, answering, chat, embedding, header, layer,
    limiter, rejection, request, send, server, text,
};

const SHORT: &str = r#"{"model":"m","messages":[],"input":{"prompt":"Hi"},"max_tokens":1}"#;
/// A body for every dialect: one two three four five six seven eight nine ten.
fn body(path: &str) -> String {
    let text = "one two three four five six seven eight nine ten";
    let messages = format!(r#""messages":[{{"role":"user","content":"{text}"}}]"#);
    match path {
        NATIVE => {
            format!(r#"{{"model":"m","input":{{{messages}}},"parameters":{{"max_tokens":1}}}}"#)
        }
        "/v1/generate" => format!(r#"{{"model":"m","prompt":"{text}","max_tokens":1}}"#),
        "/v1/responses" | "/v1/embeddings" => {
            format!(r#"{{"model":"m","input":"{text}","max_output_tokens":1}}"#)
        }
        _ => format!(r#"{{"model":"m",{messages},"max_tokens":1}}"#),
    }
}

async fn cost(path: &str) -> u64 {
    let limiter = limiter(9, 1_000_000);
    send(&server(&layer(&limiter)), request(path, &body(path))).await;
    account(&limiter).tokens.used
}

async fn classified(answer: Answer) -> (Verdict, serde_json::Value) {
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let verdict = Verdict::of_response(parts.status, &parts.headers, &body, SystemTime::UNIX_EPOCH);
    (verdict, serde_json::from_slice(&body).unwrap())
}

/// An answer to the second of two calls, the first of which uses the quota up.
async fn second(limiter: &Limiter, path: &str, body: &str) -> Answer {
    let server = server(&layer(limiter));
    let first = send(&server, request(path, body)).await;
    assert_eq!(first.status(), StatusCode::OK);
    let mut second = request(path, body);
    second
        .headers_mut()
        .insert("x-request-id", "id-7".parse().unwrap());
    send(&server, second).await
}

#[tokio::test(start_paused = true)]
async fn want_of_requests_in_every_dialect() {
    let rows = [
        (
            CHAT,
            r#"{"error":{"message":"Requests rate limit exceeded: 1 requests per 60s. Please try again in 60s.","type":"limit_requests","param":null,"code":"limit_requests"},"request_id":"id-7"}"#,
        ),
        (
            NATIVE,
            r#"{"code":"Throttling.RateQuota","message":"Requests rate limit exceeded: 1 requests per 60s. Please try again in 60s.","request_id":"id-7"}"#,
        ),
        (
            ANTHROPIC,
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"Requests rate limit exceeded: 1 requests per 60s. Please try again in 60s."},"request_id":"id-7"}"#,
        ),
        (
            "/v1/models",
            r#"{"error":{"message":"Requests rate limit exceeded: 1 requests per 60s. Please try again in 60s.","type":"limit_requests","param":null,"code":"limit_requests"},"request_id":"id-7"}"#,
        ),
    ];
    for (path, body) in rows {
        let answer = second(&limiter(1, 1_000_000), path, SHORT).await;
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(header(&answer, "content-type"), "application/json");
        assert_eq!(header(&answer, "content-length"), body.len().to_string());
        assert_eq!(header(&answer, "retry-after"), "60");
        assert_eq!(rejection(&answer).kind(), RejectionKind::Requests);
        assert_eq!(rejection(&answer).wait(), Some(Duration::from_secs(60)));
        assert_eq!(text(answer).await, body, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn our_own_classifier_tells_requests_from_tokens_in_every_dialect() {
    for path in [
        CHAT,
        NATIVE,
        ANTHROPIC,
        "/v1/generate",
        "/v1/responses",
        "/v1/embeddings",
    ] {
        let (cost, body) = (cost(path).await, body(path));
        assert!(cost > 8, "{path}: {cost}");
        let (verdict, _) = classified(second(&limiter(1, 1_000_000), path, &body).await).await;
        assert_eq!(verdict.cause(), Cause::RequestRate, "{path}");
        assert!(verdict.is_transient());
        assert_eq!(verdict.retry_after(), Some(Duration::from_secs(60)));

        let (verdict, _) = classified(second(&limiter(100, cost + 1), path, &body).await).await;
        assert_eq!(verdict.cause(), Cause::TokenRate, "{path}");
        assert!(verdict.is_transient());
        assert_eq!(verdict.retry_after(), Some(Duration::from_secs(61)));

        let rows = [
            (limiter(9, 3), &*body, Cause::TooLarge),
            (limiter(0, 1_000), &body, Cause::Forbidden),
            (limiter(9, 1_000), "{", Cause::InvalidRequest),
        ];
        for (limiter, body, cause) in rows {
            let answer = send(&server(&layer(&limiter)), request(path, body)).await;
            let (verdict, _) = classified(answer).await;
            assert_eq!(verdict.cause(), cause, "{path}");
            assert!(!verdict.is_transient());
            assert_eq!(verdict.retry_after(), None);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn want_of_tokens() {
    let (tokens, body_of_chat) = (cost(CHAT).await + 1, body(CHAT));
    let answer = second(&limiter(100, tokens), CHAT, &body_of_chat).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(rejection(&answer).kind(), RejectionKind::Tokens);
    let (verdict, body) = classified(answer).await;
    assert_eq!(verdict.code(), Some("insufficient_quota"));
    assert_eq!(
        body["error"]["message"],
        format!("Allocated quota exceeded: {tokens} tokens per 60s. Please try again in 61s.")
    );
    let tokens = cost(NATIVE).await + 1;
    let body = crate::rejections::body(NATIVE);
    let (verdict, _) = classified(second(&limiter(100, tokens), NATIVE, &body).await).await;
    assert_eq!(verdict.code(), Some("Throttling.AllocationQuota"));
}

#[tokio::test(start_paused = true)]
async fn what_never_fits_is_no_throttle() {
    let limiter = limiter(9, 10);
    let server = server(&layer(&limiter));
    let answer = send(&server, embedding(100)).await;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(header(&answer, "retry-after"), "");
    assert_eq!(rejection(&answer).kind(), RejectionKind::TooLarge);
    assert_eq!(rejection(&answer).wait(), None);
    assert_eq!(
        text(answer).await,
        r#"{"error":{"message":"The request needs more than the 10 tokens per 60s that its quota has.","type":"invalid_request_error","param":null,"code":"request_too_large"},"request_id":""}"#
    );
    assert_eq!(account(&limiter).requests.used, 0, "nothing was charged");

    let closed = crate::support::limiter(0, 10);
    let answer = send(&crate::support::server(&layer(&closed)), chat()).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert_eq!(rejection(&answer).kind(), RejectionKind::Closed);
    assert_eq!(header(&answer, "retry-after"), "");
}

#[tokio::test(start_paused = true)]
async fn bodies_that_cannot_be_read() {
    let limiter = limiter(9, 1_000);
    let layer = layer(&limiter).read_options(ReadOptions::default().max_body(20));
    let server = server(&layer);
    let answer = send(&server, request(NATIVE, "{no json")).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert!(matches!(
        answer.extensions().get(),
        Some(BodyRejection::Parse(_))
    ));
    assert_eq!(
        text(answer).await,
        r#"{"code":"InvalidParameter","message":"The request body cannot be read.","request_id":""}"#
    );
    let twice = r#"{"model":1,"model":2}"#;
    assert_eq!(twice.len(), 21);
    let wide = crate::support::server(&crate::support::layer(&limiter));
    for (path, code) in [
        (CHAT, r#""code":"invalid_parameter_error""#),
        (NATIVE, r#""code":"InvalidParameter""#),
        (ANTHROPIC, r#""type":"invalid_request_error""#),
    ] {
        let answer = send(&wide, request(path, twice)).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        let text = text(answer).await;
        let says = "The request body has `model` twice: name one model.";
        assert!(text.contains(code) && text.contains(says), "{text}");
    }
    let answer = send(&server, request(CHAT, &"x".repeat(21))).await;
    assert_eq!(
        answer.status(),
        StatusCode::OK,
        "too large to hold, it passes unread"
    );
    assert_eq!(layer.counts().unread, 1);
    assert_eq!(layer.counts().admitted, 1);
    assert_eq!(account(&limiter).tokens.used, 0);
}

#[tokio::test(start_paused = true)]
async fn ids_that_json_would_have_to_escape_are_left_out() {
    for (id, shown) in [
        ("a-1", "a-1"),
        ("a\"b", ""),
        ("a\\b", ""),
        ("a\tb", ""),
        (&"x".repeat(129), ""),
    ] {
        let server = server(&layer(&limiter(0, 0)));
        let mut request = chat();
        request
            .headers_mut()
            .insert("x-request-id", id.parse().unwrap());
        let body = text(send(&server, request).await).await;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["request_id"], shown, "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_never_0_and_true() {
    for (requests, tokens) in [(60, 1_000_000), (100_000, 500), (7, 333), (1_000_000, 700)] {
        let server = server(&layer(&limiter(requests, tokens)));
        let mut rejected = 0;
        for call in 0..400u64 {
            let answer = send(&server, embedding(30)).await;
            if answer.status() == StatusCode::OK {
                tokio::time::advance(Duration::from_millis(call * 37 % 1_400)).await;
                continue;
            }
            rejected += 1;
            let wait: u64 = header(&answer, "retry-after").parse().unwrap();
            assert!(wait >= 1);
            let exact = rejection(&answer).wait().unwrap();
            assert!(exact <= Duration::from_secs(wait));
            let seconds = if call % 2 == 0 {
                Duration::from_secs(wait)
            } else {
                exact
            };
            tokio::time::advance(seconds).await;
            let again = send(&server, embedding(30)).await;
            assert_eq!(again.status(), StatusCode::OK, "after {seconds:?}");
        }
        assert!(rejected > 5, "{requests} {tokens}: {rejected}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_below_a_second_is_a_second() {
    let server = server(&layer(&limiter(600_000, 1_000_000)));
    let quick = Quota::per_minute(1, 1_000_000).window(Duration::from_millis(5));
    let quick = crate::support::server(&EnforceLayer::new(Limiter::new(quick), KeyOf::api_key()));
    assert_eq!(send(&server, chat()).await.status(), StatusCode::OK);
    assert_eq!(send(&quick, chat()).await.status(), StatusCode::OK);
    let answer = send(&quick, chat()).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(header(&answer, "retry-after"), "1");
    assert_eq!(rejection(&answer).wait(), Some(Duration::from_millis(5)));
}

#[tokio::test(start_paused = true)]
async fn models_have_their_own_quota_if_keys_include_them() {
    let limiter = Limiter::builder(Quota::per_minute(100, 1_000_000))
        .quota_for("qwen3-max", Quota::per_minute(1, 1_000_000))
        .build()
        .unwrap();
    let of = |model| {
        request(
            CHAT,
            &format!(r#"{{"model":"{model}","messages":[],"max_tokens":1}}"#),
        )
    };
    let apart = EnforceLayer::new(limiter.clone(), KeyOf::api_key().and_model());
    let server = answering(&apart, StatusCode::OK, "");
    assert_eq!(send(&server, of("qwen3-max")).await.status(), 200);
    assert_eq!(send(&server, of("qwen3-max")).await.status(), 429);
    assert_eq!(send(&server, of("qwen-plus")).await.status(), 200);
    assert_eq!(send(&server, of("qwen-plus")).await.status(), 200);
    let together = answering(&layer(&limiter), StatusCode::OK, "");
    assert_eq!(send(&together, of("qwen3-max")).await.status(), 200);
    assert_eq!(send(&together, of("qwen3-max")).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_request_of_no_dialect_costs_one_request() {
    let limiter = limiter(1, 10);
    let server = server(&layer(&limiter));
    let other = || {
        http::Request::get("/v1/models")
            .body(Body::default())
            .unwrap()
    };
    assert_eq!(send(&server, other()).await.status(), 200);
    assert_eq!(send(&server, other()).await.status(), 429);
    assert_eq!(account(&limiter).tokens.used, 0);
}
