//! The header tells the true time.

use std::time::Duration;

use mock_qwen::{Charge, Config, Enforce, MockQwen, RetryAfter};

use crate::support::{COMPATIBLE, ask, call, chat, instant, pass, prompt_of, seconds};

async fn header(mock: &MockQwen, name: &str) -> String {
    let (status, headers, _) = call(mock, COMPATIBLE, &chat("hello")).await;
    assert_eq!(status, 429);
    headers[name].to_str().expect("text").to_owned()
}

#[tokio::test(start_paused = true)]
async fn milliseconds_are_exact_however_quotas_are_enforced() {
    for (enforce, expected) in [
        (Enforce::Sliding, 57_500),
        (Enforce::Fixed, 55_000),
        (Enforce::Bucket, 27_500),
    ] {
        let mock = MockQwen::new(Config {
            rpm: 2,
            enforce,
            retry_after: RetryAfter::Milliseconds,
            ..instant()
        });
        pass(Duration::from_millis(2_500)).await;
        assert_eq!(ask(&mock, "hello").await, 200);
        assert_eq!(ask(&mock, "hello").await, 200);
        pass(Duration::from_millis(2_500)).await;
        assert_eq!(header(&mock, "retry-after-ms").await, expected.to_string());
        pass(Duration::from_millis(expected - 1)).await;
        assert_eq!(header(&mock, "retry-after-ms").await, "1");
        pass(Duration::from_millis(1)).await;
        assert_eq!(ask(&mock, "hello").await, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn the_longest_of_all_waits_counts() {
    // Requests fit again after 60 s of the first call, tokens only after 60 s of the second.
    let large = "word ".repeat(90);
    let mock = MockQwen::new(Config {
        rpm: 2,
        tpm: prompt_of(&large) + prompt_of("hello") + 2,
        charge: Charge::Start,
        retry_after: RetryAfter::Seconds,
        ..instant()
    });
    assert_eq!(ask(&mock, "hello").await, 200);
    pass(seconds(30)).await;
    assert_eq!(ask(&mock, &large).await, 200);
    assert_eq!(header(&mock, "retry-after").await, "30");
    let (status, headers, _) = call(&mock, COMPATIBLE, &chat(&large)).await;
    assert_eq!(
        (status.as_u16(), &headers["retry-after"]),
        (429, &"60".parse().expect("ascii"))
    );
}

#[tokio::test(start_paused = true)]
async fn seconds_and_dates_round_up() {
    let mock = |retry_after| {
        MockQwen::new(Config {
            rpm: 1,
            retry_after,
            ..instant()
        })
    };
    let by_seconds = mock(RetryAfter::Seconds);
    assert_eq!(ask(&by_seconds, "hello").await, 200);
    pass(Duration::from_millis(10_001)).await;
    assert_eq!(header(&by_seconds, "retry-after").await, "50");

    let by_date = mock(RetryAfter::Date);
    let (_, _, body) = call(&by_date, COMPATIBLE, &chat("hello")).await;
    let date = header(&by_date, "retry-after").await;
    let date = httpdate::parse_http_date(&date).expect("an HTTP date");
    let date = date
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    let created = body["created"].as_u64().expect("seconds");
    assert!((60..=61).contains(&(date - created)), "{created} {date}");
}
