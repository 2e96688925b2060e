//! Which models a caller may name. Before anything of the call is booked or sent.

use std::{fmt, sync::Arc};

use axum::{body::Body, extract::Request, response::Response};
use http::StatusCode;
use serde::{
    Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use tower_qwen_tokens::{
    Call,
    protocol::rejection::{CLOSED, RejectionCodes, UNREADABLE},
};

use crate::{callers::Caller, errors::error_format, gateway::Gateway};

/// No upstream has the model.
pub(crate) const UNKNOWN_MODEL: RejectionCodes = RejectionCodes {
    status: StatusCode::NOT_FOUND,
    compatible: ("invalid_request_error", "model_not_found"),
    native: "ModelNotFound",
    anthropic: "not_found_error",
};

/// Members of a body by which hosts take other models than `model`, or other places for it.
// `models`, `route`, `plugins` and `provider` are OpenRouter's: openrouter.ai/docs/guides/routing, openrouter.ai/docs/requests.
// `fallbacks` and `mock_testing_fallbacks` are LiteLLM's: docs.litellm.ai/docs/proxy/client_side_fallbacks. Read on 2026-12-01.
const OF_OTHER_MODELS: [&str; 6] = [
    "models",
    "route",
    "fallbacks",
    "plugins",
    "provider",
    "mock_testing_fallbacks",
];

/// Lets a call pass whose model its caller may name.
///
/// # Errors
///
/// The answer to any other, boxed for its size.
pub(crate) fn check(gateway: &Gateway, request: &mut Request) -> Result<(), Box<Response>> {
    let Some(call) = Call::of(request) else {
        return Ok(());
    };
    let Some(model) = call.model_call().map(|call| &*call.model) else {
        return Ok(());
    };
    let caller = request.extensions().get::<Arc<Caller>>();
    let is_limited = caller.is_some_and(|caller| caller.models.is_some());
    let other = match is_limited {
        true => of_other_models(call),
        false => Ok(None),
    };
    let (codes, message) = if caller.is_some_and(|caller| !caller.may_call(model)) {
        (CLOSED, format!("Your key may not call the model {model}."))
    } else if !gateway.live().routes.has(model) {
        (UNKNOWN_MODEL, format!("There is no model {model} here."))
    } else {
        match other {
            Ok(None) => return Ok(()),
            Ok(Some(member)) => (
                CLOSED,
                format!(
                    "Your key may call certain models only, and `{member}` can name others: leave it out."
                ),
            ),
            Err(_) => (UNREADABLE, "The body is no sound JSON.".to_owned()),
        }
    };
    let answer = error_format(request).error(codes, &message);
    Err(Box::new(answer.map(Body::from)))
}

/// The first member of a body that can name other models. The body is read again for it, so for few callers only.
///
/// # Errors
///
/// When it cannot be read: a host may read it otherwise.
fn of_other_models(call: &Call) -> serde_json::Result<Option<&'static str>> {
    let body = call.body().map_or(&[][..], |body| body);
    serde_json::Deserializer::from_slice(body).deserialize_map(Members)
}

/// Reads names as a parser does, escapes and all, and skips values.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Option<&'static str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = members.next_key::<String>()? {
            // Readers in Go pass over the case of letters, and take the long s for one.
            let name = name.to_lowercase().replace('\u{17f}', "s");
            let known = OF_OTHER_MODELS.into_iter().find(|known| *known == name);
            found = found.or(known);
            members.next_value::<IgnoredAny>()?;
        }
        Ok(found)
    }
}
