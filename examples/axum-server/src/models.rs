//! Which models a caller may name. Before anything of the call is booked or sent: a name takes places in figures and accounts.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{body::Body, extract::Request, response::Response};
use http::StatusCode;
use tower_qwen_tokens::{
    Call,
    ledger::Tenant,
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

/// How many models a caller may name that neither the configuration nor the prices know. The figures show 1,024 models by their
/// names, and who invents them must not take all of these.
const MAX_UNKNOWN: usize = 64;

/// The models that each caller has named and nobody knows, while this process runs.
#[derive(Debug, Default)]
pub(crate) struct UnknownModels(Mutex<HashMap<Tenant, HashSet<Box<str>>>>);

impl UnknownModels {
    /// Whether a caller may name it.
    fn may_name(&self, caller: &Tenant, model: &str) -> bool {
        let all = self.0.lock();
        let mut all = all.unwrap_or_else(PoisonError::into_inner);
        let named = match all.get_mut(caller) {
            Some(named) => named,
            None => all.entry(caller.clone()).or_default(),
        };
        if named.contains(model) {
            return true;
        }
        named.len() < MAX_UNKNOWN && named.insert(model.into())
    }
}

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
    let extensions = request.extensions();
    let live = gateway.live();
    let caller = extensions.get::<Arc<Caller>>();
    let (codes, message) = if caller.is_some_and(|caller| !caller.may_call(model)) {
        (CLOSED, format!("Your key may not call the model {model}."))
    } else if !live.routes.has(model) {
        (UNKNOWN_MODEL, format!("There is no model {model} here."))
    } else {
        let is_known = live.routes.lists(model) || live.prices.price(model).is_some();
        let may_name = |caller| gateway.unknown_models.may_name(caller, model);
        if is_known || extensions.get().is_none_or(may_name) {
            return Ok(());
        }
        let message = format!(
            "Nobody knows the model {model} here, and your key has named {MAX_UNKNOWN} such models. An operator can list it."
        );
        (UNKNOWN_MODEL, message)
    };
    let answer = error_format(request).error(codes, &message);
    Err(Box::new(answer.map(Body::from)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_names_so_many_and_leaves_the_others_theirs() {
        let models = UnknownModels::default();
        let (one, other) = (Tenant::from("one"), Tenant::from("other"));
        for number in 0..2 * MAX_UNKNOWN {
            let may = models.may_name(&one, &format!("model-{number}"));
            assert_eq!(may, number < MAX_UNKNOWN);
        }
        assert!(models.may_name(&one, "model-0"));
        assert!(models.may_name(&other, "model-100"));
    }
}
