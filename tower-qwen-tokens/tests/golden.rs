//! The golden table: what hosts send when they refuse a call, header for header, and what it means.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tower_qwen_tokens::{
    Cause::{self, *},
    Verdict,
};

/// 2026-11-23T00:00:00Z.
const NOW: u64 = 1_795_392_000;

/// A whole answer, and its meaning: cause, whether another try may help, and the wait in milliseconds.
struct Row {
    host: &'static str,
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    expected: (Cause, bool, Option<u64>),
}

const fn row(
    host: &'static str,
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    expected: (Cause, bool, Option<u64>),
) -> Row {
    Row {
        host,
        status,
        headers,
        body,
        expected,
    }
}

const NO: &[(&str, &str)] = &[];

#[rustfmt::skip]
const ROWS: &[Row] = &[
    // Model Studio, native and compatible, as its pages and recordings have it.
    row("native, requests", 429, NO, r#"{"code":"Throttling.RateQuota","message":"Requests rate limit exceeded, please try again later.","request_id":"r"}"#, (RequestRate, true, None)),
    row("native, unnamed", 429, NO, r#"{"code":"Throttling","message":"Too many requests in route. Please try again later.","request_id":"r"}"#, (Throttled, true, None)),
    row("native, growth", 429, NO, r#"{"code":"Throttling.BurstRate","message":"Request rate increased too quickly. To ensure system stability, please adjust your client logic to scale requests more smoothly over time.","request_id":"r"}"#, (Growth, true, None)),
    row("native, tokens", 429, NO, r#"{"code":"Throttling.AllocationQuota","message":"Allocated quota exceeded, please increase your quota limit.","request_id":""}"#, (TokenRate, true, None)),
    row("native, concurrency", 429, NO, r#"{"code":"Throttling.Concurrency","message":"Too many concurrent requests.","request_id":"r"}"#, (Concurrency, true, None)),
    row("native, never seen", 429, NO, r#"{"code":"Throttling.User","message":"x","request_id":"r"}"#, (Throttled, true, None)),
    row("native, free tier in a 429", 429, NO, r#"{"code":"Throttling.AllocationQuota","message":"Free allocated quota exceeded.","request_id":"r"}"#, (FreeTier, false, None)),
    row("native, storage", 429, NO, r#"{"code":"Throttling.RateQuota","message":"Maximum voice-clone storage reached","request_id":"r"}"#, (Account, false, None)),
    row("native, overdue", 429, NO, r#"{"code":"PostpaidBillOverdue","message":"x","request_id":"r"}"#, (Account, false, None)),
    row("native, overdue in a hurry", 429, &[("retry-after", "3")], r#"{"code":"PrepaidBillOverdue","message":"x","request_id":"r"}"#, (Account, false, Some(3_000))),
    row("native, arrears", 400, NO, r#"{"code":"Arrearage","message":"Access denied, please make sure your account is in good standing.","request_id":"r"}"#, (Account, false, None)),
    row("compatible, tokens", 429, NO, r#"{"error":{"code":"insufficient_quota","message":"You exceeded your current quota, please check your plan and billing details. For details, see: https://help.aliyun.com/zh/model-studio/error-code#token-limit","param":null,"type":"insufficient_quota"},"request_id":"r"}"#, (TokenRate, true, None)),
    row("compatible, the same code, back in two days", 429, &[("retry-after", "172800")], r#"{"error":{"code":"insufficient_quota","message":"You exceeded your current quota.","type":"insufficient_quota"}}"#, (Account, false, Some(172_800_000))),
    row("compatible, batch capacity", 429, NO, r#"{"error":{"code":"insufficient_quota","message":"Too many requests. Batch requests are being throttled due to system capacity limits.","type":"insufficient_quota"}}"#, (Capacity, true, None)),
    row("compatible, requests", 429, NO, r#"{"error":{"message":"You have exceeded your current request limit. For details, see: https://help.aliyun.com/zh/model-studio/error-code#rate-limit","type":"limit_requests","param":null,"code":"limit_requests"},"request_id":"r"}"#, (RequestRate, true, None)),
    row("compatible, free tier", 403, NO, r#"{"error":{"code":"AllocationQuota.FreeTierOnly","message":"The free quota has been exhausted. To continue accessing the model, please switch to pay-as-you-go","type":"AllocationQuota.FreeTierOnly"}}"#, (FreeTier, false, None)),
    row("compatible, capacity in a 500", 500, NO, r#"{"error":{"code":"ServiceUnavailable","message":"<503> InternalError.Algo: An error occurred in model serving, error message is: [Too many requests. Your requests are being throttled due to system capacity limits. Please try again later.]","type":"ServiceUnavailable"},"id":"chatcmpl-r","request_id":"r"}"#, (Capacity, true, None)),
    row("compatible, serving error", 503, NO, r#"{"error":{"code":"ModelServingError","message":"x","type":"ModelServingError"}}"#, (Capacity, true, None)),
    row("compatible, timed out", 500, NO, r#"{"error":{"code":"RequestTimeOut","message":"Request timed out, please try again later.","type":"RequestTimeOut"}}"#, (Timeout, true, None)),
    row("compatible, bad key", 401, NO, r#"{"error":{"message":"Incorrect API key provided. ","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#, (Unauthorized, false, None)),
    row("compatible, retired", 403, NO, r#"{"error":{"code":"Endpoint.AccessDenied","message":"x","type":"Endpoint.AccessDenied"}}"#, (Forbidden, false, None)),
    row("compatible, inspection", 400, NO, r#"{"error":{"code":"data_inspection_failed","message":"Input data may contain inappropriate content.","type":"data_inspection_failed"}}"#, (ContentFilter, false, None)),
    row("compatible, too large", 413, NO, "", (TooLarge, false, None)),
    row("no code, no body", 429, NO, "", (Throttled, true, None)),

    // The wait, in every spelling of the two headers that name one.
    row("seconds", 429, &[("retry-after", "1")], "", (Throttled, true, Some(1_000))),
    row("seconds and a half", 503, &[("retry-after", "0.5")], "", (Unavailable, true, Some(500))),
    row("a date", 429, &[("retry-after", "Mon, 23 Nov 2026 00:01:00 GMT")], "", (Throttled, true, Some(60_000))),
    row("a date, by the server's own clock", 429, &[("retry-after", "Mon, 23 Nov 2026 05:01:00 GMT"), ("date", "Mon, 23 Nov 2026 05:00:00 GMT")], "", (Throttled, true, Some(60_000))),
    row("a date of the past", 429, &[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")], "", (Throttled, true, Some(0))),
    row("milliseconds", 429, &[("retry-after-ms", "1500")], "", (Throttled, true, Some(1_500))),
    row("milliseconds go first", 429, &[("retry-after-ms", "10"), ("retry-after", "1")], "", (Throttled, true, Some(10))),
    row("negative", 429, &[("retry-after", "-5"), ("retry-after-ms", "-1")], "", (Throttled, true, None)),
    row("words", 429, &[("retry-after", "tomorrow")], "", (Throttled, true, None)),
    row("not a number", 429, &[("retry-after", "NaN"), ("retry-after-ms", "inf")], "", (Throttled, true, None)),
    row("overflowing", 429, &[("retry-after", "18446744073709551616")], "", (Throttled, true, None)),
    row("no such day", 429, &[("retry-after", "Tue, 30 Feb 2026 00:00:00 GMT")], "", (Throttled, true, None)),

    // Whether another try may help, as the server says itself.
    row("should not", 429, &[("x-should-retry", "false")], "", (Throttled, false, None)),
    row("should", 409, &[("x-should-retry", "true")], "", (Other, true, None)),
    row("neither", 429, &[("x-should-retry", "perhaps")], "", (Throttled, true, None)),

    // Other hosts.
    row("OpenAI", 429, &[("x-ratelimit-limit-requests", "60"), ("x-ratelimit-remaining-requests", "59"), ("x-ratelimit-reset-requests", "1s"), ("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "6m0s")], r#"{"error":{"message":"Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Used 30000, Requested 5.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#, (TokenRate, true, Some(360_000))),
    row("OpenAI, milliseconds", 429, &[("x-ratelimit-reset-requests", "8ms"), ("x-ratelimit-remaining-requests", "0")], r#"{"error":{"message":"Rate limit reached on requests per min (RPM)","type":"requests","code":"rate_limit_exceeded"}}"#, (RequestRate, true, Some(8))),
    row("OpenAI, out of money", 402, NO, r#"{"error":{"message":"x","type":"insufficient_quota","code":"insufficient_quota"}}"#, (Account, false, None)),
    row("Anthropic", 429, &[("anthropic-ratelimit-requests-remaining", "10"), ("anthropic-ratelimit-requests-reset", "2026-11-23T01:00:00Z"), ("anthropic-ratelimit-input-tokens-remaining", "0"), ("anthropic-ratelimit-input-tokens-reset", "2026-11-23T00:00:37Z"), ("x-should-retry", "true")], r#"{"type":"error","error":{"type":"rate_limit_error","message":"x"}}"#, (Throttled, true, Some(37_000))),
    row("Anthropic, overloaded", 529, &[("x-should-retry", "true")], r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, (Capacity, true, None)),
    row("Anthropic's dialect of Model Studio", 400, NO, r#"{"type":"error","error":{"type":"invalid_request_error","message":"Too many requests, please wait before trying again"}}"#, (Throttled, true, None)),
    row("Azure", 429, &[("retry-after-ms", "2471"), ("retry-after", "3"), ("x-ratelimit-reset-tokens", "3")], r#"{"error":{"code":"429","message":"Requests have exceeded token rate limit of your current pricing tier."}}"#, (TokenRate, true, Some(2_471))),
    row("Azure, a reset in seconds", 429, &[("x-ratelimit-reset-tokens", "16"), ("x-ratelimit-remaining-tokens", "0")], r#"{"error":{"code":"429","message":"x"}}"#, (Throttled, true, Some(16_000))),
    row("Azure, gateway", 429, &[("x-ms-retry-after-ms", "900")], "", (Throttled, true, Some(900))),
    row("Azure, nonsense", 429, &[("x-ratelimit-reset-tokens", "-1"), ("x-ratelimit-reset-requests", "0")], r#"{"error":{"code":"429","message":"x"}}"#, (Throttled, true, Some(0))),
    row("Groq", 429, &[("retry-after", "6"), ("x-ratelimit-reset-requests", "2m59.56s"), ("x-ratelimit-reset-tokens", "577.5ms")], r#"{"error":{"message":"Rate limit reached for model `x` on tokens per minute (TPM): Limit 15000, Used 11972, Requested 4351. Please try again in 5.289s. Visit https://console.groq.com","type":"tokens","code":"rate_limit_exceeded"}}"#, (TokenRate, true, Some(6_000))),
    row("Groq, the text alone", 429, NO, r#"{"error":{"message":"Rate limit reached for model `x` on tokens per minute (TPM): Limit 15000, Used 11972, Requested 4351. Please try again in 5.289s. Visit https://console.groq.com","type":"tokens","code":"rate_limit_exceeded"}}"#, (TokenRate, true, Some(5_289))),
    row("Cerebras, the day is used up", 429, &[("x-ratelimit-reset-requests-day", "33011.382867"), ("x-ratelimit-remaining-requests-day", "0"), ("x-ratelimit-reset-tokens-minute", "11.3"), ("x-ratelimit-remaining-tokens-minute", "100")], "", (Throttled, true, Some(33_011_383))),
    row("Cerebras, the minute is", 429, &[("x-ratelimit-reset-requests-day", "33011.382867"), ("x-ratelimit-remaining-requests-day", "9"), ("x-ratelimit-reset-tokens-minute", "11.3"), ("x-ratelimit-remaining-tokens-minute", "0")], "", (Throttled, true, Some(11_300))),
    row("Together", 429, &[("x-ratelimit-limit", "10"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "2")], r#"{"error":{"message":"x","type":"rate_limit"}}"#, (Throttled, true, Some(2_000))),
    row("Fireworks, over the limit but served elsewhere", 503, &[("x-ratelimit-over-limit", "yes")], "", (Unavailable, true, None)),
    row("OpenRouter, header", 429, &[("x-ratelimit-limit", "20"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1795392004000")], r#"{"error":{"message":"Rate limit exceeded: free-models-per-min.","code":429}}"#, (Throttled, true, Some(4_000))),
    row("OpenRouter, body", 429, NO, r#"{"error":{"message":"Rate limit exceeded","code":429,"metadata":{"headers":{"X-RateLimit-Limit":"20","X-RateLimit-Remaining":"0","X-RateLimit-Reset":"1795392004000"}}},"user_id":"u"}"#, (Throttled, true, Some(4_000))),
    row("OpenRouter, Alibaba behind it", 429, NO, r#"{"error":{"message":"Provider returned error","code":429,"metadata":{"raw":"Upstream error from Alibaba: Request rate increased too quickly. To ensure system stability, please adjust","provider_name":"Alibaba"}}}"#, (Growth, true, None)),
    row("SiliconFlow", 429, NO, r#"{"code":50602,"message":"Request was rejected due to rate limiting. Details: TPM limit reached.","data":null}"#, (TokenRate, true, None)),
    row("DigitalOcean, epoch seconds", 429, &[("ratelimit-reset", "1795392030"), ("ratelimit-remaining", "0")], "", (Throttled, true, Some(30_000))),
    row("vLLM, the queue is full", 503, NO, r#"{"object":"error","message":"The request queue is full.","type":"ServiceUnavailableError","code":503}"#, (Capacity, true, None)),
    row("SGLang, the queue is full", 429, NO, r#"{"object":"error","message":"The request queue is full.","type":"429","code":429}"#, (Capacity, true, None)),
    row("IETF", 429, &[("ratelimit", r#""burst";r=0;t=30, "daily";r=50;t=36000"#), ("ratelimit-policy", r#""burst";q=100;w=60,"daily";q=1000;w=86400"#)], "", (Throttled, true, Some(30_000))),
    row("IETF, nothing used up", 429, &[("ratelimit", r#""burst";r=5;t=30, "daily";r=50;t=36000"#)], "", (Throttled, true, Some(30_000))),
    row("IETF, Retry-After goes first", 429, &[("ratelimit", r#""burst";r=0;t=30"#), ("retry-after", "7")], "", (Throttled, true, Some(7_000))),
    row("IETF, no time", 429, &[("ratelimit", r#""burst";r=0"#)], "", (Throttled, true, None)),
    row("IETF, negative", 429, &[("ratelimit", r#""burst";r=0;t=-30"#)], "", (Throttled, true, None)),
    row("IETF, old", 429, &[("ratelimit", "limit=100, remaining=0, reset=12")], "", (Throttled, true, Some(12_000))),
    row("IETF, only a throttle waits for it", 500, &[("ratelimit", r#""burst";r=0;t=30"#)], "", (ServerError, true, None)),
];

fn headers(rows: &[(&'static str, &str)]) -> HeaderMap {
    let header = |&(name, value): &(&'static str, &str)| {
        let value = HeaderValue::from_str(value).expect("a header value");
        (HeaderName::from_static(name), value)
    };
    rows.iter().map(header).collect()
}

fn classified(row: &Row) -> Verdict {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
    let status = StatusCode::from_u16(row.status).expect("a status");
    Verdict::of_response(status, &headers(row.headers), row.body.as_bytes(), now)
}

#[test]
fn every_row_means_what_it_should() {
    for row in ROWS {
        let verdict = classified(row);
        let (cause, transient, wait) = row.expected;
        assert_eq!(
            (verdict.cause(), verdict.is_transient()),
            (cause, transient),
            "{}",
            row.host
        );
        let millis = |wait: Duration| wait.as_nanos().div_ceil(1_000_000);
        assert_eq!(
            verdict.retry_after().map(millis),
            wait.map(u128::from),
            "{}",
            row.host
        );
    }
}

#[test]
fn no_success_or_redirection_is_told_to_be_tried_again() {
    for status in [200, 204, 301, 304, 400, 404, 418, 422] {
        let refused = row("", status, NO, "", (Other, false, None));
        assert!(!classified(&refused).is_transient(), "{status}");
    }
}

#[test]
fn rules_of_ones_own_change_one_thing_at_a_time() {
    let of = |host| classified(ROWS.iter().find(|row| row.host == host).expect("a row"));
    let verdict = of("SiliconFlow");
    let changed = verdict.clone().with_cause(Account);
    assert_eq!(
        (changed.cause(), changed.is_transient(), changed.code()),
        (Account, false, Some("50602"))
    );
    let changed = verdict.clone().with_transient(false);
    assert_eq!(
        (changed.cause(), changed.is_transient()),
        (TokenRate, false)
    );
    let second = Duration::from_secs(1);
    assert_eq!(
        verdict.clone().with_retry_after(Some(second)).retry_after(),
        Some(second)
    );
    assert_eq!(
        verdict,
        of("SiliconFlow"),
        "a clone that changes leaves the others alone"
    );
    for &cause in Cause::ALL {
        let made = Verdict::of_cause(cause);
        assert_eq!(
            (made.cause(), made.is_transient()),
            (cause, cause.is_transient())
        );
    }
}
