//! How the usage of one attempt travels from the Meter to whoever asked for it.

use std::{fmt, sync::Arc, time::Duration};

use http::{Extensions, StatusCode};

use crate::{Usage, Verdict};

pub use crate::usage::{Basis, End};

/// What the Meter learned of one attempt.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Report {
    /// The tokens.
    pub usage: Usage,
    /// What they stand on.
    pub basis: Basis,
    /// Why nothing is known, where the basis is [`Basis::Unknown`]; `None` otherwise.
    pub unknown: Option<UnknownReason>,
    /// How the body ended.
    pub end: End,
    /// The status of the answer.
    pub status: StatusCode,
    /// Why the call failed: of the error answer, or of an error event inside a stream of status 200.
    pub verdict: Option<Verdict>,
    /// From the send to the first text of a streamed answer.
    pub first_token: Option<Duration>,
    /// From the send to the end.
    pub duration: Duration,
}

/// Why nothing is known of an answer's usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnknownReason {
    /// The body is compressed, or encoded in another way.
    Encoded,
    /// The body is neither JSON nor a stream of events, by its content type, or does not say what it is.
    ContentType,
    /// The status is no success.
    NoSuccess,
    /// The answer is whole, but has neither usage nor text of the model.
    NotStated,
    /// The body broke off before anything of use was delivered, and the request was not read.
    CutShort,
}

/// Receives the usage of one attempt.
pub trait OnUsage: Send + Sync {
    /// Called at most once per attempt, from wherever the body ends, a `Drop` included: it must neither block nor panic.
    fn on_usage(&self, report: &Report);
}

/// Asks the Meter for the usage of this attempt. [Put](UsageSink::attach) into the request's extensions, per attempt.
///
/// The Meter takes it out and calls it once. Without a Meter it is dropped uncalled: whoever asked keeps its estimate.
#[derive(Clone)]
pub struct UsageSink(Arc<dyn OnUsage>);

/// Of two layers, the inner one's first.
struct Both(UsageSink, UsageSink);

impl Report {
    /// A report of usage that the provider stated in a complete answer.
    #[must_use]
    pub fn reported(usage: Usage) -> Self {
        Self {
            usage,
            basis: Basis::Reported,
            unknown: None,
            end: End::Complete,
            status: StatusCode::OK,
            verdict: None,
            first_token: None,
            duration: Duration::ZERO,
        }
    }
}

impl UnknownReason {
    /// The name for metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Encoded => "encoded",
            Self::ContentType => "content_type",
            Self::NoSuccess => "no_success",
            Self::NotStated => "not_stated",
            Self::CutShort => "cut_short",
        }
    }
}

impl fmt::Display for UnknownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl UsageSink {
    /// A sink that hands on to `receiver`.
    #[must_use]
    pub fn new(receiver: Arc<dyn OnUsage>) -> Self {
        Self(receiver)
    }

    /// Puts it into a request's extensions. Where a layer further out has put one there, the report reaches both.
    pub fn attach(self, extensions: &mut Extensions) {
        match extensions.get_mut::<Self>() {
            Some(outer) => {
                let both = Both(self, outer.clone());
                *outer = Self(Arc::new(both));
            }
            None => {
                extensions.insert(self);
            }
        }
    }

    /// Hands the report on.
    pub fn report(&self, report: &Report) {
        self.0.on_usage(report);
    }
}

impl OnUsage for Both {
    fn on_usage(&self, report: &Report) {
        self.0.report(report);
        self.1.report(report);
    }
}

impl fmt::Debug for UsageSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsageSink").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    struct Named(&'static str, Arc<Mutex<Vec<&'static str>>>);

    impl OnUsage for Named {
        fn on_usage(&self, _: &Report) {
            self.1.lock().unwrap().push(self.0);
        }
    }

    #[test]
    fn a_report_reaches_every_layer_from_the_inside() {
        let heard = Arc::default();
        let mut extensions = Extensions::new();
        for name in ["outer", "middle", "inner"] {
            let named = Arc::new(Named(name, Arc::clone(&heard)));
            UsageSink::new(named).attach(&mut extensions);
        }
        let sink = extensions.remove::<UsageSink>().unwrap();
        sink.report(&Report::reported(Usage::new(1, 2)));
        assert_eq!(*heard.lock().unwrap(), ["inner", "middle", "outer"]);
    }
}
