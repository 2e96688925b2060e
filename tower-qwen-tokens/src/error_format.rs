//! The error answers of your own server, in the format that the caller's client library expects.
//!
//! ```
//! use http::HeaderMap;
//! use tower_qwen_tokens::{protocol::rejection::UNAUTHENTICATED, error_format::ErrorFormat};
//!
//! let format = ErrorFormat::of("/v1/chat/completions", &HeaderMap::new());
//! let answer = format.error(UNAUTHENTICATED, "This key is not known here.");
//! assert_eq!(answer.status(), 401);
//! assert_eq!(
//!     answer.body(),
//!     r#"{"error":{"message":"This key is not known here.","type":"invalid_request_error","param":null,"code":"invalid_api_key"},"request_id":""}"#,
//! );
//! ```

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use serde_json::Value;

use crate::{
    Dialect,
    protocol::{header::X_REQUEST_ID, rejection::RejectionCodes},
};

/// Writes error answers in the dialect of one request, with its id.
#[derive(Debug, Clone, Default)]
pub struct ErrorFormat {
    dialect: Option<Dialect>,
    request_id: Option<HeaderValue>,
}

impl ErrorFormat {
    /// The format for a request to this path. A path of no dialect gets the compatible one.
    #[must_use]
    pub fn of(path: &str, headers: &HeaderMap) -> Self {
        Self {
            dialect: Dialect::of_path(path),
            request_id: headers.get(X_REQUEST_ID).cloned(),
        }
    }

    /// An error answer as JSON: the status and codes of a problem, and a message for people.
    #[must_use]
    pub fn error(&self, codes: RejectionCodes, message: &str) -> Response<Bytes> {
        let id = self.request_id();
        // Only the message needs escapes: the codes are constants and the id is checked.
        let message = Value::from(message);
        let text = match self.dialect {
            Some(dialect) if dialect.is_native() => format!(
                r#"{{"code":"{}","message":{message},"request_id":"{id}"}}"#,
                codes.native
            ),
            Some(Dialect::Anthropic) => format!(
                r#"{{"type":"error","error":{{"type":"{}","message":{message}}},"request_id":"{id}"}}"#,
                codes.anthropic
            ),
            _ => {
                let (kind, code) = codes.compatible;
                format!(
                    r#"{{"error":{{"message":{message},"type":"{kind}","param":null,"code":"{code}"}},"request_id":"{id}"}}"#
                )
            }
        };
        let mut response = Response::new(Bytes::from(text));
        *response.status_mut() = codes.status;
        let length = response.body().len();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_LENGTH, length.into());
        response
    }

    /// The id that an outer layer gave the request; empty if it gave none, or one that JSON would
    /// have to escape.
    fn request_id(&self) -> &str {
        self.request_id
            .as_ref()
            .and_then(|id| id.to_str().ok())
            // The caller may have chosen the id, so neither its length nor its characters can be
            // trusted.
            .filter(|id| id.len() <= 128 && !id.contains(['"', '\\', '\t']))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::{
        Cause, Verdict,
        protocol::rejection::{
            BAD_GATEWAY, MISCONFIGURED, NOT_FOUND, TIMED_OUT, UNAUTHENTICATED, UNAVAILABLE,
            UNSUPPORTED_MEDIA,
        },
    };

    const PATHS: [&str; 4] = [
        "/v1/chat/completions",
        "/api/v1/services/aigc/text-generation/generation",
        "/apps/anthropic/v1/messages",
        "/anything",
    ];

    #[test]
    fn our_own_classifier_understands_them_in_every_dialect() {
        let rows = [
            (UNAUTHENTICATED, Cause::Unauthorized, false),
            (NOT_FOUND, Cause::NotFound, false),
            (UNSUPPORTED_MEDIA, Cause::InvalidRequest, false),
            (MISCONFIGURED, Cause::ServerError, true),
            (BAD_GATEWAY, Cause::ServerError, true),
            (TIMED_OUT, Cause::Timeout, true),
        ];
        for path in PATHS {
            for (codes, cause, transient) in rows {
                let answer = ErrorFormat::of(path, &HeaderMap::new()).error(codes, "");
                let verdict = classified(&answer);
                // Its code is a general one, and then the status decides.
                if codes.status != UNSUPPORTED_MEDIA.status {
                    assert_eq!(verdict.cause(), cause, "{path} {codes:?}");
                }
                assert_eq!(verdict.is_transient(), transient, "{path} {codes:?}");
            }
            let answer = ErrorFormat::of(path, &HeaderMap::new()).error(UNAVAILABLE, "");
            assert!(classified(&answer).is_transient(), "{path}");
        }
    }

    #[test]
    fn messages_are_escaped_and_ids_that_need_it_left_out() {
        for path in PATHS {
            let mut headers = HeaderMap::new();
            headers.insert(X_REQUEST_ID, HeaderValue::from_static("a\"b"));
            let answer = ErrorFormat::of(path, &headers).error(NOT_FOUND, "no \"such\"\npath");
            let body: Value = serde_json::from_slice(answer.body()).expect("JSON");
            let message = body.pointer("/error/message").or(body.get("message"));
            assert_eq!(message, Some(&Value::from("no \"such\"\npath")), "{path}");
            assert_eq!(body["request_id"], "", "{path}");
            let length = answer.headers()[CONTENT_LENGTH].to_str().expect("a number");
            assert_eq!(length, answer.body().len().to_string());
        }
    }

    fn classified(answer: &Response<Bytes>) -> Verdict {
        Verdict::of_response(
            answer.status(),
            answer.headers(),
            answer.body(),
            SystemTime::UNIX_EPOCH,
        )
    }
}
