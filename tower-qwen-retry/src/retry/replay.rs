use std::sync::Arc;

use bytes::Bytes;
use http::{Request, request::Parts};
use tower_qwen_tokens::{
    Call, Deadline, Dialect, clock::Instant, protocol::header::X_DASHSCOPE_ASYNC,
};

/// A request as it was before its first attempt: what the layers inside put into its extensions is not in it.
pub(super) struct Replay {
    parts: Parts,
    body: Bytes,
    deadline: Option<Instant>,
}

impl Replay {
    /// Keeps what it takes to send the request again; `None` where its body was not kept.
    pub(super) fn keep<B>(request: Request<B>) -> (Request<B>, Option<Self>) {
        let Some(call) = Call::of(&request).cloned() else {
            return (request, None);
        };
        let Some(body) = call.body().cloned() else {
            return (request, None);
        };
        let (parts, first) = request.into_parts();
        let deadline = call
            .deadline()
            .or_else(|| parts.extensions.get::<Deadline>().copied());
        let replay = Self {
            parts: parts.clone(),
            body,
            deadline: deadline.map(Deadline::instant),
        };
        (Request::from_parts(parts, first), Some(replay))
    }

    /// The request of a further attempt.
    pub(super) fn request<B: From<Bytes>>(&self) -> Request<B> {
        Request::from_parts(self.parts.clone(), B::from(self.body.clone()))
    }

    /// Whether it asks for a task that runs by itself, of a model that only answers at once. Embeddings are the only
    /// model calls that exist as tasks too.
    pub(super) fn asks_for_impossible_task(&self) -> bool {
        let call = self.parts.extensions.get::<Arc<Call>>();
        let dialect = call
            .and_then(|call| call.model_call())
            .map(|call| call.dialect);
        self.parts.headers.contains_key(X_DASHSCOPE_ASYNC)
            && !matches!(
                dialect,
                None | Some(Dialect::Embeddings | Dialect::NativeEmbeddings)
            )
    }

    /// When the caller stops waiting.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}
