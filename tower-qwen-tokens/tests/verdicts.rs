//! The golden file: what hosts send when they refuse, and what it means; and the law that no row may break.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use proptest::prelude::*;
use serde::Deserialize;
use tower_qwen_tokens::{Cause, Verdict, internal::KNOWN_ERRORS};

/// One line of the file: an answer, or an event of a stream, and its meaning. Read at 2026-11-29T12:00:00Z.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    /// The status of the answer; below 400 the body is that of a success.
    status: Option<u16>,
    #[serde(default)]
    headers: HashMap<String, String>,
    body: Option<String>,
    event: Option<String>,
    event_status: Option<u16>,
    cause: String,
    transient: bool,
    retry_after_ms: Option<u64>,
    retry_within_ms: Option<u64>,
    /// Checked only where it is given. Unit: seconds since 1970.
    until: Option<u64>,
    plan_window_s: Option<u64>,
    #[serde(default)]
    unknown_code: bool,
    #[serde(default)]
    absurd_wait: bool,
    /// Checked only where it is given.
    code: Option<String>,
    /// Why it is so, where it could be argued.
    #[serde(rename = "why")]
    _why: Option<String>,
}

/// 2026-11-29T12:00:00Z.
const NOW: u64 = 1_795_953_600;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
}

fn rows() -> Vec<Row> {
    let lines = include_str!("data/verdicts.jsonl").lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect()
}

impl Row {
    fn bytes(&self) -> &[u8] {
        let text = self.event.as_ref().or(self.body.as_ref());
        text.expect("an event or a body").as_bytes()
    }

    fn is_error_answer(&self) -> bool {
        self.status.is_some_and(|status| status >= 400)
    }

    fn verdict(&self, bytes: &[u8]) -> Option<Verdict> {
        let Some(status) = self.status.filter(|_| self.is_error_answer()) else {
            return Verdict::of_event_at(bytes, self.event_status, now());
        };
        let headers: HeaderMap = (self.headers.iter())
            .map(|(name, value)| {
                let name: HeaderName = name.parse().expect("a name");
                (name, HeaderValue::from_str(value).expect("a value"))
            })
            .collect();
        let status = StatusCode::from_u16(status).expect("a status");
        Some(Verdict::of_response(status, &headers, bytes, now()))
    }
}

#[test]
fn every_row_means_what_it_should() {
    let rows = rows();
    assert!(rows.len() > 250, "{}", rows.len());
    let mut wrong = Vec::new();
    for row in &rows {
        let Some(verdict) = row.verdict(row.bytes()) else {
            wrong.push(format!("{}: no verdict", row.name));
            continue;
        };
        let millis = |wait: Option<Duration>| wait.map(|wait| wait.as_millis() as u64);
        let found = (
            verdict.cause().as_str(),
            verdict.is_transient(),
            millis(verdict.retry_after()),
            millis(verdict.retry_within()),
            verdict.plan_window().map(|window| window.as_secs()),
            verdict.is_unknown_code(),
            verdict.has_absurd_wait(),
        );
        let expected = (
            &*row.cause,
            row.transient,
            row.retry_after_ms,
            row.retry_within_ms,
            row.plan_window_s,
            row.unknown_code,
            row.absurd_wait,
        );
        let until = row
            .until
            .map(|until| SystemTime::UNIX_EPOCH + Duration::from_secs(until));
        let code = row.code.as_deref();
        if found != expected
            || until.is_some() && verdict.until() != until
            || code.is_some() && verdict.code() != code
        {
            wrong.push(format!(
                "{}: {found:?}, expected {expected:?}; {:?}, expected {code:?}; {verdict:?}",
                row.name,
                verdict.code()
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Statuses that only the caller, or the one who runs the server, can mend.
const PERMANENT: &[u16] = &[401, 402, 403, 404, 413, 422, 501, 505];

#[test]
fn no_cut_makes_a_permanent_failure_transient() {
    for row in rows() {
        let bytes = row.bytes();
        for cut in 0..=bytes.len() {
            let verdict = row.verdict(&bytes[..cut]);
            if !row.transient && row.status.is_some_and(|status| PERMANENT.contains(&status)) {
                let verdict = verdict.expect("an error answer has a verdict");
                assert!(!verdict.is_transient(), "{}: cut at {cut}", row.name);
            }
        }
    }
}

#[test]
fn a_verdict_says_when_by_one_of_two_ways() {
    for row in rows() {
        let verdict = row.verdict(row.bytes()).expect("an error");
        assert!(verdict.retry_after().is_none() || verdict.retry_within().is_none());
        assert!(verdict.plan_window().is_none() || verdict.cause() == Cause::Account);
        assert!(verdict.plan_window().is_none() || !verdict.is_transient());
    }
}

/// Whether an answer of this status may have this cause: the law, written a second time and more coarsely.
fn is_lawful(status: u16, cause: Cause) -> bool {
    let is_of_server = matches!(cause, Cause::ServerError | Cause::Unavailable);
    match status {
        429 => {
            cause.is_throttle()
                || matches!(
                    cause,
                    Cause::Account | Cause::FreeTier | Cause::TooLarge | Cause::AsyncUnsupported
                )
        }
        400 => !is_of_server && cause != Cause::Timeout,
        408 => cause == Cause::Timeout,
        498 => cause.is_throttle() || !cause.is_transient(),
        403 => cause == Cause::Throttled || !cause.is_transient(),
        401..=499 => !cause.is_transient(),
        501 | 505 => !cause.is_transient(),
        500.. => {
            cause.is_transient()
                || matches!(cause, Cause::Account | Cause::FreeTier | Cause::TooLarge)
        }
        _ => true,
    }
}

#[test]
fn no_row_of_the_table_breaks_the_law_of_a_status() {
    let codes: Vec<&str> = (KNOWN_ERRORS.iter().flat_map(|row| row.codes).copied())
        .chain(["", "new"])
        .collect();
    let fragments: Vec<&str> = (KNOWN_ERRORS.iter().map(|row| row.fragment))
        .filter(|it| !it.is_empty())
        .chain(["x"])
        .collect();
    let verdict = |status: u16, code: &str, message: &str| {
        let body = serde_json::json!({"error": {"code": code, "message": message}}).to_string();
        let code = StatusCode::from_u16(status).expect("a status");
        Verdict::of_response(code, &HeaderMap::new(), body.as_bytes(), now())
    };
    for status in (400..=599).filter(|status| {
        [
            400, 401, 402, 403, 404, 408, 409, 410, 413, 418, 422, 425, 429, 451, 498, 500, 501,
            502, 503, 504, 505, 522, 524, 529, 599,
        ]
        .contains(status)
    }) {
        for code in &codes {
            for fragment in fragments
                .iter()
                .step_by(1 + usize::from(!code.is_empty()) * 6)
            {
                let verdict = verdict(status, code, fragment);
                let cause = verdict.cause();
                assert!(
                    is_lawful(status, cause),
                    "{status} {code} {fragment}: {cause}"
                );
                assert_eq!(verdict.is_transient(), cause.is_transient());
            }
        }
    }
}

/// A host that repeats the caller's words must not close the model to all callers.
#[test]
fn words_alone_use_up_no_plan() {
    let fragments = (KNOWN_ERRORS.iter())
        .filter(|row| row.window.is_some())
        .map(|row| row.fragment)
        .filter(|it| !it.is_empty())
        .chain([
            "allocated quota exceeded",
            "tokens per min",
            "too many requests",
        ]);
    for fragment in fragments {
        let words = format!("{fragment}. Please try again in 5 hours.");
        let json = r#"{\"code\":\"insufficient_quota\",\"message\":\"x\",\"retry_after\":90000}"#;
        for message in [
            format!("Invalid grammar: '{words}'"),
            format!("Invalid grammar: {json} {words}"),
        ] {
            let error = format!(r#"{{"message":"{message}","type":"api_error"}}"#);
            let body = format!(r#"{{"error":{error}}}"#);
            for status in [400, 402, 403, 422, 500, 502, 503, 529] {
                let of = StatusCode::from_u16(status).expect("a status");
                let verdict = Verdict::of_response(of, &HeaderMap::new(), body.as_bytes(), now());
                assert_eq!(verdict.plan_window(), None, "{status} {message}");
                let closes_for = verdict.retry_after().filter(|_| verdict.is_throttle());
                assert_eq!(closes_for, None, "{status} {message}");
            }
            let choices = r#"[{"message":{"content":"Hi"},"finish_reason":"stop"}]"#;
            let good = format!(r#"{{"choices":{choices},"error":{error}}}"#);
            for body in [&good, &body] {
                let verdict = Verdict::of_success(&HeaderMap::new(), body.as_bytes(), now());
                let event = Verdict::of_event_at(body.as_bytes(), None, now());
                for verdict in [verdict, event] {
                    let verdict = verdict.expect("an error");
                    assert_eq!(verdict.plan_window(), None, "{body}");
                }
            }
        }
        let body = format!(r#"{{"error":{{"message":"{words}"}}}}"#);
        let limit = StatusCode::TOO_MANY_REQUESTS;
        let verdict = Verdict::of_response(limit, &HeaderMap::new(), body.as_bytes(), now());
        assert!(verdict.plan_window().is_some(), "{body}");
        let body = format!(r#"{{"code":"insufficient_quota","message":"{words}"}}"#);
        let verdict = Verdict::of_event_at(body.as_bytes(), None, now()).expect("an error");
        assert!(verdict.plan_window().is_some(), "{body}");
    }
}

proptest! {
    #[test]
    fn whatever_is_said_the_status_stands(
        status in 400_u16..600, code in "[A-Za-z_.0-9]{0,24}", row in 0..KNOWN_ERRORS.len(), noise in "[ -~]{0,40}",
    ) {
        let known = &KNOWN_ERRORS[row];
        let code = known.codes.first().copied().unwrap_or(&code);
        let body = serde_json::json!({"error": {"code": code, "message": format!("{noise} {}", known.fragment)}});
        let of = StatusCode::from_u16(status).expect("a status");
        let verdict = Verdict::of_response(of, &HeaderMap::new(), body.to_string().as_bytes(), now());
        prop_assert!(is_lawful(status, verdict.cause()), "{} {}", status, verdict.cause());
    }
}
