//! How a server says no: the codes that an error answer carries in each dialect, as the provider itself writes them where it
//! has one.

use http::StatusCode;

/// The codes of one problem in every dialect.
#[derive(Debug, Clone, Copy)]
pub struct RejectionCodes {
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
pub const REQUESTS: RejectionCodes = RejectionCodes {
    status: StatusCode::TOO_MANY_REQUESTS,
    compatible: ("limit_requests", "limit_requests"),
    native: "Throttling.RateQuota",
    anthropic: "rate_limit_error",
};

/// Too many tokens.
pub const TOKENS: RejectionCodes = RejectionCodes {
    status: StatusCode::TOO_MANY_REQUESTS,
    // DashScope's own spelling of a limit by the minute, odd as it reads.
    compatible: ("insufficient_quota", "insufficient_quota"),
    native: "Throttling.AllocationQuota",
    anthropic: "rate_limit_error",
};

/// A budget is used up.
pub const BUDGET: RejectionCodes = RejectionCodes {
    status: StatusCode::TOO_MANY_REQUESTS,
    // LiteLLM's code, which clients know from a rate.
    compatible: ("budget_exceeded", "budget_exceeded"),
    native: "BudgetExceeded",
    anthropic: "billing_error",
};

/// More than could ever be granted, or read.
pub const TOO_LARGE: RejectionCodes = RejectionCodes {
    status: StatusCode::PAYLOAD_TOO_LARGE,
    compatible: ("invalid_request_error", "request_too_large"),
    native: "RequestTooLarge",
    anthropic: "request_too_large",
};

/// Nothing is granted at all.
pub const CLOSED: RejectionCodes = RejectionCodes {
    status: StatusCode::FORBIDDEN,
    compatible: ("access_denied", "access_denied"),
    native: "AccessDenied",
    anthropic: "permission_error",
};

/// The request cannot be read.
pub const UNREADABLE: RejectionCodes = RejectionCodes {
    status: StatusCode::BAD_REQUEST,
    compatible: ("invalid_request_error", "invalid_parameter_error"),
    native: "InvalidParameter",
    anthropic: "invalid_request_error",
};

/// The key is missing or not known.
pub const UNAUTHENTICATED: RejectionCodes = RejectionCodes {
    status: StatusCode::UNAUTHORIZED,
    compatible: ("invalid_request_error", "invalid_api_key"),
    native: "InvalidApiKey",
    anthropic: "authentication_error",
};

/// There is nothing at this path.
pub const NOT_FOUND: RejectionCodes = RejectionCodes {
    status: StatusCode::NOT_FOUND,
    compatible: ("not_found_error", "not_found_error"),
    native: "NotFound",
    anthropic: "not_found_error",
};

/// The body is of a kind, or encoded in a way, that is not read here.
pub const UNSUPPORTED_MEDIA: RejectionCodes = RejectionCodes {
    status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
    compatible: ("invalid_request_error", "unsupported_media_type"),
    native: "InvalidParameter",
    anthropic: "invalid_request_error",
};

/// The server is put together wrongly.
pub const MISCONFIGURED: RejectionCodes = RejectionCodes {
    status: StatusCode::INTERNAL_SERVER_ERROR,
    compatible: ("server_error", "internal_error"),
    native: "InternalError",
    anthropic: "api_error",
};

/// The upstream of the server does not answer, or gives no valid answer.
pub const BAD_GATEWAY: RejectionCodes = RejectionCodes {
    status: StatusCode::BAD_GATEWAY,
    compatible: ("server_error", "bad_gateway"),
    native: "InternalError",
    anthropic: "api_error",
};

/// The server or its upstream cannot take the call now.
pub const UNAVAILABLE: RejectionCodes = RejectionCodes {
    status: StatusCode::SERVICE_UNAVAILABLE,
    compatible: ("server_error", "ServiceUnavailable"),
    native: "ServiceUnavailable",
    anthropic: "overloaded_error",
};

/// The upstream of the server took too long.
pub const TIMED_OUT: RejectionCodes = RejectionCodes {
    status: StatusCode::GATEWAY_TIMEOUT,
    compatible: ("server_error", "RequestTimeOut"),
    native: "RequestTimeOut",
    anthropic: "timeout_error",
};
