use std::{fmt, sync::Arc, time::Duration};

use http::{Extensions, HeaderMap, Request};

use crate::{Call, Dialect, Verdict, protocol::header::X_DASHSCOPE_ASYNC, scan::KnownEvents};

/// How to classify the answer to a request. The caller, or a layer further out, puts them into the
/// request's extensions.
///
/// Without them the built-in rules classify error answers, and no stream is read.
#[derive(Clone, Default)]
#[must_use]
pub struct ClassifyOptions {
    first_event: Option<FirstEvent>,
    json_errors: bool,
    rule: Option<Arc<Rule>>,
    /// What the streams that are held have in common. Clones share it.
    pub(super) events: Option<Arc<KnownEvents>>,
}

type Rule = dyn Fn(&Verdict, &HeaderMap) -> Option<Verdict> + Send + Sync;

/// How long to hold a stream back for its first event that has content or is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct FirstEvent {
    /// The longest wait after the answer's headers. Default: 1 s.
    pub wait: Duration,
    /// The most that is read. Unit: bytes. Default: 65,536.
    pub bytes: usize,
}

/// What a request says about classifying its answer. A layer stores it before it sends the request.
#[derive(Debug, Clone, Default)]
pub struct RequestContext {
    pub(super) options: ClassifyOptions,
    pub(super) dialect: Option<Dialect>,
    pub(super) impossible_task: bool,
}

/// In the extensions of a request whose JSON answers are held back ([`ClassifyOptions::json_errors`]), where no options are.
// Nearly every call has it: unlike options it takes no allocation.
#[derive(Debug, Clone, Copy)]
pub struct HoldJson;

/// In the extensions of an answer that was classified with the options of its request.
#[derive(Clone, Copy)]
pub(super) struct Classified;

impl ClassifyOptions {
    /// Holds a stream back for its first event. A wait of zero switches it off. Default: off.
    pub fn first_event(mut self, first: FirstEvent) -> Self {
        self.first_event = Some(first);
        self.events.get_or_insert_default();
        self
    }

    /// Holds a JSON answer back whose status says success, until it shows whether it is an error.
    /// Default: off.
    ///
    /// Some hosts and gateways refuse so: `{"error":{"code":429}}` with status 200. At most 8 KiB are
    /// held, and only while no `choices`, `output`, `data`, `content` or `candidates` was seen; a longer
    /// answer passes as it comes. From its first byte on the wait is a second at most; before that
    /// there is nothing to pass on but headers.
    pub fn json_errors(mut self, hold: bool) -> Self {
        self.json_errors = hold;
        self
    }

    /// A function that may replace every verdict: it returns another one, or `None` to keep it.
    /// Default: none.
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

    /// Whether JSON answers are held back until they show whether they are errors.
    #[must_use]
    pub fn holds_json(&self) -> bool {
        self.json_errors
    }

    /// How long to hold streams back, if at all.
    pub(super) fn held(&self) -> Option<FirstEvent> {
        self.first_event.filter(|first| !first.wait.is_zero())
    }
}

impl FirstEvent {
    /// Waits at most this long, and reads at most 64 KiB.
    #[must_use]
    pub fn within(wait: Duration) -> Self {
        Self {
            wait,
            // As much as of an error answer: the first event with content has some hundred bytes.
            bytes: 64 * 1024,
        }
    }

    /// Reads at most this many bytes.
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
    /// What this request says.
    #[must_use]
    pub fn of<B>(request: &Request<B>) -> Self {
        Self::of_head(request.headers(), request.extensions())
    }

    /// What a request with this head says.
    #[must_use]
    pub fn of_head(headers: &HeaderMap, extensions: &Extensions) -> Self {
        let call = extensions.get::<Arc<Call>>();
        let call = call.and_then(|call| call.model_call());
        Self {
            options: extensions.get().cloned().unwrap_or_else(|| {
                let holds_json = extensions.get::<HoldJson>().is_some();
                ClassifyOptions::default().json_errors(holds_json)
            }),
            dialect: call.map(|call| call.dialect),
            // A host that has no such task rejects it as a throttle, which no wait would cure. Of all model calls only
            // embeddings exist as tasks too.
            impossible_task: headers.contains_key(X_DASHSCOPE_ASYNC)
                && call.is_some_and(|call| !call.dialect.is_embedding()),
        }
    }

    /// The same with other options.
    #[must_use]
    pub fn by(self, options: ClassifyOptions) -> Self {
        Self { options, ..self }
    }

    /// Whether an answer may get another verdict than without this request.
    pub(super) fn affects_verdict(&self) -> bool {
        self.impossible_task
            || self.options.holds_streams()
            || self.options.holds_json()
            || self.options.has_rule()
    }

    /// Corrects a verdict by what only the request shows, then by the caller's rule.
    pub fn correct(&self, verdict: Verdict, headers: &HeaderMap) -> Verdict {
        let verdict = if self.impossible_task {
            verdict.of_async_call()
        } else {
            verdict
        };
        let rule = self.options.rule.as_ref();
        rule.and_then(|rule| rule(&verdict, headers))
            .unwrap_or(verdict)
    }
}

impl fmt::Debug for ClassifyOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClassifyOptions")
            .field("first_event", &self.first_event)
            .field("json_errors", &self.json_errors)
            .field("has_rule", &self.has_rule())
            .finish()
    }
}
