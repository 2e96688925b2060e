use std::{fmt, sync::Arc};

use crate::{call::ModelCall, data::Window};

/// A call that does not fit into its model's window: the error of a rejected call, and a part of
/// the note on others.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub struct ContextWindowExceeded {
    /// The model, as the request names it.
    pub model: Arc<str>,
    /// Its window.
    pub window: Window,
    /// Estimated tokens of the prompt.
    pub input_tokens: u64,
    /// The most tokens that the request allows one answer; `None` where it sets no ceiling.
    pub ceiling: Option<u64>,
}

/// The call was sent although it does not seem to fit. Found in the answer's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextWindowWarning(pub(super) ContextWindowExceeded);

/// The call was sent with a lower ceiling than the caller set. Found in the answer's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContextWindowClamped {
    /// What did not fit.
    pub exceeded: ContextWindowExceeded,
    /// The most tokens that one answer may have now.
    pub ceiling: u64,
}

impl ContextWindowExceeded {
    /// What is too much of a call; `None` where it fits.
    pub(super) fn of(call: &ModelCall, window: Window) -> Option<Self> {
        let room = window.room(call.input_tokens);
        let fits = match (room, call.output_ceiling) {
            (None, _) => false,
            (Some(room), Some(ceiling)) => ceiling <= room,
            // Without a ceiling the provider ends the answer where the window ends: only a full one
            // fails.
            (Some(room), None) => room > 0,
        };
        (!fits).then(|| Self {
            model: Arc::clone(&call.model),
            window,
            input_tokens: call.input_tokens,
            ceiling: call.output_ceiling,
        })
    }

    /// The most that one answer may have after this prompt; `None` where the prompt itself is too long.
    #[must_use]
    pub fn room(&self) -> Option<u64> {
        self.window.room(self.input_tokens)
    }
}

impl ContextWindowWarning {
    /// What does not seem to fit.
    #[must_use]
    pub fn exceeded(&self) -> &ContextWindowExceeded {
        &self.0
    }
}

impl fmt::Display for ContextWindowExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, window, .. } = self;
        write!(f, "{model:?} takes {} tokens", window.context)?;
        if let Some(most) = window.max_input {
            write!(f, ", {most} of them as prompt")?;
        }
        if let Some(most) = window.max_output {
            write!(f, ", {most} as answer")?;
        }
        write!(f, "; the prompt has about {}", self.input_tokens)?;
        match self.ceiling {
            Some(ceiling) => write!(f, " and the answer may have {ceiling}"),
            None => Ok(()),
        }
    }
}
