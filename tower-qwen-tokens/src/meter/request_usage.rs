use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body::Body;

use crate::{
    Call, Dialect,
    call::{may_rewrite, rewrite},
};

/// Makes a request for a compatible stream request its usage, if its caller did not; returns
/// whether it did so. Layers further in find a [`Call`] that requests it.
///
/// Does not change encoded or signed requests, nor a body that is no longer the one that was read.
pub(super) fn request_usage<B: Body + From<Bytes>>(call: &Call, request: &mut Request<B>) -> bool {
    // The other dialects state usage in every stream.
    let needs_request = call.model_call().is_some_and(|call| {
        call.stream
            && !call.include_usage
            && matches!(call.dialect, Dialect::Chat | Dialect::Completions)
    });
    if !needs_request || !call.body().is_some_and(|body| may_rewrite(request, body)) {
        return false;
    }
    let Some(body) = call.asking_body().cloned() else {
        return false;
    };
    let call = Arc::new(call.asking(body.clone()));
    request.extensions_mut().insert(call);
    rewrite(request, body);
    true
}
