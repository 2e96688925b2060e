//! Names the tenant of a call by its key.

use axum::{body::Body, extract::Request, response::Response};
use http::{HeaderValue, header::WWW_AUTHENTICATE};
use tower_qwen_ratelimit::Priority;
use tower_qwen_tokens::{error_format::ErrorFormat, protocol::rejection::UNAUTHENTICATED};
use tracing::Span;

use crate::{api_key::ApiKey, call_log::CallNotes, errors::error_format, gateway::Gateway};

/// Gives a call whose key is known its [`Caller`](crate::callers::Caller) and its
/// [`Tenant`](tower_qwen_tokens::ledger::Tenant), and takes the key away.
///
/// # Errors
///
/// The answer to any other, boxed for its size.
pub fn check(gateway: &Gateway, request: &mut Request) -> Result<(), Box<Response>> {
    let key = ApiKey::take(request.headers_mut());
    match key.and_then(|key| gateway.live().callers.caller(&key).cloned()) {
        Some(caller) => {
            Span::current().record("tenant", caller.name.as_str());
            let extensions = request.extensions_mut();
            if let Some(notes) = extensions.get::<CallNotes>() {
                notes.set_tenant(&caller.name);
            }
            extensions.insert(caller.name.clone());
            if caller.priority != Priority::default() {
                extensions.insert(caller.priority);
            }
            if caller.models.is_some() {
                extensions.insert(caller);
            }
            Ok(())
        }
        None => Err(Box::new(unauthenticated(&error_format(request)))),
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
