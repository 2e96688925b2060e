//! How a server says no: the codes that a refusal carries in each dialect, as the provider itself writes them.

use http::StatusCode;

/// The codes of one problem in every dialect.
#[derive(Debug, Clone, Copy)]
pub struct RefusalCodes {
    /// The status.
    pub status: StatusCode,
    /// OpenAI-compatible: `type`, then `code`.
    pub compatible: (&'static str, &'static str),
    /// DashScope's own `code`.
    pub native: &'static str,
    /// Anthropic's `type`.
    pub anthropic: &'static str,
}

/// Too many requests.
pub const REQUESTS: RefusalCodes = RefusalCodes {
    status: StatusCode::TOO_MANY_REQUESTS,
    compatible: ("limit_requests", "limit_requests"),
    native: "Throttling.RateQuota",
    anthropic: "rate_limit_error",
};

/// Too many tokens.
pub const TOKENS: RefusalCodes = RefusalCodes {
    status: StatusCode::TOO_MANY_REQUESTS,
    compatible: ("insufficient_quota", "insufficient_quota"),
    native: "Throttling.AllocationQuota",
    anthropic: "rate_limit_error",
};

/// More than could ever be granted, or read.
pub const TOO_LARGE: RefusalCodes = RefusalCodes {
    status: StatusCode::PAYLOAD_TOO_LARGE,
    compatible: ("invalid_request_error", "request_too_large"),
    native: "RequestTooLarge",
    anthropic: "request_too_large",
};

/// Nothing is granted at all.
pub const CLOSED: RefusalCodes = RefusalCodes {
    status: StatusCode::FORBIDDEN,
    compatible: ("access_denied", "access_denied"),
    native: "AccessDenied",
    anthropic: "permission_error",
};

/// The request cannot be read.
pub const UNREADABLE: RefusalCodes = RefusalCodes {
    status: StatusCode::BAD_REQUEST,
    compatible: ("invalid_request_error", "invalid_parameter_error"),
    native: "InvalidParameter",
    anthropic: "invalid_request_error",
};
