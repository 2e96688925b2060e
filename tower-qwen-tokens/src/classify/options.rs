use std::{fmt, sync::Arc, time::Duration};

use http::{Extensions, HeaderMap, Request};

use crate::{Call, Dialect, Verdict, protocol::header::X_DASHSCOPE_ASYNC};

/// How the answer to a request is to be classified. Put into the request's extensions by a layer further out, or the caller.
///
/// Without them error answers are classified by the built-in rules, and streams pass unread.
#[derive(Clone, Default)]
#[must_use]
pub struct ClassifyOptions {
    first_event: Option<FirstEvent>,
    rule: Option<Arc<Rule>>,
}

type Rule = dyn Fn(&Verdict, &HeaderMap) -> Option<Verdict> + Send + Sync;

/// How long a stream is held back for its first event that has content or is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct FirstEvent {
    /// The longest wait after the answer's headers.
    pub wait: Duration,
    /// The most that is read. Unit: bytes.
    pub bytes: usize,
}

/// What a request says about classifying its answer, to be kept while the request is under way.
#[derive(Debug, Clone, Default)]
pub struct RequestContext {
    pub(super) options: ClassifyOptions,
    pub(super) dialect: Option<Dialect>,
    pub(super) impossible_task: bool,
}

/// Stands in the extensions of an answer that was classified by all that its request says.
#[derive(Clone, Copy)]
pub(super) struct Classified;

impl ClassifyOptions {
    /// Holds a stream back for its first event; for no time: lets it pass.
    pub fn first_event(mut self, first: FirstEvent) -> Self {
        self.first_event = Some(first);
        self
    }

    /// Has the last word on every verdict: gives another one, or `None` to leave it.
    pub fn rule<F>(mut self, rule: F) -> Self
    where
        F: Fn(&Verdict, &HeaderMap) -> Option<Verdict> + Send + Sync + 'static,
    {
        self.rule = Some(Arc::new(rule));
        self
    }

    /// Whether there is a rule.
    #[must_use]
    pub fn has_rule(&self) -> bool {
        self.rule.is_some()
    }

    /// Whether streams are held back at all.
    #[must_use]
    pub fn holds_streams(&self) -> bool {
        self.held().is_some()
    }

    pub(super) fn held(&self) -> Option<FirstEvent> {
        self.first_event.filter(|first| !first.wait.is_zero())
    }
}

impl FirstEvent {
    /// Waits so long at most, and reads no more than 64 KiB.
    #[must_use]
    pub fn within(wait: Duration) -> Self {
        Self {
            wait,
            bytes: 64 * 1024,
        }
    }

    /// Reads so many bytes at most.
    #[must_use]
    pub fn at_most(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }
}

impl Default for FirstEvent {
    /// One second, 64 KiB.
    fn default() -> Self {
        Self::within(Duration::from_secs(1))
    }
}

impl RequestContext {
    /// What this request says, to be asked before it is sent.
    #[must_use]
    pub fn of<B>(request: &Request<B>) -> Self {
        Self::of_head(request.headers(), request.extensions())
    }

    /// The same of a request's head alone.
    #[must_use]
    pub fn of_head(headers: &HeaderMap, extensions: &Extensions) -> Self {
        let call = extensions.get::<Arc<Call>>();
        let call = call.and_then(|call| call.model_call());
        Self {
            options: extensions.get().cloned().unwrap_or_default(),
            dialect: call.map(|call| call.dialect),
            impossible_task: headers.contains_key(X_DASHSCOPE_ASYNC)
                && call.is_some_and(|call| !exists_as_task(call.dialect)),
        }
    }

    /// The same by other options.
    #[must_use]
    pub fn by(self, options: ClassifyOptions) -> Self {
        Self { options, ..self }
    }

    /// Whether it knows more than the answer itself tells.
    pub(super) fn knows_more(&self) -> bool {
        self.impossible_task || self.options.holds_streams() || self.options.has_rule()
    }

    /// Corrects a verdict by what only the request and its sender know.
    pub fn correct(&self, verdict: Verdict, headers: &HeaderMap) -> Verdict {
        let verdict = if self.impossible_task {
            verdict.of_async_call()
        } else {
            verdict
        };
        match &self.options.rule {
            Some(rule) => rule(&verdict, headers).unwrap_or(verdict),
            None => verdict,
        }
    }
}

/// Embeddings are the only model calls that exist as tasks too.
fn exists_as_task(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::Embeddings | Dialect::NativeEmbeddings)
}

impl fmt::Debug for ClassifyOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClassifyOptions")
            .field("first_event", &self.first_event)
            .field("has_rule", &self.has_rule())
            .finish()
    }
}
