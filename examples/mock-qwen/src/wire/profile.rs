//! What differs between hosts, as data.

use super::problem::Kind;
use crate::config::RateLimitHeaders;

/// How a host answers.
#[derive(Debug)]
pub(crate) struct Profile {
    /// The base of its own compatible interface.
    pub(crate) base: &'static str,
    /// Bodies of refusals in the compatible dialects.
    pub(crate) errors: &'static [Row],
    /// The same in the native dialect; empty where there is none.
    pub(crate) native: &'static [Row],
    pub(crate) stream_error: StreamError,
    /// Whether a refusal for capacity of a call that streams is told inside a 200.
    pub(crate) refuses_in_stream: bool,
    /// Whether a call waits for room instead of being refused.
    pub(crate) queues: bool,
    /// Whether errors of the Anthropic interface have Anthropic's envelope.
    pub(crate) wraps_messages: bool,
    /// What `max_tokens` may be.
    pub(crate) range: Range,
    /// Answers to one prompt at most, `n`.
    pub(crate) most_choices: u64,
    /// The member of a message or delta that holds thoughts.
    pub(crate) thoughts: Thoughts,
    pub(crate) usage: UsageForm,
    pub(crate) place: UsagePlace,
    pub(crate) early_usage: EarlyUsage,
    /// Whether events without usage say `usage: null`.
    pub(crate) null_usage: bool,
    /// What a stream sends before its first event.
    pub(crate) comment: Option<&'static str>,
    /// What answers tell of the quotas unless the settings name a form.
    pub(crate) rate_limit_headers: RateLimitHeaders,
    /// Who owns the models, as `GET /v1/models` says.
    pub(crate) owner: &'static str,
}

/// A refusal as it was recorded, with gaps.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) kind: Kind,
    pub(crate) status: u16,
    pub(crate) body: &'static str,
    pub(crate) headers: &'static [(&'static str, &'static str)],
}

/// What an error inside a stream looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamError {
    /// `event:error` with the native body, its status in a comment.
    Native,
    /// The body as data, and `[DONE]` or not.
    Data { done: bool },
}

/// The member that holds thoughts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Thoughts {
    ReasoningContent,
    Reasoning,
}

/// What a usage object holds beside the three figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UsageForm {
    /// Cached tokens, and in streams nulls for the rest.
    DashScope,
    /// Nothing.
    Plain,
    /// Cached tokens.
    Cached,
    /// Cached tokens and thoughts.
    Details,
    /// Details, and cache hits and misses at the top.
    DeepSeek,
    /// Details, and cached tokens at the top too.
    Kimi,
    /// Thoughts, and times between the figures.
    Groq,
    /// Details and the cost.
    OpenRouter,
}

/// Where a compatible stream states usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UsagePlace {
    /// In an event of its own with `choices: []`, for those who ask.
    OwnEvent,
    /// As `OwnEvent`, with a choice that has an empty delta.
    OwnEventWithChoice,
    /// In the event with the finish reason, always.
    Finish,
    /// In the choice of the finish event, always; in an event of its own too for those who ask.
    Choice,
    /// As `Finish`, and under `x_groq` too.
    XGroq,
    /// In an event of its own after each choice for those who ask, with `timings`.
    EachChoice,
}

/// Usage before the end of a compatible stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EarlyUsage {
    Never,
    /// So far, in each event, for those who ask by `continuous_usage_stats`.
    Asked,
    /// Zeros in each event of `/v1/completions`, for those who ask for usage.
    Zeros,
}

/// What `max_tokens` may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Range {
    /// From 1 to the most that the model writes.
    Whole,
    /// From 1; what is too much is cut.
    AtLeastOne,
    /// Any: 0 is taken for 1, and what is below for no limit.
    Any,
}

impl Row {
    pub(super) const fn new(kind: Kind, status: u16, body: &'static str) -> Self {
        Self {
            kind,
            status,
            body,
            headers: &[],
        }
    }

    pub(super) const fn with(mut self, headers: &'static [(&'static str, &'static str)]) -> Self {
        self.headers = headers;
        self
    }
}

impl Profile {
    /// The answer to a problem, or to the nearest that the host has an answer for.
    pub(crate) fn row(&self, native: bool, kind: Kind) -> Option<&'static Row> {
        let rows = if native { self.native } else { self.errors };
        let mut kind = Some(kind);
        while let Some(wanted) = kind {
            let exact = rows.iter().find(|row| row.kind == wanted);
            // A host states the end of a window always or never, or has other windows.
            let found = exact.or_else(|| match wanted {
                Kind::Plan { window, .. } => rows
                    .iter()
                    .find(|row| row.kind.window() == Some(window))
                    .or_else(|| rows.iter().find(|row| row.kind.window().is_some())),
                _ => None,
            });
            if found.is_some() {
                return found;
            }
            kind = wanted.instead();
        }
        None
    }
}
