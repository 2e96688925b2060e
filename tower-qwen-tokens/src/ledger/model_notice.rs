use std::fmt;

use crate::{Usage, data::Retirement};

/// Something to know of a model that is called: it has no price, the provider has retired it, or an answer stated usage that
/// cannot be. Handed to the sinks once per model and kind.
///
/// Its text is a sentence for a log: `qwen-turbo is retired on 2026-10-10, its successor is qwen3.7-flash`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelNotice<'a> {
    /// The model, as the call names it.
    pub model: &'a str,
    /// Whether its calls have a price.
    pub is_priced: bool,
    /// When the provider takes it out of service.
    pub retirement: Option<&'a Retirement>,
    /// The usage that was not believed: more than the model's context window, or than the request holds or allows.
    pub impossible: Option<Usage>,
}

impl fmt::Display for ModelNotice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let model = self.model;
        if let Some((input, output)) = self.impossible.and_then(|usage| usage.input_and_output()) {
            return write!(
                f,
                "{model} stated {input} tokens of input and {output} of output, which cannot be: the call is estimated"
            );
        }
        match self.retirement {
            Some(retirement) => write!(f, "{model} is {retirement}"),
            None => write!(
                f,
                "no price is known of {model}: its calls are counted, not priced"
            ),
        }
    }
}
