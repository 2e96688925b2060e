//! The provider's lines, as lines of the output.

use std::time::SystemTime;

use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use tower_qwen_tokens::{Dialect, Usage, Verdict, protocol::header::X_REQUEST_ID, scan::Scanner};

use crate::{
    call::{Outcome, of_whole},
    output::ErrorPart,
};

/// A line of the provider's files.
#[derive(Deserialize)]
struct ResultLine {
    custom_id: String,
    #[serde(default)]
    response: Option<Answer>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    status_code: u16,
    #[serde(default)]
    request_id: Option<String>,
    #[serde(default)]
    body: Option<Box<RawValue>>,
}

/// What became of a call of a job.
#[derive(Debug)]
pub(super) struct Merged {
    pub(super) custom_id: String,
    pub(super) outcome: Outcome,
    /// What it used; `None` where it failed, which costs nothing.
    pub(super) usage: Option<Usage>,
}

/// Reads a line. An answer in it is held to be one by the same rules as that of a live call.
pub(super) fn read(line: &[u8], endpoint: &str) -> Result<Merged, serde_json::Error> {
    let line: ResultLine = serde_json::from_slice(line)?;
    let mut outcome = match line.response {
        Some(answer) => of_answer(&answer, Dialect::of_path(endpoint)),
        None => Outcome::default(),
    };
    let said = line
        .error
        .as_ref()
        .filter(|error| !error.is_null())
        .map(error_part);
    // An answer says more exactly what is wrong with it than the line around it.
    outcome.error = outcome.error.or(said);
    if outcome.response.is_none() && outcome.error.is_none() {
        let message = "the line has neither an answer nor an error";
        outcome.error = Some(ErrorPart::new("no_answer", message));
    }
    let usage = match (&outcome.response, &outcome.error) {
        (Some(answer), None) => {
            let mut scanner = Scanner::json();
            scanner.push(answer.body.get().as_bytes());
            scanner.finish().usage
        }
        _ => None,
    };
    Ok(Merged {
        custom_id: line.custom_id,
        outcome,
        usage,
    })
}

fn of_answer(answer: &Answer, dialect: Option<Dialect>) -> Outcome {
    let body = answer.body.as_ref().map_or("null", |body| body.get());
    let status = StatusCode::from_u16(answer.status_code).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = Response::new(());
    *response.status_mut() = status;
    let id = answer.request_id.as_deref();
    if let Some(id) = id.and_then(|id| HeaderValue::from_str(id).ok()) {
        response.headers_mut().insert(X_REQUEST_ID, id);
    }
    #[allow(clippy::disallowed_methods, reason = "for dates, not for waits")]
    let now = SystemTime::now();
    let verdict = match status.is_success() {
        true => Verdict::of_success(&HeaderMap::new(), body.as_bytes(), now),
        false => Some(Verdict::of_response(
            status,
            &HeaderMap::new(),
            body.as_bytes(),
            now,
        )),
    };
    if let Some(verdict) = verdict {
        response.extensions_mut().insert(verdict);
    }
    of_whole(&response.into_parts().0, body.as_bytes(), dialect)
}

/// `code` and `message`, or `error_code` and `error_message` as in the example of Model Studio's page on the Batch API.
fn error_part(error: &Value) -> ErrorPart {
    let text = |names: [&str; 2]| {
        let found = names.into_iter().find_map(|name| match &error[name] {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        });
        found.unwrap_or_default()
    };
    let code = text(["code", "error_code"]);
    let code = if code.is_empty() {
        "failed".to_owned()
    } else {
        code
    };
    ErrorPart::new(code, text(["message", "error_message"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: &str = "/v1/chat/completions";

    fn code(line: &str) -> Option<String> {
        let merged = read(line.as_bytes(), CHAT).expect("a line");
        assert_eq!(merged.custom_id, "a");
        merged.outcome.error.map(|error| error.code)
    }

    #[test]
    fn an_answer_is_one_by_the_rules_of_live_calls() {
        for (response, error, expected) in [
            (
                r#"{"status_code":200,"request_id":"r","body":{"choices":[{"finish_reason":"stop"}]}}"#,
                "null",
                None,
            ),
            (
                r#"{"status_code":200,"body":{"choices":[{"finish_reason":null}]}}"#,
                "null",
                Some("cut"),
            ),
            (
                r#"{"status_code":200,"body":{"error":{"code":"x"}}}"#,
                "null",
                Some("x"),
            ),
            (
                r#"{"status_code":200,"body":null}"#,
                "null",
                Some("not_json"),
            ),
            (r#"{"status_code":200}"#, "null", Some("not_json")),
            (
                r#"{"status_code":400,"body":{"error":{"code":"invalid_parameter_error","message":"m"}}}"#,
                r#"{"code":"other"}"#,
                Some("invalid_parameter_error"),
            ),
            (
                r#"{"status_code":200,"body":{"choices":[{"finish_reason":"stop"}]}}"#,
                r#"{"code":7}"#,
                Some("7"),
            ),
            (
                "null",
                r#"{"code":"batch_expired","message":"m"}"#,
                Some("batch_expired"),
            ),
            (
                "null",
                r#"{"error_code":"y","error_message":"m"}"#,
                Some("y"),
            ),
            ("null", r#"{}"#, Some("failed")),
            ("null", "null", Some("no_answer")),
        ] {
            let line =
                format!(r#"{{"id":"i","custom_id":"a","response":{response},"error":{error}}}"#);
            assert_eq!(code(&line).as_deref(), expected, "{line}");
        }
        assert!(read(b"{\"id\":\"i\"}", CHAT).is_err());
    }

    #[test]
    fn only_an_answer_costs() -> Result<(), serde_json::Error> {
        let line = |status: u16| {
            format!(
                r#"{{"custom_id":"a","response":{{"status_code":{status},"request_id":"r","body":{{
                "choices":[{{"finish_reason":"stop","message":{{"content":"x"}}}}],
                "usage":{{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}}}}},"error":null}}"#
            )
        };
        let merged = read(line(200).as_bytes(), CHAT)?;
        assert_eq!(merged.usage.and_then(|usage| usage.total()), Some(12));
        let request_id = merged.outcome.response.and_then(|answer| answer.request_id);
        assert_eq!(request_id.as_deref(), Some("r"));
        assert!(read(line(500).as_bytes(), CHAT)?.usage.is_none());
        Ok(())
    }
}
