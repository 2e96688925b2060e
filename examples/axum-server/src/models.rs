//! Which models a caller may name. Before anything of the call is booked or sent.

use std::sync::Arc;

use axum::{body::Body, extract::Request, response::Response};
use http::StatusCode;
use tower_qwen_tokens::{
    Call,
    protocol::rejection::{CLOSED, RejectionCodes},
};

use crate::{callers::Caller, errors::error_format, gateway::Gateway};

/// No upstream has the model.
pub(crate) const UNKNOWN_MODEL: RejectionCodes = RejectionCodes {
    status: StatusCode::NOT_FOUND,
    compatible: ("invalid_request_error", "model_not_found"),
    native: "ModelNotFound",
    anthropic: "not_found_error",
};

/// Lets a call pass whose model its caller may name.
///
/// # Errors
///
/// The answer to any other, boxed for its size.
pub(crate) fn check(gateway: &Gateway, request: &mut Request) -> Result<(), Box<Response>> {
    let call = Call::of(request).and_then(|call| call.model_call());
    let Some(model) = call.map(|call| &*call.model) else {
        return Ok(());
    };
    let caller = request.extensions().get::<Arc<Caller>>();
    let (codes, message) = if caller.is_some_and(|caller| !caller.may_call(model)) {
        (CLOSED, format!("Your key may not call the model {model}."))
    } else if !gateway.live().routes.has(model) {
        (UNKNOWN_MODEL, format!("There is no model {model} here."))
    } else {
        return Ok(());
    };
    let answer = error_format(request).error(codes, &message);
    Err(Box::new(answer.map(Body::from)))
}
