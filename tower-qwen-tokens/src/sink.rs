//! How the usage of one attempt gets from the Meter to the layer or caller that requested it.

use std::{fmt, sync::Arc, time::Duration};

use http::{Extensions, StatusCode};

use crate::{Usage, Verdict, macros::opaque_debug};

pub use crate::usage::{Basis, End};

/// What the Meter found about one attempt.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Report {
    /// The tokens.
    pub usage: Usage,
    /// Where the figures come from.
    pub basis: Basis,
    /// What the provider stated, if that cannot be: more than the model's window or the request
    /// hold, or the request allows. The usage is then an estimate.
    pub impossible: Option<Usage>,
    /// Why the answer says nothing of its usage: the figures are then estimated by the request and the length of the
    /// answer, or [`Basis::Unknown`]. `None` where it has usage or text.
    pub unknown: Option<UnknownReason>,
    /// How the body ended.
    pub end: End,
    /// The status of the answer.
    pub status: StatusCode,
    /// Why the call failed: of the error answer, or of an error event inside a stream of status
    /// 200.
    pub verdict: Option<Verdict>,
    /// From the send to the first text of a streamed answer.
    pub first_token: Option<Duration>,
    /// From the send to the end.
    pub duration: Duration,
}

/// Why an answer says nothing of its usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnknownReason {
    /// The body is compressed, or encoded in another way.
    Encoded,
    /// The body is neither JSON nor a stream of events, by its content type or its first bytes.
    ContentType,
    /// The status is no success.
    NoSuccess,
    /// The answer is whole, but states no usage and has no text of the model.
    NotStated,
    /// The body broke off before usage or text came, and the request was not read.
    CutShort,
}

/// Receives the usage of one attempt.
///
/// ```
/// use std::sync::{Arc, Mutex};
///
/// use http::Request;
/// use tower_qwen_tokens::{OnUsage, Report, UsageSink};
///
/// /// Stores the total of the last attempt.
/// #[derive(Default)]
/// struct LastTotal(Mutex<Option<u64>>);
///
/// impl OnUsage for LastTotal {
///     fn on_usage(&self, report: &Report) {
///         *self.0.lock().expect("not poisoned") = report.usage.total();
///     }
/// }
///
/// let total = Arc::new(LastTotal::default());
/// let mut request = Request::post("https://host.example/v1/chat/completions").body(())?;
/// UsageSink::new(total.clone()).attach(request.extensions_mut());
/// // Send the request through a Meter and read the answer to its end.
/// # Ok::<(), http::Error>(())
/// ```
pub trait OnUsage: Send + Sync {
    /// Called at most once per attempt, where the body ends, which may be its `Drop`: it must
    /// neither block nor panic.
    fn on_usage(&self, report: &Report);
}

/// Requests the usage of this attempt from the Meter. [Attach](UsageSink::attach) one to the
/// request of each attempt.
///
/// The Meter takes it out of the extensions and reports to it once. Without a Meter, or without an
/// answer, it is dropped uncalled: its receiver should then keep its estimate.
#[derive(Clone)]
pub struct UsageSink(Arc<dyn OnUsage>);

/// The sinks of two layers. The inner layer's comes first.
struct Both(UsageSink, UsageSink);

impl Report {
    /// A report of usage that the provider stated in a complete answer.
    #[must_use]
    pub fn reported(usage: Usage) -> Self {
        Self {
            usage,
            basis: Basis::Reported,
            impossible: None,
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
    /// A sink that reports to `receiver`.
    #[must_use]
    pub fn new(receiver: Arc<dyn OnUsage>) -> Self {
        Self(receiver)
    }

    /// Puts it into a request's extensions. If a layer further out has put one there, the report
    /// goes to both.
    pub fn attach(self, extensions: &mut Extensions) {
        match extensions.get_mut::<Self>() {
            // Chained rather than replaced: the receiver further out needs its report as well.
            Some(outer) => {
                let both = Both(self, outer.clone());
                *outer = Self(Arc::new(both));
            }
            None => {
                extensions.insert(self);
            }
        }
    }

    /// Sends the report to the receiver.
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

opaque_debug!(UsageSink, impl std::fmt::Debug for UsageSink);

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
        let reported = Arc::default();
        let mut extensions = Extensions::new();
        for name in ["outer", "middle", "inner"] {
            let named = Arc::new(Named(name, Arc::clone(&reported)));
            UsageSink::new(named).attach(&mut extensions);
        }
        let sink = extensions.remove::<UsageSink>().unwrap();
        sink.report(&Report::reported(Usage::new(1, 2)));
        assert_eq!(*reported.lock().unwrap(), ["inner", "middle", "outer"]);
    }
}
