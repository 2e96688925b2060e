//! Names of headers that a caller sets or reads himself.

use http::HeaderName;

/// Request, value `enable`: a native call answers as a stream.
pub const X_DASHSCOPE_SSE: HeaderName = HeaderName::from_static("x-dashscope-sse");
/// Request, value `enable`: a native call starts a task. On a model that only answers synchronously it is throttled for ever.
pub const X_DASHSCOPE_ASYNC: HeaderName = HeaderName::from_static("x-dashscope-async");
/// Request: the workspace, which may have limits of its own.
pub const X_DASHSCOPE_WORKSPACE: HeaderName = HeaderName::from_static("x-dashscope-workspace");
/// Request, seconds: how long the server may queue a call that grows too fast.
pub const X_DASHSCOPE_WAIT_TIMEOUT: HeaderName =
    HeaderName::from_static("x-dashscope-wait-timeout");
/// Answer: the request's id.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
