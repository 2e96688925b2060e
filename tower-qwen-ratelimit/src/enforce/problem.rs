use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response,
    header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER},
};
use tower_qwen_tokens::{
    Dialect,
    meter::Unread,
    protocol::{
        header::X_REQUEST_ID,
        refusal::{self, RefusalCodes},
    },
};

use super::refusal::{Refusal, RefusalKind, whole_seconds};

/// How an answer is to be written: as the caller expects it.
#[derive(Debug, Clone, Default)]
pub(super) struct Manner {
    dialect: Option<Dialect>,
    request_id: Option<HeaderValue>,
}

impl Manner {
    pub(super) fn of(path: &str, headers: &HeaderMap) -> Self {
        Self {
            dialect: Dialect::of_path(path),
            request_id: headers.get(X_REQUEST_ID).cloned(),
        }
    }

    /// The answer to a call beyond its quota. The messages begin as the provider's own, by which clients tell the two
    /// throttles apart where the code does not.
    pub(super) fn refuse(&self, refusal: Refusal) -> Response<Bytes> {
        let retry_after = refusal.retry_after();
        let limit = refusal.limit();
        let window = whole_seconds(refusal.window());
        let wait = retry_after.unwrap_or_default();
        let (codes, message) = match refusal.kind() {
            RefusalKind::Requests => (
                refusal::REQUESTS,
                format!(
                    "Requests rate limit exceeded: {limit} requests per {window}s. Please try again in {wait}s."
                ),
            ),
            RefusalKind::Tokens => (
                refusal::TOKENS,
                format!(
                    "Allocated quota exceeded: {limit} tokens per {window}s. Please try again in {wait}s."
                ),
            ),
            RefusalKind::TooLarge => (
                refusal::TOO_LARGE,
                format!(
                    "The request needs more than the {limit} tokens per {window}s that its quota has."
                ),
            ),
            RefusalKind::Closed => (
                refusal::CLOSED,
                "There is no quota for this call.".to_owned(),
            ),
        };
        let mut response = self.write(codes, &message);
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response.extensions_mut().insert(refusal);
        response
    }

    /// The answer to a call whose body could not be read.
    pub(super) fn unread(&self, reason: Unread) -> Response<Bytes> {
        let (codes, message) = match &reason {
            Unread::TooLarge { limit } => (
                refusal::TOO_LARGE,
                format!("The request body is longer than {limit} bytes."),
            ),
            _ => (
                refusal::UNREADABLE,
                "The request body cannot be read.".to_owned(),
            ),
        };
        let mut response = self.write(codes, &message);
        response.extensions_mut().insert(reason);
        response
    }

    /// Neither message nor code needs escaping.
    fn write(&self, codes: RefusalCodes, message: &str) -> Response<Bytes> {
        let id = self.request_id();
        let text = match self.dialect {
            Some(dialect) if dialect.is_native() => format!(
                r#"{{"code":"{}","message":"{message}","request_id":"{id}"}}"#,
                codes.native
            ),
            Some(Dialect::Anthropic) => format!(
                r#"{{"type":"error","error":{{"type":"{}","message":"{message}"}},"request_id":"{id}"}}"#,
                codes.anthropic
            ),
            _ => {
                let (kind, code) = codes.compatible;
                format!(
                    r#"{{"error":{{"message":"{message}","type":"{kind}","param":null,"code":"{code}"}},"request_id":"{id}"}}"#
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

    /// The id that an outer layer gave the request; empty where it gave none, or one that JSON would have to escape.
    fn request_id(&self) -> &str {
        self.request_id
            .as_ref()
            .and_then(|id| id.to_str().ok())
            .filter(|id| id.len() <= 128 && !id.contains(['"', '\\', '\t']))
            .unwrap_or_default()
    }
}
