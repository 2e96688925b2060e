//! The usage of an attempt, by what came of its answer.

use crate::{
    Basis, End, UnknownReason, Usage,
    scan::{Scanned, UnsupportedBody},
};

/// Bytes of an answer that cannot be read, for each token of it.
const PLAIN: u64 = 4;
// Compression makes text three or four times shorter.
const ENCODED: u64 = 1;
// Each event repeats its frame around a few letters.
const EVENTS: u64 = 64;
/// The most that one answer has of a model whose window is not listed. Unit: tokens.
const UNKNOWN_OUTPUT: u64 = 32_768;

/// The body of a success that says nothing of its usage.
#[derive(Debug, Clone, Copy)]
pub(super) struct SilentBody {
    pub(super) bytes: u64,
    pub(super) is_encoded: bool,
    pub(super) is_events: bool,
}

impl SilentBody {
    /// An estimate by the request and the length of the answer: the call was answered, so it is not free, and what was
    /// reserved for it is settled by the figure that is booked. `ceilings` are those that are known.
    // A request that nobody has read has no figures to begin with.
    pub(super) fn usage(
        self,
        input_estimate: Option<u64>,
        answers: u32,
        ceilings: [Option<u64>; 2],
    ) -> (Usage, Basis) {
        let Some(input) = input_estimate else {
            return (Usage::default(), Basis::Unknown);
        };
        let bytes_per_token = match self {
            Self {
                is_encoded: true, ..
            } => ENCODED,
            Self {
                is_events: true, ..
            } => EVENTS,
            _ => PLAIN,
        };
        let of_one = ceilings.into_iter().flatten().min();
        let most = of_one
            .unwrap_or(UNKNOWN_OUTPUT)
            .saturating_mul(answers.into());
        let output = self.bytes.div_ceil(bytes_per_token).min(most);
        (Usage::new(input, output), Basis::Estimated)
    }
}

/// What was stated, or an estimate by the text that was delivered.
pub(super) fn usage_of(scanned: &Scanned, end: End, input_estimate: Option<u64>) -> (Usage, Basis) {
    let delivered = scanned.delivered.tokens();
    match scanned.usage {
        Some(usage) if scanned.is_final => (usage, Basis::Reported),
        // A part is missing, or it is cumulative usage of a stream that broke off: the text may be ahead of the figures.
        Some(usage) => {
            let (input, output) = usage.input_and_output().unwrap_or_default();
            let output = output.max(delivered);
            // A total alone holds the answer too.
            let is_total = usage.input_tokens.is_none() && usage.output_tokens.is_none();
            let input = input.saturating_sub(if is_total { output } else { 0 });
            let estimate = Usage {
                input_tokens: Some(input).filter(|&stated| stated > 0).or(input_estimate),
                output_tokens: Some(output),
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
