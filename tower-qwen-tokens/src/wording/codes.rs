use http::StatusCode;

use crate::protocol::refusal::RefusalCodes;

/// The key is missing or not known.
pub const UNAUTHENTICATED: RefusalCodes = RefusalCodes {
    status: StatusCode::UNAUTHORIZED,
    compatible: ("invalid_request_error", "invalid_api_key"),
    native: "InvalidApiKey",
    anthropic: "authentication_error",
};

/// There is nothing at this path.
pub const NOT_FOUND: RefusalCodes = RefusalCodes {
    status: StatusCode::NOT_FOUND,
    compatible: ("not_found_error", "not_found_error"),
    native: "NotFound",
    anthropic: "not_found_error",
};

/// The body is of a kind, or encoded in a way, that is not read here.
pub const UNSUPPORTED_MEDIA: RefusalCodes = RefusalCodes {
    status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
    compatible: ("invalid_request_error", "unsupported_media_type"),
    native: "InvalidParameter",
    anthropic: "invalid_request_error",
};

/// The server is put together wrongly.
pub const MISCONFIGURED: RefusalCodes = RefusalCodes {
    status: StatusCode::INTERNAL_SERVER_ERROR,
    compatible: ("server_error", "internal_error"),
    native: "InternalError",
    anthropic: "api_error",
};

/// What stands behind the server does not answer, or not as it should.
pub const BAD_GATEWAY: RefusalCodes = RefusalCodes {
    status: StatusCode::BAD_GATEWAY,
    compatible: ("server_error", "bad_gateway"),
    native: "InternalError",
    anthropic: "api_error",
};

/// The server, or what stands behind it, cannot take the call now.
pub const UNAVAILABLE: RefusalCodes = RefusalCodes {
    status: StatusCode::SERVICE_UNAVAILABLE,
    compatible: ("server_error", "ServiceUnavailable"),
    native: "ServiceUnavailable",
    anthropic: "overloaded_error",
};

/// What stands behind the server took too long.
pub const TIMED_OUT: RefusalCodes = RefusalCodes {
    status: StatusCode::GATEWAY_TIMEOUT,
    compatible: ("server_error", "RequestTimeOut"),
    native: "RequestTimeOut",
    anthropic: "timeout_error",
};
