use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, header::CONTENT_LENGTH, request::Parts};
use tower_qwen_tokens::{Call, internal::RequestContext};

use crate::{Fallback, idempotency::is_repeatable};

/// A request as it was before its first attempt, without what the layers inside put into its
/// extensions.
pub(super) struct Replay {
    pub(super) parts: Parts,
    body: Bytes,
}

impl Replay {
    /// A copy of the request; `None` if it may not be sent again, or its body is not in memory.
    pub(super) fn new<B>(request: &Request<B>, call: Option<&Arc<Call>>) -> Option<Self> {
        let call = call?;
        let body = call.body()?;
        // A model call is a `POST` to the path of one: always repeatable, and cheaper to test.
        if call.model_call().is_none() && !is_repeatable(request) {
            return None;
        }
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = request.method().clone();
        parts.uri = request.uri().clone();
        parts.version = request.version();
        parts.headers = request.headers().clone();
        parts.extensions = request.extensions().clone();
        Some(Self {
            parts,
            body: body.clone(),
        })
    }

    /// The request of a further attempt, after this many.
    pub(super) fn request<B: From<Bytes>>(
        &self,
        marker: Option<&HeaderName>,
        attempts: u32,
    ) -> Request<B> {
        let mut parts = self.parts.clone();
        if let Some(marker) = marker
            && attempts > 0
        {
            let count = HeaderValue::from(attempts);
            parts.headers.insert(marker, count);
        }
        Request::from_parts(parts, B::from(self.body.clone()))
    }

    /// The same call for another target; `None` if it cannot be rewritten.
    pub(super) fn to(&self, fallback: &Fallback) -> Option<Self> {
        let (mut parts, mut body) = (self.parts.clone(), self.body.clone());
        if let Some(model) = &fallback.model {
            let call = self.call()?.for_model(&parts.headers, model)?;
            body = call.body()?.clone();
            parts.extensions.insert(Arc::new(call));
            // Not added if the caller has none: the client then sets it, or sends chunks.
            if parts.headers.contains_key(CONTENT_LENGTH) {
                let length = HeaderValue::from(body.len());
                parts.headers.insert(CONTENT_LENGTH, length);
            }
        }
        fallback.apply_to(&mut parts)?;
        Some(Self { parts, body })
    }

    /// What the request says about classifying its answer.
    pub(super) fn request_context(&self) -> RequestContext {
        RequestContext::of_head(&self.parts.headers, &self.parts.extensions)
    }

    pub(super) fn call(&self) -> Option<&Arc<Call>> {
        self.parts.extensions.get()
    }
}
