use std::time::Duration;

use http::{Request, Response, StatusCode};
use tower::{Layer, service_fn};
use tower_qwen_ratelimit::{EnforceLayer, KeyOf, Limiter, Quota, enforce::HeaderFamily};

use crate::support::{Answer, Body, account, chat, header, layer, limiter, send, server};

fn rate_limit_headers(answer: &Answer) -> Vec<(String, String)> {
    let mut headers: Vec<_> = answer
        .headers()
        .iter()
        .filter(|(name, _)| name.as_str().contains("ratelimit") || name.as_str() == "retry-after")
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    headers
}

fn expected(rows: &[(&str, &str)]) -> Vec<(String, String)> {
    rows.iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn both_families_on_success() {
    let limiter = limiter(60, 100_000);
    let server = server(&layer(&limiter));
    let answer = send(&server, chat()).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let left = 100_000 - account(&limiter).tokens.used;
    assert_eq!(
        rate_limit_headers(&answer),
        expected(&[
            (
                "ratelimit",
                &format!(r#""requests";r=59;t=1, "tokens";r={left};t=61"#)
            ),
            (
                "ratelimit-policy",
                r#""requests";q=60;w=60, "tokens";q=100000;w=60;qu="tokens""#
            ),
            ("x-ratelimit-limit-requests", "60"),
            ("x-ratelimit-limit-tokens", "100000"),
            ("x-ratelimit-remaining-requests", "59"),
            ("x-ratelimit-remaining-tokens", &left.to_string()),
            ("x-ratelimit-reset-requests", "1s"),
            ("x-ratelimit-reset-tokens", "1m0.473s"),
        ])
    );
}

#[tokio::test(start_paused = true)]
async fn both_families_on_rejection() {
    let limiter = limiter(2, 100_000);
    let server = server(&layer(&limiter));
    send(&server, chat()).await;
    tokio::time::advance(Duration::from_millis(7_500)).await;
    send(&server, chat()).await;
    let answer = send(&server, chat()).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    let left = 100_000 - account(&limiter).tokens.used;
    assert_eq!(
        rate_limit_headers(&answer),
        expected(&[
            (
                "ratelimit",
                &format!(r#""requests";r=0;t=23, "tokens";r={left};t=53"#)
            ),
            (
                "ratelimit-policy",
                r#""requests";q=2;w=60, "tokens";q=100000;w=60;qu="tokens""#
            ),
            ("retry-after", "23"),
            ("x-ratelimit-limit-requests", "2"),
            ("x-ratelimit-limit-tokens", "100000"),
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-remaining-tokens", &left.to_string()),
            ("x-ratelimit-reset-requests", "52.5s"),
            ("x-ratelimit-reset-tokens", "1m0.06s"),
        ])
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_used_has_no_time() {
    let limiter = limiter(60, 100_000);
    let server = server(&layer(&limiter));
    let other = Request::get("/v1/models").body(Body::default()).unwrap();
    let answer = send(&server, other).await;
    assert_eq!(
        header(&answer, "ratelimit"),
        r#""requests";r=59;t=1, "tokens";r=100000"#
    );
    assert_eq!(header(&answer, "x-ratelimit-reset-tokens"), "0s");
}

#[tokio::test(start_paused = true)]
async fn families_can_be_left_out() {
    let limiter = limiter(60, 100_000);
    let has = |answer: &Answer| {
        (
            answer.headers().contains_key("ratelimit")
                && answer.headers().contains_key("ratelimit-policy"),
            answer.headers().contains_key("x-ratelimit-limit-requests")
                && answer.headers().contains_key("x-ratelimit-reset-tokens"),
        )
    };
    let (ietf, openai) = (HeaderFamily::Ietf, HeaderFamily::XRatelimit);
    let layer = || layer(&limiter);
    let rows = [
        (layer(), (true, true)),
        (layer().without_headers(ietf), (false, true)),
        (layer().without_headers(openai), (true, false)),
        (
            layer().without_headers(ietf).without_headers(openai),
            (false, false),
        ),
        (layer().shadow(), (false, false)),
    ];
    for (layer, expected) in rows {
        assert_eq!(has(&send(&server(&layer), chat()).await), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn no_headers_for_what_is_not_limited() {
    let quota = Quota::per_minute(u64::MAX, 1_000).window(Duration::from_millis(1_500));
    let layer = EnforceLayer::new(Limiter::new(quota), KeyOf::api_key());
    let answer = send(&server(&layer), chat()).await;
    assert_eq!(
        header(&answer, "ratelimit-policy"),
        r#""tokens";q=1000;w=2;qu="tokens""#
    );
    assert!(!answer.headers().contains_key("x-ratelimit-limit-requests"));
    let quota = Quota::per_minute(60, u64::MAX);
    let layer = EnforceLayer::new(Limiter::new(quota), KeyOf::api_key());
    let answer = send(&server(&layer), chat()).await;
    assert_eq!(
        header(&answer, "ratelimit-policy"),
        r#""requests";q=60;w=60"#
    );
    assert!(!answer.headers().contains_key("x-ratelimit-limit-tokens"));
}

#[tokio::test(start_paused = true)]
async fn those_of_the_handler_are_replaced() {
    let handler = service_fn(|_: Request<Body>| async {
        Response::builder()
            .header("x-ratelimit-limit-requests", "30000")
            .header("x-ratelimit-limit-tokens", "5000000")
            .header("ratelimit", "\"upstream\";r=1")
            .header("x-other", "stays")
            .body(Body::default())
            .map_err(|_| unreachable!())
    });
    let quota = Quota::per_minute(60, u64::MAX);
    let server = EnforceLayer::new(Limiter::new(quota), KeyOf::api_key()).layer(handler);
    let answer = send(&server, chat()).await;
    assert_eq!(header(&answer, "x-ratelimit-limit-requests"), "60");
    assert_eq!(header(&answer, "x-ratelimit-limit-tokens"), "");
    assert_eq!(header(&answer, "ratelimit"), r#""requests";r=59;t=1"#);
    assert_eq!(header(&answer, "x-other"), "stays");
}

#[tokio::test(start_paused = true)]
async fn the_partition_key_differs_between_callers_and_shows_no_more() {
    let limiter = limiter(60, 100_000);
    let server = server(&layer(&limiter).with_partition_key());
    let mut seen = Vec::new();
    for key in ["Bearer sk-1", "Bearer sk-2", "Bearer sk-1"] {
        let mut request = chat();
        request
            .headers_mut()
            .insert("authorization", key.parse().unwrap());
        let answer = send(&server, request).await;
        let policy = header(&answer, "ratelimit-policy");
        let (_, rest) = policy.split_once(";pk=:").unwrap();
        let (partition, _) = rest.split_once(':').unwrap();
        let expected = format!(
            r#""requests";q=60;w=60;pk=:{partition}:, "tokens";q=100000;w=60;qu="tokens";pk=:{partition}:"#
        );
        assert_eq!(policy, expected);
        assert_eq!(header(&answer, "ratelimit").matches(partition).count(), 2);
        seen.push(partition.to_owned());
    }
    assert_eq!(seen[0], seen[2]);
    assert_ne!(seen[0], seen[1]);
}
