use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, header::CONTENT_LENGTH, request::Parts};
use tower_qwen_tokens::{Call, Deadline, clock::Instant};

use crate::{Fallback, repeat::is_repeatable};

/// A request as it was before its first attempt: what the layers inside put into its extensions is not in it.
pub(super) struct Replay {
    parts: Parts,
    body: Bytes,
    deadline: Option<Instant>,
}

impl Replay {
    /// Keeps what it takes to send the request again; `None` where it may not be, or its body was not kept.
    pub(super) fn keep<B>(
        request: Request<B>,
        call: Option<&Arc<Call>>,
    ) -> (Request<B>, Option<Self>) {
        // One that was read as a model call is a `POST` to the path of one.
        let was_read = call.is_some_and(|call| call.model_call().is_some());
        let body = call.and_then(|call| call.body());
        let Some(body) = body
            .filter(|_| was_read || is_repeatable(&request))
            .cloned()
        else {
            return (request, None);
        };
        let (parts, first) = request.into_parts();
        let deadline = call
            .and_then(|call| call.deadline())
            .or_else(|| parts.extensions.get::<Deadline>().copied());
        let replay = Self {
            parts: parts.clone(),
            body,
            deadline: deadline.map(Deadline::instant),
        };
        (Request::from_parts(parts, first), Some(replay))
    }

    /// The request of a further attempt, after so many of them.
    pub(super) fn request<B: From<Bytes>>(
        &self,
        marker: Option<&HeaderName>,
        attempts: u32,
    ) -> Request<B> {
        let mut parts = self.parts.clone();
        if let Some(marker) = marker {
            let count = HeaderValue::from(attempts);
            parts.headers.insert(marker, count);
        }
        Request::from_parts(parts, B::from(self.body.clone()))
    }

    /// The same call for another target; `None` where it cannot be rewritten.
    pub(super) fn to(&self, fallback: &Fallback) -> Option<Self> {
        let (mut parts, mut body) = (self.parts.clone(), self.body.clone());
        if let Some(model) = fallback.other_model() {
            let call = parts.extensions.get::<Arc<Call>>()?;
            let call = call.for_model(&parts.headers, model)?;
            body = call.body()?.clone();
            parts.extensions.insert(Arc::new(call));
            if parts.headers.contains_key(CONTENT_LENGTH) {
                let length = HeaderValue::from(body.len());
                parts.headers.insert(CONTENT_LENGTH, length);
            }
        }
        fallback.direct(&mut parts)?;
        Some(Self {
            parts,
            body,
            deadline: self.deadline,
        })
    }

    /// The model asked for; empty where it names none.
    pub(super) fn model(&self) -> &str {
        let call = self.parts.extensions.get::<Arc<Call>>();
        call.and_then(|call| call.model_call())
            .map_or("", |call| &call.model)
    }

    /// When the caller stops waiting.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}
