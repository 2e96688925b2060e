//! Calls whose answers nobody waits for: no meter sees what they cost.

use axum::{body::Body, extract::Request, response::Response};
use tower_qwen_tokens::{Call, protocol::rejection::UNREADABLE};

use crate::errors::error_format;

/// Lets a call pass whose answer holds what it cost.
///
/// # Errors
///
/// The answer to any other, boxed for its size.
pub(crate) fn check(request: &Request) -> Result<(), Box<Response>> {
    let call = Call::of(request).and_then(|call| call.model_call());
    if !call.is_some_and(|call| call.background) {
        return Ok(());
    }
    let message = "Calls in the background are not taken here: what they use could not be counted. Leave `background` out.";
    let answer = error_format(request).error(UNREADABLE, message);
    Err(Box::new(answer.map(Body::from)))
}
