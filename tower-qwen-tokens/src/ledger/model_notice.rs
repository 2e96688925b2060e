use std::fmt;

use crate::data::Retirement;

/// Something to know of a model that is called: it has no price, or the provider has retired it. Handed to the sinks once
/// per model.
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
}

impl fmt::Display for ModelNotice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let model = self.model;
        match self.retirement {
            Some(retirement) => write!(f, "{model} is {retirement}"),
            None => write!(
                f,
                "no price is known of {model}: its calls are counted, not priced"
            ),
        }
    }
}
