use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body::Body;

use crate::{
    Call, Dialect,
    call::{may_rewrite, rewrite},
};

/// Puts the body that asks for usage into a request of a compatible stream whose caller does not ask; tells whether.
/// Whoever stands further in finds a call that asks.
///
/// Leaves alone what is encoded or signed, and a body that is no longer the one that was read.
pub(super) fn ask<B: Body + From<Bytes>>(call: &Call, request: &mut Request<B>) -> bool {
    let is_silent = call.model_call().is_some_and(|call| {
        call.stream
            && !call.include_usage
            && matches!(call.dialect, Dialect::Chat | Dialect::Completions)
    });
    if !is_silent || !call.body().is_some_and(|body| may_rewrite(request, body)) {
        return false;
    }
    let Some(asking) = call.asking_body() else {
        return false;
    };
    let asking = asking.clone();
    let call = Arc::new(call.asking(asking.clone()));
    request.extensions_mut().insert(call);
    rewrite(request, asking);
    true
}
