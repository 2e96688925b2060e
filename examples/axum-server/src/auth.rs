//! Names the tenant of a call by its key.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderValue, header::WWW_AUTHENTICATE};
use tower_qwen_tokens::{error_format::ErrorFormat, protocol::rejection::UNAUTHENTICATED};
use tracing::Span;

use crate::{
    callers::{ApiKey, Callers},
    errors::error_format,
};

/// Lets a call through whose key is known, with its [`Tenant`](tower_qwen_tokens::ledger::Tenant) and without the key.
pub async fn auth(
    State(callers): State<Arc<Callers>>,
    mut request: Request,
    next: Next,
) -> Response {
    let key = ApiKey::take(request.headers_mut());
    match key.and_then(|key| callers.tenant(&key).cloned()) {
        Some(tenant) => {
            Span::current().record("tenant", tenant.as_str());
            request.extensions_mut().insert(tenant);
            next.run(request).await
        }
        None => unauthenticated(&error_format(&request)),
    }
}

/// The answer to whoever has no key that is known.
#[must_use]
pub fn unauthenticated(format: &ErrorFormat) -> Response {
    let mut answer = format.error(
        UNAUTHENTICATED,
        "Incorrect API key provided: send one that is known here as `Authorization: Bearer`.",
    );
    answer
        .headers_mut()
        .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    answer.map(Body::from)
}
