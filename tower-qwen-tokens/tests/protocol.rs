//! Verdicts over the bodies that hosts send, and the hints when to try again.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use proptest::prelude::*;
use tower_qwen_tokens::{
    Cause::{self, *},
    Verdict,
    internal::{KNOWN_ERRORS, retry_after},
};

/// 2026-11-23T00:00:00Z.
const NOW: u64 = 1_795_392_000;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
}

fn headers(rows: &[(&'static str, &str)]) -> HeaderMap {
    rows.iter()
        .map(|&(name, value)| {
            let value = HeaderValue::from_str(value).expect("a header value");
            (HeaderName::from_static(name), value)
        })
        .collect()
}

fn verdict(status: u16, body: &str) -> Verdict {
    let status = StatusCode::from_u16(status).expect("a status");
    Verdict::of_response(status, &HeaderMap::new(), body.as_bytes(), now())
}

fn native(code: &str, message: &str) -> String {
    serde_json::json!({"code": code, "message": message, "request_id": "r"}).to_string()
}

fn compat(code: &str, message: &str) -> String {
    serde_json::json!({
        "error": {"code": code, "message": message, "param": null, "type": code}, "request_id": "r"
    })
    .to_string()
}

#[test]
fn native_and_compatible_bodies() {
    #[rustfmt::skip]
    let rows: &[(u16, &str, &str, Cause, bool)] = &[
        (429, "Throttling", "Requests throttling triggered.", Throttled, true),
        (429, "Throttling", "Too many requests in route. Please try again later.", Throttled, true),
        (429, "Throttling.RateQuota", "You have exceeded your request limit.", RequestRate, true),
        (429, "Throttling.RateQuota", "Requests rate limit exceeded, please try again later.", RequestRate, true),
        (429, "limit_requests", "You exceeded your current requests list.", RequestRate, true),
        (429, "LimitRequests", "", RequestRate, true),
        (429, "limit_requests", "You have exceeded your current request limit. For details, see: x", RequestRate, true),
        (429, "Throttling.BurstRate", "Request rate increased too quickly.", Growth, true),
        (429, "limit_burst_rate", "", Growth, true),
        (429, "Throttling.AllocationQuota", "Allocated quota exceeded, please increase your quota limit.", TokenRate, true),
        (429, "insufficient_quota", "You exceeded your current quota, please check your plan and billing details.", TokenRate, true),
        (429, "insufficient_quota", "Free allocated quota exceeded.", FreeTier, false),
        (429, "Throttling.AllocationQuota", "Free allocated quota exceeded.", FreeTier, false),
        (429, "insufficient_quota", "Plan used up, your quota will reset at 2026-12-01 00:00:00.", Account, false),
        (402, "insufficient_quota", "Not enough balance.", Account, false),
        (429, "insufficient_quota", "Too many requests. Batch requests are being throttled due to system capacity limits.", Capacity, true),
        (429, "Throttling.RateQuota", "Maximum voice-clone number reached.", Account, false),
        (429, "Throttling.Concurrency", "Too many concurrent requests.", Concurrency, true),
        (429, "CommodityNotPurchased", "Commodity has not purchased yet.", Account, false),
        (429, "PrepaidBillOverdue", "", Account, false),
        (429, "PostpaidBillOverdue", "", Account, false),
        (400, "Arrearage", "Access denied, please make sure your account is in good standing.", Account, false),
        (403, "AllocationQuota.FreeTierOnly", "The free tier of the model has been exhausted.", FreeTier, false),
        (403, "AccessDenied", "Access denied.", Forbidden, false),
        (403, "AccessDenied", "Current user api does not support asynchronous calls.", AsyncUnsupported, false),
        (403, "access_denied", "", Forbidden, false),
        (403, "AccessDenied.Unpurchased", "", Forbidden, false),
        (403, "Model.AccessDenied", "", Forbidden, false),
        (403, "Workspace.AccessDenied", "", Forbidden, false),
        (403, "Endpoint.AccessDenied", "", Forbidden, false),
        (401, "InvalidApiKey", "Invalid API-key provided.", Unauthorized, false),
        (401, "invalid_api_key", "Incorrect API key provided.", Unauthorized, false),
        (404, "ModelNotFound", "", NotFound, false),
        (404, "model_not_found", "", NotFound, false),
        (404, "model_not_supported", "", NotFound, false),
        (400, "InvalidParameter", "Range of max_tokens should be [1, 8192]", InvalidRequest, false),
        (400, "InvalidParameter", "unknown role: too many requests", InvalidRequest, false),
        (400, "DataInspectionFailed", "", ContentFilter, false),
        (400, "data_inspection_failed", "", ContentFilter, false),
        (413, "", "", TooLarge, false),
        (500, "RequestTimeOut", "Request timed out, please try again later.", Timeout, true),
        (408, "RequestTimeOut", "", Timeout, true),
        (500, "InternalError", "", ServerError, true),
        (500, "internal_error", "", ServerError, true),
        (500, "InternalError.Algo", "", ServerError, true),
        (500, "InternalError.Timeout", "", Timeout, true),
        (500, "SystemError", "", ServerError, true),
        (500, "ModelServiceFailed", "", ServerError, true),
        (503, "ModelServingError", "Too many requests. Your requests are being throttled due to system capacity limits.", Capacity, true),
        (500, "ServiceUnavailable", "<503> InternalError.Algo: An error occurred in model serving, error message is: [Too many requests. Your requests are being throttled due to system capacity limits. Please try again later.]", Capacity, true),
        (500, "InternalError.Algo", "<503> InternalError.Algo: [Too many requests.]", Capacity, true),
        (503, "ServiceUnavailable", "The service is away.", Unavailable, true),
        (503, "ModelUnavailable", "", Unavailable, true),
        (429, "SomethingNew", "", Throttled, true),
        (429, "Throttling.Something.New", "", Throttled, true),
        (400, "InvalidParameter.SomethingNew", "", InvalidRequest, false),
        (418, "SomethingNew", "", Other, false),
        (500, "SomethingNew", "", ServerError, true),
    ];
    for &(status, code, message, cause, transient) in rows {
        for body in [native(code, message), compat(code, message)] {
            let verdict = verdict(status, &body);
            assert_eq!(
                (verdict.cause(), verdict.is_transient()),
                (cause, transient),
                "{status} {body}"
            );
            assert_eq!(verdict.code(), Some(code), "{body}");
            assert_eq!(verdict.is_throttle(), cause.is_throttle());
            assert_eq!(verdict.status().map(|status| status.as_u16()), Some(status));
        }
    }
}

#[test]
fn bodies_of_other_hosts() {
    #[rustfmt::skip]
    let rows: &[(u16, &str, Cause, bool)] = &[
        (429, r#"{"code":50602,"message":"Request was rejected due to rate limiting. Details: TPM limit reached.","data":null}"#, TokenRate, true),
        (429, r#"{"code":50602,"message":"Request was rejected due to rate limiting. Details: RPM limit reached.","data":null}"#, RequestRate, true),
        (429, r#"{"code":50602,"message":"Request was rejected.","data":null}"#, Throttled, true),
        (429, r#"{"error":{"message":"Provider returned error","code":429,"metadata":{"raw":"Upstream error from Alibaba: Request rate increased too quickly. To ensure system stability","provider_name":"Alibaba"}}}"#, Growth, true),
        (429, r#"{"error":{"message":"Upstream error from Alibaba: Request rate increased too quickly","code":429}}"#, Growth, true),
        (429, r#"{"type":"error","error":{"type":"rate_limit_error","message":"Number of requests exceeded"}}"#, Throttled, true),
        (529, r#"{"error":{"type":"overloaded_error","message":"Overloaded"},"type":"error"}"#, Capacity, true),
        (400, r#"{"type":"error","error":{"type":"invalid_request_error","message":"Too many requests, please wait"}}"#, Throttled, true),
        (400, r#"{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: required"}}"#, InvalidRequest, false),
        (401, r#"{"type":"error","error":{"type":"authentication_error","message":"x"}}"#, Unauthorized, false),
        (404, r#"{"object":"error","message":"The model does not exist.","type":"NotFoundError","param":null,"code":404}"#, NotFound, false),
        (503, r#"{"object":"error","message":"The request queue is full.","type":"x","code":503}"#, Capacity, true),
        (429, r#"{"error":{"message":"Rate limit reached for model on tokens per minute (TPM): Limit 15000. Please try again in 5.289s.","type":"tokens","code":"rate_limit_exceeded"}}"#, TokenRate, true),
        (500, r#"{"error":"Model too busy"}"#, ServerError, true),
        (422, r#"{"detail":[{"loc":["body","model"],"msg":"field required"}]}"#, InvalidRequest, false),
        (502, "<html><body>Bad Gateway</body></html>", ServerError, true),
        (503, "Too many requests, slow down", Capacity, true),
        (504, "", Timeout, true),
        (503, "", Unavailable, true),
        (402, "", Account, false),
        (429, "", Throttled, true),
        (429, "null", Throttled, true),
        (429, "[]", Throttled, true),
        (429, r#"{"code":null,"message":null}"#, Throttled, true),
        (405, "", Other, false),
        (429, "id:1\nevent:error\n:HTTP_STATUS/429\ndata:{\"code\":\"Throttling.BurstRate\",\"message\":\"x\"}\n\n", Growth, true),
    ];
    for &(status, body, cause, transient) in rows {
        let verdict = verdict(status, body);
        assert_eq!(
            (verdict.cause(), verdict.is_transient()),
            (cause, transient),
            "{status} {body}"
        );
    }
}

#[test]
fn a_body_that_is_cut_is_classified_by_what_is_there() {
    let body = r#"{"error":{"code":"limit_burst_rate","message":"Request rate incr"#;
    assert_eq!(verdict(429, body).cause(), Growth);
    assert_eq!(
        verdict(429, r#"{"error":{"code":"limit_b"#).cause(),
        Throttled
    );
}

#[test]
fn a_quota_that_comes_back_in_days_is_the_plan() {
    let body = compat("insufficient_quota", "You exceeded your current quota.");
    let classified = |wait: &str| {
        let headers = headers(&[("retry-after", wait)]);
        Verdict::of_response(
            StatusCode::TOO_MANY_REQUESTS,
            &headers,
            body.as_bytes(),
            now(),
        )
    };
    assert_eq!(
        (
            classified("86399").cause(),
            classified("86399").is_transient()
        ),
        (TokenRate, true)
    );
    assert_eq!(
        (
            classified("86400").cause(),
            classified("86400").is_transient()
        ),
        (Account, false)
    );
    assert_eq!(
        classified("86400").retry_after(),
        Some(Duration::from_secs(86_400))
    );
}

#[test]
fn an_asynchronous_call_that_is_throttled_stays_so() {
    let body = native("Throttling.RateQuota", "Requests rate limit exceeded");
    let changed = verdict(429, &body).of_async_call();
    assert_eq!(
        (changed.cause(), changed.is_transient()),
        (AsyncUnsupported, false)
    );
    assert_eq!(changed.code(), Some("Throttling.RateQuota"));
    let kept = verdict(500, "").of_async_call();
    assert_eq!((kept.cause(), kept.is_transient()), (ServerError, true));
}

#[test]
fn events_that_are_errors() {
    type Row = (&'static str, Option<u16>, Cause, bool, Option<u16>);
    #[rustfmt::skip]
    let rows: &[Row] = &[
        (r#"{"code":"Throttling.AllocationQuota","message":"x","request_id":"r"}"#, Some(429), TokenRate, true, Some(429)),
        (r#"{"code":"Throttling.AllocationQuota","message":"x"}"#, Some(400), TokenRate, true, Some(400)),
        (r#"{"code":"Throttling.AllocationQuota","message":"x"}"#, Some(200), TokenRate, true, None),
        (r#"{"code":"InvalidParameter","message":"Role must be user"}"#, Some(400), InvalidRequest, false, Some(400)),
        (r#"{"code":"InvalidParameter","message":"too many requests"}"#, None, InvalidRequest, false, None),
        (r#"{"code":"Throttling.SomethingNew"}"#, None, Throttled, true, None),
        (r#"{"code":"SomethingNew.Throttling"}"#, None, Other, false, None),
        (r#"{"code":"limit_requests"}"#, None, RequestRate, true, None),
        (r#"{"error":{"code":"insufficient_quota","message":"x","type":"insufficient_quota"}}"#, None, TokenRate, true, None),
        (r#"{"id":"x","choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}],"error":{"code":429,"message":"Rate limited"}}"#, None, Throttled, true, Some(429)),
        (r#"{"error":{"code":502,"message":"Upstream error from Alibaba: Request rate increased too quickly"}}"#, None, Growth, true, Some(502)),
        (r#"{"error":{"message":"Upstream error from Alibaba: Request rate increased too quickly"}}"#, None, Growth, true, None),
        (r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, None, Capacity, true, None),
        (r#"{"type":"error","error":{"type":"invalid_request_error","message":"Too many requests, please wait"}}"#, None, Throttled, true, None),
        (r#"{"type":"response.failed","response":{"id":"r","error":{"code":"server_error","message":"x"}}}"#, None, ServerError, true, None),
        (r#"{"choices":[{"delta":{"content":"Throttling: TPM(10680324/10000000)"},"finish_reason":"error_finish"}]}"#, None, TokenRate, true, None),
        (r#"{"error":"something broke"}"#, None, Other, false, None),
        (r#"{"object":"error","message":"bad","type":"BadRequestError","code":400}"#, None, InvalidRequest, false, Some(400)),
        (r#"{"code":50602,"message":"TPM limit reached."}"#, None, TokenRate, true, None),
        (r#"{"error":{"code":null,"message":null}}"#, Some(500), ServerError, true, Some(500)),
    ];
    for &(data, status, cause, transient, seen) in rows {
        let verdict = Verdict::of_event(data.as_bytes(), status).expect(data);
        assert_eq!(
            (verdict.cause(), verdict.is_transient()),
            (cause, transient),
            "{data}"
        );
        assert_eq!(
            verdict.status().map(|status| status.as_u16()),
            seen,
            "{data}"
        );
    }
}

#[test]
fn events_that_are_none() {
    for data in [
        "",
        "[DONE]",
        "{",
        "null",
        r#"{"id":"x","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}],"usage":null}"#,
        r#"{"choices":[{"delta":{"content":"\"error\": \"code\""},"finish_reason":"stop"}]}"#,
        r#"{"choices":[{"delta":{"content":"error_finish"},"finish_reason":"stop"}]}"#,
        r#"{"output":{"finish_reason":"null","text":"code"},"usage":{"total_tokens":18},"request_id":"r"}"#,
        r#"{"status_code":200,"code":"","message":"","output":{"text":"Hi"}}"#,
        r#"{"code":null,"message":null,"output":{"text":"Hi"}}"#,
        r#"{"code":200,"message":"ok","data":{}}"#,
        r#"{"code":"Success","data":{}}"#,
        r#"{"error":null,"choices":[]}"#,
        r#"{"error":{},"choices":[]}"#,
        r#"{"error":"","choices":[]}"#,
        r#"{"error":false}"#,
        r#"{"type":"response.created","response":{"id":"r","status":"in_progress","error":null}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":3}}"#,
    ] {
        assert_eq!(
            Verdict::of_event(data.as_bytes(), Some(200)),
            None,
            "{data}"
        );
    }
}

#[test]
fn hints_in_headers() {
    let ms = Duration::from_millis;
    type Row = (
        &'static [(&'static str, &'static str)],
        Cause,
        Option<Duration>,
    );
    #[rustfmt::skip]
    let rows: &[Row] = &[
        (&[("retry-after", "7")], TokenRate, Some(ms(7_000))),
        (&[("retry-after", "1.5")], TokenRate, Some(ms(1_500))),
        (&[("retry-after", " 0 ")], TokenRate, Some(ms(0))),
        (&[("retry-after", "7")], ServerError, Some(ms(7_000))),
        (&[("retry-after-ms", "250")], TokenRate, Some(ms(250))),
        (&[("retry-after-ms", "0.5")], TokenRate, Some(Duration::from_micros(500))),
        (&[("retry-after-ms", "250"), ("retry-after", "7")], TokenRate, Some(ms(250))),
        (&[("retry-after-ms", "x"), ("retry-after", "7")], TokenRate, Some(ms(7_000))),
        (&[("retry-after", "Mon, 23 Nov 2026 00:00:30 GMT")], TokenRate, Some(ms(30_000))),
        (&[("retry-after", "Sun, 22 Nov 2026 00:00:00 GMT")], TokenRate, Some(ms(0))),
        // The clock here is an hour late.
        (&[("retry-after", "Mon, 23 Nov 2026 01:00:30 GMT"), ("date", "Mon, 23 Nov 2026 01:00:00 GMT")], TokenRate, Some(ms(30_000))),
        (&[("retry-after", "-1")], TokenRate, None),
        (&[("retry-after", "NaN")], TokenRate, None),
        (&[("retry-after", "inf")], TokenRate, None),
        (&[("retry-after", "1e3")], TokenRate, None),
        (&[("retry-after", "soon")], TokenRate, None),
        (&[("retry-after", ".")], TokenRate, None),
        (&[("retry-after", "99999999999999999999999999999999999999999999999999")], TokenRate, None),
        (&[("x-ratelimit-reset-requests", "6m0s")], RequestRate, Some(ms(360_000))),
        (&[("x-ratelimit-reset-tokens", "120ms")], TokenRate, Some(ms(120))),
        (&[("x-ratelimit-reset-tokens", "2m59.56s")], TokenRate, Some(ms(179_560))),
        (&[("x-ratelimit-reset-tokens", "59.6825s")], TokenRate, Some(Duration::from_micros(59_682_500))),
        (&[("x-ratelimit-reset-tokens", "33011.382867")], TokenRate, Some(Duration::from_micros(33_011_382_867))),
        (&[("x-ratelimit-reset", "1795392005")], TokenRate, Some(ms(5_000))),
        (&[("x-ratelimit-reset", "1795392005250")], TokenRate, Some(ms(5_250))),
        (&[("x-ratelimit-reset", "1795391000")], TokenRate, Some(ms(0))),
        (&[("x-ratelimit-reset", "2026-11-23T00:00:10Z")], TokenRate, Some(ms(10_000))),
        (&[("x-ratelimit-reset", "2026-11-23T08:00:10.5+08:00")], TokenRate, Some(ms(10_500))),
        (&[("x-ratelimit-reset", "2026-02-30T00:00:10Z")], TokenRate, None),
        (&[("anthropic-ratelimit-input-tokens-reset", "2026-11-23T00:00:10Z")], TokenRate, Some(ms(10_000))),
        (&[("x-ratelimit-reset", "-1")], TokenRate, None),
        (&[("x-ratelimit-reset", "5 parsecs")], TokenRate, None),
        // Only a throttle waits for a reset.
        (&[("x-ratelimit-reset-tokens", "5s")], ServerError, None),
        (&[("x-ratelimit-reset-tokens", "5s")], InvalidRequest, None),
        // Of two the one that is meant, else the larger.
        (&[("x-ratelimit-reset-requests", "1s"), ("x-ratelimit-reset-tokens", "9s")], RequestRate, Some(ms(1_000))),
        (&[("x-ratelimit-reset-requests", "9s"), ("x-ratelimit-reset-tokens", "1s")], TokenRate, Some(ms(1_000))),
        (&[("x-ratelimit-reset-requests", "1s"), ("x-ratelimit-reset-tokens", "9s")], Throttled, Some(ms(9_000))),
        // What is used up is what is meant.
        (&[("x-ratelimit-reset-requests", "9h"), ("x-ratelimit-remaining-requests", "400"), ("x-ratelimit-reset-tokens", "3s"), ("x-ratelimit-remaining-tokens", "0")], Throttled, Some(ms(3_000))),
        (&[("retry-after", "2"), ("x-ratelimit-reset-tokens", "9s")], TokenRate, Some(ms(2_000))),
        (&[], TokenRate, None),
    ];
    for &(rows, cause, wait) in rows {
        assert_eq!(
            retry_after(&headers(rows), "", cause, now()),
            wait,
            "{rows:?} {cause}"
        );
    }
}

#[test]
fn hints_in_messages() {
    let ms = Duration::from_millis;
    for (message, wait) in [
        (
            "Limit 15000, Used 11972. Please try again in 5.289s. Visit",
            Some(ms(5_289)),
        ),
        ("Please try again in 1m2s", Some(ms(62_000))),
        ("Please try again in 120ms.", Some(ms(120))),
        ("Retry after 3 seconds", Some(ms(3_000))),
        ("please retry after 20.", Some(ms(20_000))),
        ("Your quota will reset after 1h0m1s.", Some(ms(3_601_000))),
        ("try again in 2 minutes 5 seconds", Some(ms(125_000))),
        ("Please try again later.", None),
        ("try again in a while", None),
        ("try again in 5 parsecs", None),
        ("try again in -5s", None),
        ("try again in ", None),
    ] {
        let hint = retry_after(&HeaderMap::new(), message, TokenRate, now());
        assert_eq!(hint, wait, "{message}");
    }
}

#[test]
fn a_router_writes_the_reset_into_the_body() {
    let body = r#"{"error":{"code":429,"message":"Rate limited","metadata":{"headers":{"X-RateLimit-Limit":"20","X-RateLimit-Reset":"1795392004000"}}}}"#;
    assert_eq!(
        verdict(429, body).retry_after(),
        Some(Duration::from_secs(4))
    );
    assert_eq!(verdict(400, body).retry_after(), None);
}

#[test]
fn debug_shows_no_message() {
    let verdict = verdict(
        401,
        &native("InvalidApiKey", "Incorrect API key provided: sk-123"),
    );
    let shown = format!("{verdict:?}");
    assert!(
        shown.contains("InvalidApiKey") && !shown.contains("sk-123"),
        "{shown}"
    );
    assert_eq!(
        verdict.message(),
        Some("Incorrect API key provided: sk-123")
    );
}

#[test]
fn every_known_error_is_found_by_its_own_row() {
    for row in KNOWN_ERRORS {
        assert!(
            !row.source.is_empty() && row.date.len() == 7 && !row.statuses.is_empty(),
            "{row:?}"
        );
        assert!(!row.codes.is_empty() || !row.fragment.is_empty(), "{row:?}");
        assert_eq!(row.fragment, row.fragment.to_lowercase(), "{row:?}");
        for &status in row.statuses {
            // Words alone are believed of a plan with a status of limits only.
            let bare = match row.window {
                Some(_) if status != 429 => "insufficient_quota",
                _ => "",
            };
            for code in row
                .codes
                .iter()
                .copied()
                .chain(row.codes.is_empty().then_some(bare))
            {
                let verdict = verdict(status, &native(code, &row.fragment.to_uppercase()));
                assert_eq!(
                    (verdict.cause(), verdict.is_transient()),
                    (row.cause, row.cause.is_transient()),
                    "{status} {row:?}"
                );
            }
        }
    }
}

const NAMES: &[&str] = &[
    "retry-after",
    "retry-after-ms",
    "date",
    "x-ratelimit-reset",
    "x-ratelimit-reset-tokens",
    "x-ratelimit-remaining-tokens",
    "anthropic-ratelimit-requests-reset",
];

proptest! {
    #[test]
    fn nothing_panics(body in proptest::collection::vec(any::<u8>(), 0..300), status in 100_u16..1000) {
        let code = StatusCode::from_u16(status).expect("a status");
        let verdict = Verdict::of_response(code, &HeaderMap::new(), &body, now());
        prop_assert_eq!(verdict.status(), Some(code));
        let _ = Verdict::of_event(&body, Some(status));
    }

    #[test]
    fn no_cut_of_a_body_panics(cut in 0_usize..400, status in prop::sample::select(vec![400_u16, 429, 500])) {
        let body = r#"{"error":{"code":"insufficient_quota","message":"中文 try again in 5.3s","metadata":{"raw":"é","headers":{"X-RateLimit-Reset":"17"}}},"choices":[{"delta":{"content":"x"},"finish_reason":"error"}],"request_id":"r"}"#;
        let head = &body.as_bytes()[..cut.min(body.len())];
        let status = StatusCode::from_u16(status).expect("a status");
        let verdict = Verdict::of_response(status, &HeaderMap::new(), head, now());
        prop_assert!(verdict.message().is_none_or(|message| message.len() <= 4096));
    }

    #[test]
    fn no_header_panics(
        name in prop::sample::select(NAMES.to_vec()),
        value in "[0-9a-zµT:.+\\- ]{0,40}|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2})",
    ) {
        let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) else { return Ok(()); };
        let headers = HeaderMap::from_iter([(HeaderName::from_static(name), value)]);
        let hint = retry_after(&headers, "", TokenRate, now());
        prop_assert!(hint.is_none_or(|wait| wait < Duration::from_secs(366 * 86_400)));
    }

    #[test]
    fn no_message_panics(message in "(try again in |retry after |)[0-9.hmsµd é中]{0,30}") {
        let hint = retry_after(&HeaderMap::new(), &message, TokenRate, now());
        prop_assert!(hint.is_none_or(|wait| wait < Duration::from_secs(366 * 86_400)));
    }

    #[test]
    fn seconds_come_back(seconds in 0_u64..100_000, millis in 0_u64..1000) {
        let wait = Duration::from_millis(seconds * 1000 + millis);
        let spelled = [
            ("retry-after", format!("{seconds}.{millis:03}")),
            ("retry-after-ms", wait.as_millis().to_string()),
            ("x-ratelimit-reset", format!("{}m{}.{millis:03}s", seconds / 60, seconds % 60)),
            ("x-ratelimit-reset", format!("{}", u128::from(NOW) * 1000 + wait.as_millis())),
        ];
        for (name, value) in spelled {
            prop_assert_eq!(retry_after(&headers(&[(name, &value)]), "", TokenRate, now()), Some(wait));
        }
    }
}
