//! The usage of an attempt, by what came of its answer.

use crate::{
    Basis, End, UnknownReason, Usage,
    scan::{Scanned, UnsupportedBody},
};

/// What was stated, or an estimate by the text that was delivered.
pub(super) fn usage_of(scanned: &Scanned, end: End, input_estimate: Option<u64>) -> (Usage, Basis) {
    let delivered = scanned.delivered.tokens();
    match scanned.usage {
        Some(usage) if scanned.is_final => (usage, Basis::Reported),
        // Cumulative usage of a stream that broke off: the text may be ahead of the figures.
        Some(usage) => {
            let (input, output) = usage.input_and_output().unwrap_or_default();
            let estimate = Usage {
                input_tokens: Some(input).filter(|&stated| stated > 0).or(input_estimate),
                output_tokens: Some(output.max(delivered)),
                total_tokens: None,
                ..usage
            };
            (estimate, Basis::Estimated)
        }
        None if delivered > 0 => {
            let estimate = Usage {
                input_tokens: input_estimate,
                output_tokens: Some(delivered),
                ..Usage::default()
            };
            (estimate, Basis::Estimated)
        }
        None if is_cut(scanned, end) && scanned.verdict.is_none() => prompt_only(input_estimate),
        None => (Usage::default(), Basis::Unknown),
    }
}

/// Whether the body ended before the answer did.
pub(super) fn is_cut(scanned: &Scanned, end: End) -> bool {
    // A server can end a stream anywhere without an error (a reset by `NO_ERROR` over HTTP/2).
    end != End::Complete || !scanned.is_whole
}

/// The least usage of a call that ended before any text of the model came.
pub(super) fn prompt_only(input_estimate: Option<u64>) -> (Usage, Basis) {
    let usage = Usage {
        input_tokens: input_estimate,
        ..Usage::default()
    };
    let basis = input_estimate.map_or(Basis::Unknown, |_| Basis::Estimated);
    (usage, basis)
}

impl From<UnsupportedBody> for UnknownReason {
    fn from(reason: UnsupportedBody) -> Self {
        match reason {
            UnsupportedBody::Encoded => Self::Encoded,
            UnsupportedBody::ContentType => Self::ContentType,
        }
    }
}
