//! The headers tell what the quotas of the account are.

use std::time::Duration;

use http::HeaderMap;
use mock_qwen::{Charge, Config, Enforce, Faults, Growth, MockQwen, RateLimitHeaders, RetryAfter};
use serde_json::json;

use crate::support::{COMPATIBLE, ask, call, chat, instant, pass, post, prompt_of, read, seconds};

const NAMES: [&str; 6] = [
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
];

fn telling(rate_limit_headers: RateLimitHeaders) -> Config {
    Config {
        rpm: 4,
        tpm: 1_000,
        rate_limit_headers,
        ..instant()
    }
}

fn figures(headers: &HeaderMap) -> [&str; 6] {
    NAMES.map(|name| headers[name].to_str().expect("text"))
}

fn told(headers: &HeaderMap) -> usize {
    let names = headers.keys().map(http::HeaderName::as_str);
    names.filter(|name| name.starts_with("x-ratelimit")).count()
}

async fn headers(mock: &MockQwen) -> (u16, HeaderMap) {
    let (status, headers, _) = call(mock, COMPATIBLE, &chat("hello")).await;
    (status.as_u16(), headers)
}

#[tokio::test(start_paused = true)]
async fn none_unless_told() {
    let mock = MockQwen::new(Config {
        rpm: 1,
        ..instant()
    });
    for expected in [200, 429] {
        let (status, headers) = headers(&mock).await;
        assert_eq!((status, told(&headers)), (expected, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_sliding_window_as_openai_tells_it() {
    let cost = prompt_of("hello") + 1;
    let mock = MockQwen::new(telling(RateLimitHeaders::OpenAi));
    for used in 1..=4 {
        let (status, headers) = headers(&mock).await;
        assert_eq!(status, 200);
        let requests = (4 - used).to_string();
        let tokens = (1_000 - used * cost).to_string();
        let expected = ["4", &requests, "1m0s", "1000", &tokens, "1m0s"];
        assert_eq!(figures(&headers), expected);
    }
    pass(Duration::from_millis(500)).await;
    let (status, answer) = headers(&mock).await;
    assert_eq!((status, told(&answer)), (429, 6));
    assert!(!answer.contains_key("retry-after"));
    let tokens = (1_000 - 4 * cost).to_string();
    let expected = ["4", "0", "59.5s", "1000", &tokens, "59.5s"];
    assert_eq!(figures(&answer), expected);
    pass(Duration::from_micros(59_499_500)).await;
    assert_eq!(figures(&headers(&mock).await.1)[2], "1ms", "rounded up");
    pass(Duration::from_micros(500)).await;
    let (status, headers) = headers(&mock).await;
    assert_eq!((status, figures(&headers)[1]), (200, "3"));
}

#[tokio::test(start_paused = true)]
async fn a_bucket_as_groq_tells_it() {
    let cost = prompt_of("hello") + 1;
    let mock = MockQwen::new(Config {
        enforce: Enforce::Bucket,
        ..telling(RateLimitHeaders::Groq)
    });
    let (status, answer) = headers(&mock).await;
    assert_eq!(status, 200);
    assert!(!answer.contains_key("retry-after"), "only on a 429");
    // A request is refilled in 15 s, and a token in 60 ms.
    let tokens = (1_000 - cost).to_string();
    let reset = match 60 * cost {
        millis if millis < 1_000 => format!("{millis}ms"),
        millis => format!("{}s", millis as f64 / 1_000.0),
    };
    let expected = ["4", "3", "15s", "1000", &tokens, &reset];
    assert_eq!(figures(&answer), expected);
    for _ in 0..3 {
        assert_eq!(ask(&mock, "hello").await, 200);
    }
    pass(Duration::from_micros(1_200_500)).await;
    let (status, answer) = headers(&mock).await;
    assert_eq!(
        (status, &answer["retry-after"]),
        (429, &"14".parse().expect("ascii"))
    );
    assert_eq!(figures(&answer)[1..3], ["0", "58.7995s"]);
    pass(seconds(14)).await;
    assert_eq!(ask(&mock, "hello").await, 200);
}

#[tokio::test(start_paused = true)]
async fn a_fixed_window_resets_at_its_end_and_an_unused_one_needs_not() {
    let mock = MockQwen::new(Config {
        enforce: Enforce::Fixed,
        output_tokens: 100,
        ..telling(RateLimitHeaders::OpenAi)
    });
    pass(seconds(50)).await;
    let mut body = chat("hello");
    body["stream"] = json!(true);
    // A stream is charged its prompt when it begins, which is when the headers go.
    let response = post(&mock, COMPATIBLE, &[], &body).await;
    let tokens = (1_000 - prompt_of("hello")).to_string();
    let expected = ["4", "3", "10s", "1000", &tokens, "10s"];
    assert_eq!(figures(response.headers()), expected);
    assert!(read(response).await.ends_with("data: [DONE]\n\n"));
    let (_, headers) = headers(&mock).await;
    let used = mock.stats().tokens.total;
    assert_eq!(figures(&headers)[4], (1_000 - used).to_string());
}

#[tokio::test(start_paused = true)]
async fn what_is_owed_is_nothing_left() {
    let mock = MockQwen::new(Config {
        tpm: prompt_of("hello") + 1,
        output_tokens: 400,
        charge: Charge::End,
        ..telling(RateLimitHeaders::Groq)
    });
    let (status, answer) = headers(&mock).await;
    assert_eq!((status, figures(&answer)[4]), (200, "0"));
    let (status, answer) = headers(&mock).await;
    assert_eq!(
        (status, figures(&answer)[4..].to_vec()),
        (429, vec!["0", "1m0s"])
    );
    assert_eq!(answer["retry-after"], "60");
}

#[tokio::test(start_paused = true)]
async fn a_named_header_stands_in_for_the_one_of_groq() {
    let mock = MockQwen::new(Config {
        rpm: 1,
        retry_after: RetryAfter::Milliseconds,
        ..telling(RateLimitHeaders::Groq)
    });
    assert_eq!(ask(&mock, "hello").await, 200);
    let (_, headers) = headers(&mock).await;
    assert_eq!(headers["retry-after-ms"], "60000");
    assert!(!headers.contains_key("retry-after"));
}

#[tokio::test(start_paused = true)]
async fn growth_refuses_while_the_headers_tell_of_room() {
    let mock = MockQwen::new(Config {
        growth: Some(Growth {
            floor: 1,
            ..Growth::default()
        }),
        ..telling(RateLimitHeaders::Groq)
    });
    assert_eq!(ask(&mock, "hello").await, 200);
    let (status, headers) = headers(&mock).await;
    assert_eq!((status, figures(&headers)[1]), (429, "3"));
    assert_eq!(headers["retry-after"], "1");
}

#[tokio::test(start_paused = true)]
async fn other_errors_tell_nothing() {
    let mock = MockQwen::new(Config {
        faults: Faults {
            throttle_500: 0.5,
            unavailable: 0.5,
            ..Faults::default()
        },
        ..telling(RateLimitHeaders::Groq)
    });
    let mut seen = Vec::new();
    for _ in 0..20 {
        let (status, headers) = headers(&mock).await;
        assert_eq!(told(&headers), 0);
        assert!(!headers.contains_key("retry-after"));
        seen.push(status);
    }
    assert!(seen.contains(&500) && seen.contains(&503), "{seen:?}");
    let (status, headers, _) = call(&mock, COMPATIBLE, &json!({})).await;
    assert_eq!((status.as_u16(), told(&headers)), (400, 0));
}
