use std::sync::Arc;

use crate::{Usage, Verdict, estimate::Estimate};

use super::{
    delivered::Delivered,
    json::{EventContext, Found, Json},
};

/// What a [`Scanner`](super::Scanner) found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scanned {
    /// The usage of all answers together; `None` if none was stated, or zeros beside text.
    pub usage: Option<Usage>,
    /// Whether that usage is of the whole answer, rather than of what had been generated when a
    /// stream broke off, or without a part that the call must have had.
    pub is_final: bool,
    /// Whether a stream says that it is whole; `true` for a body that is one JSON document.
    pub is_whole: bool,
    /// The first error inside the body.
    pub verdict: Option<Verdict>,
    /// The model that answered, as the answer names it.
    pub model: Option<Arc<str>>,
    /// The amount of text of the model.
    pub delivered: Delivered,
}

impl Scanned {
    pub(super) fn of_json(mut json: Json, counter: Option<&dyn Estimate>) -> Self {
        let verdict = json.classify(EventContext::default(), false);
        json.end_document();
        // What states its usage at its end is whole once that has come.
        Self::new(json.into_found(), verdict, true, true, counter)
    }

    pub(super) fn new(
        found: Found,
        verdict: Option<Verdict>,
        is_whole: bool,
        is_final: bool,
        counter: Option<&dyn Estimate>,
    ) -> Self {
        // Hosts write zeros for what they do not know.
        let is_usage = |usage: &Usage| match usage.total() {
            // `{}`, or parts of what is not there.
            None => false,
            Some(total) => total != 0 || found.delivered.is_empty(),
        };
        let usage = found.total_usage().filter(is_usage);
        let is_final = is_final && usage.is_some_and(|it| has_parts(&it, &found.delivered));
        let delivered = match (found.text, counter) {
            // Counting costs as much as the text is long, so only if the figure is needed.
            (Some((text, part)), Some(counter)) if !is_final => {
                found.delivered.counted(part, counter.estimate(&text))
            }
            _ => found.delivered,
        };
        Self {
            usage,
            is_final,
            is_whole,
            verdict,
            model: found.model,
            delivered,
        }
    }
}

/// Whether a usage has what its call must have had: a prompt, and an output where there is text. Embeddings have no output.
fn has_parts(usage: &Usage, delivered: &Delivered) -> bool {
    let (input, output) = usage.input_and_output().unwrap_or_default();
    (input > 0 || output == 0) && (output > 0 || delivered.is_empty())
}
