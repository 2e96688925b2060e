//! Calls of which no meter could see what they cost.

use axum::{body::Body, extract::Request, response::Response};
use tower_qwen_tokens::{Call, protocol::rejection::UNREADABLE};

use crate::errors::error_format;

/// Lets a call pass whose answer holds what it cost.
///
/// # Errors
///
/// The answer to any other, boxed for its size.
pub(crate) fn check(request: &Request) -> Result<(), Box<Response>> {
    let Some(call) = Call::of(request).and_then(|call| call.model_call()) else {
        return Ok(());
    };
    let message = if call.background {
        "Calls in the background are not taken here: what they use could not be counted. Leave `background` out.".to_owned()
    } else if let Some(member) = call.unclear {
        // A lax host may stream without its usage where nobody asked it to.
        format!(
            "`{member}` is unclear: give it once, as the API says (its name in small letters, true or false, an object of options), or leave it out."
        )
    } else {
        return Ok(());
    };
    let answer = error_format(request).error(UNREADABLE, &message);
    Err(Box::new(answer.map(Body::from)))
}
