//! Sends a call on, and its answer back, frame by frame.

use std::sync::Arc;

use axum::{body::Body, extract::Request, response::Response};
use http::{HeaderValue, Method, StatusCode, Version};
use tower::ServiceExt;
use tower_qwen_ratelimit::enforce::Reserved;
use tower_qwen_tokens::{
    Call, Dialect,
    protocol::rejection::{BAD_GATEWAY, UNREADABLE, UNSUPPORTED_MEDIA},
};
use tracing::{error, warn};

use crate::{
    client::{Client, Spent},
    errors::{Failure, error_format},
    headers,
    target::Target,
};

/// What it takes to send a call on.
#[derive(Debug, Clone)]
pub struct Forward {
    /// The client's stack.
    pub client: Client,
    /// Where to.
    pub target: Arc<Target>,
    /// With which key.
    pub key: Option<HeaderValue>,
}

/// The service below the Meter. Dropping its future, or the answer's body, cuts the connection to the upstream.
///
/// # Errors
///
/// The gateway's own answer to a call that went out and was not answered, boxed for its size. Of an answer the Meter would
/// read that nothing was used; of an error it says that nobody knows.
pub async fn forward(forward: Forward, mut request: Request) -> Result<Response, Box<Response>> {
    let format = error_format(&request);
    if is_unread_model_call(&request) {
        let message = "A call of a model must be JSON.";
        return Ok(format.error(UNSUPPORTED_MEDIA, message).map(Body::from));
    }
    let Ok(uri) = forward.target.uri(request.uri()) else {
        let message = "The path cannot be read.";
        return Ok(format.error(UNREADABLE, message).map(Body::from));
    };
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_11;
    headers::to_upstream(request.headers_mut(), forward.key.as_ref());
    let reserved = Reserved::of(&request).cloned();
    let spent = Spent::default();
    request.extensions_mut().insert(spent.clone());
    match forward.client.oneshot(request).await {
        Ok(answer) if answer.status() == StatusCode::UNAUTHORIZED => {
            error!("the upstream refuses the gateway's own key");
            // No fault of the caller's, though the answer's status says that the server's side failed.
            if let Some(reserved) = reserved {
                reserved.settle(0, 0);
            }
            let message = "The server behind refuses the gateway.";
            Ok(format.error(BAD_GATEWAY, message).map(Body::from))
        }
        Ok(mut answer) => {
            headers::to_caller(answer.headers_mut());
            Ok(answer)
        }
        Err(error) => {
            warn!(error = chain(&*error), "no answer from upstream");
            let last = Failure::of(&*error);
            let failure = match spent.first() {
                None if last.is_unsent() => {
                    if let Some(reserved) = reserved {
                        reserved.settle(0, 0);
                    }
                    return Ok(last.answer(&format));
                }
                // That another attempt could not be made is not why the call failed.
                Some(Some(first)) if last.is_unsent() => first,
                _ => last,
            };
            Err(Box::new(failure.answer(&format)))
        }
    }
}

/// A call whose cost nobody could see beforehand, for its body was compressed or no JSON.
fn is_unread_model_call(request: &Request) -> bool {
    request.method() == Method::POST
        && Dialect::of_path(request.uri().path()).is_some()
        && Call::of(request).is_some_and(|call| call.model_call().is_none())
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}
