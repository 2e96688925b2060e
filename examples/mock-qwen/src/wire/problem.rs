//! Error answers.

use http::StatusCode;
use serde_json::{Value, json};

use super::Dialect;

const LINK: &str = "For details, see: https://help.aliyun.com/zh/model-studio/error-code";

/// Why a call is not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    Invalid {
        message: String,
    },
    Key,
    Requests,
    Tokens,
    Growth,
    Capacity,
    /// As `Capacity`, with a status that does not tell.
    HiddenCapacity,
}

impl Problem {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid {
            message: message.into(),
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Invalid { .. } => StatusCode::BAD_REQUEST,
            Self::Key => StatusCode::UNAUTHORIZED,
            Self::Requests | Self::Tokens | Self::Growth => StatusCode::TOO_MANY_REQUESTS,
            Self::Capacity => StatusCode::SERVICE_UNAVAILABLE,
            Self::HiddenCapacity => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(crate) fn body(&self, dialect: Dialect, id: &str) -> Value {
        match dialect {
            Dialect::Native => json!({
                "code": self.native_code(),
                "message": self.message(dialect),
                "request_id": id,
            }),
            Dialect::Compatible => {
                let (code, kind) = self.compatible_code();
                let mut body = json!({
                    "error": {
                        "code": code,
                        "message": self.message(dialect),
                        "type": kind,
                    },
                    "id": format!("chatcmpl-{id}"),
                    "request_id": id,
                });
                // The recorded 500 has no such field.
                if *self != Self::HiddenCapacity {
                    body["error"]["param"] = Value::Null;
                }
                body
            }
        }
    }

    /// The event inside a stream: the native body in either dialect, its status in a comment.
    pub(crate) fn event(&self, number: u64, id: &str) -> String {
        let status = self.status().as_u16();
        let body = self.body(Dialect::Native, id);
        format!("id:{number}\nevent:error\n:HTTP_STATUS/{status}\ndata:{body}\n\n")
    }

    fn native_code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "InvalidParameter",
            Self::Key => "InvalidApiKey",
            Self::Requests => "Throttling.RateQuota",
            Self::Tokens => "Throttling.AllocationQuota",
            Self::Growth => "Throttling.BurstRate",
            Self::Capacity => "ModelServingError",
            Self::HiddenCapacity => "ServiceUnavailable",
        }
    }

    fn compatible_code(&self) -> (&'static str, &'static str) {
        match self {
            Self::Invalid { .. } => ("invalid_parameter_error", "invalid_request_error"),
            Self::Key => ("invalid_api_key", "invalid_request_error"),
            Self::Requests => ("limit_requests", "limit_requests"),
            Self::Tokens => ("insufficient_quota", "insufficient_quota"),
            Self::Growth => ("limit_burst_rate", "limit_burst_rate"),
            Self::Capacity | Self::HiddenCapacity => ("ServiceUnavailable", "ServiceUnavailable"),
        }
    }

    fn message(&self, dialect: Dialect) -> String {
        match (self, dialect) {
            (Self::Invalid { message }, _) => message.clone(),
            (Self::Key, Dialect::Native) => "Invalid API-key provided.".to_owned(),
            (Self::Key, Dialect::Compatible) => "Incorrect API key provided.".to_owned(),
            (Self::Requests, Dialect::Native) => {
                "Requests rate limit exceeded, please try again later.".to_owned()
            }
            (Self::Requests, Dialect::Compatible) => {
                format!("You have exceeded your current request limit. {LINK}#rate-limit")
            }
            (Self::Tokens, Dialect::Native) => {
                "Allocated quota exceeded, please increase your quota limit.".to_owned()
            }
            (Self::Tokens, Dialect::Compatible) => format!(
                "You exceeded your current quota, please check your plan and billing details. \
                 {LINK}#token-limit"
            ),
            (Self::Growth, _) => GROWTH.to_owned(),
            (Self::Capacity | Self::HiddenCapacity, Dialect::Native) => CAPACITY.to_owned(),
            (Self::Capacity | Self::HiddenCapacity, Dialect::Compatible) => format!(
                "<503> InternalError.Algo: An error occurred in model serving, error message is: \
                 [{CAPACITY}]"
            ),
        }
    }
}

const GROWTH: &str = "Request rate increased too quickly. To ensure system stability, please \
                      adjust your client logic to scale requests more smoothly over time.";

const CAPACITY: &str = "Too many requests. Your requests are being throttled due to system \
                        capacity limits. Please try again later.";
