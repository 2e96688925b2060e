use std::sync::Arc;

use bytes::Bytes;
use http::{Extensions, Request};
use http_body::Body;

use crate::{
    Call,
    call::{ReadOptions, may_rewrite, rewrite},
    data::WindowBook,
};

use super::{ContextWindowClamped, ContextWindowExceeded, ContextWindowWarning, ceiling::lowered};

/// What happens to a call that does not fit into its model's window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnExceed {
    /// It fails with [`ContextWindowExceeded`].
    #[default]
    Reject,
    /// Its ceiling (`max_tokens` and the like) is lowered to what is left. Where nothing is left, or the body may not be
    /// changed, the call is rejected.
    Clamp,
    /// It is sent as it is, and the answer carries a warning.
    Warn,
}

/// What the services of a layer share.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    pub(super) windows: WindowBook,
    pub(super) on_exceed: OnExceed,
    pub(super) read_options: ReadOptions,
}

/// What is put into the answer's extensions.
pub(super) enum Note {
    Warning(ContextWindowWarning),
    Clamped(ContextWindowClamped),
}

impl Settings {
    /// Lets a request pass, changed where it has to be; `Err` where it is rejected.
    pub(super) fn admit<B: Body + From<Bytes>>(
        &self,
        request: &mut Request<B>,
    ) -> Result<Option<Note>, ContextWindowExceeded> {
        let Some(exceeded) = Call::of(request).and_then(|call| self.exceeded(call)) else {
            return Ok(None);
        };
        let outcome = match self.on_exceed {
            OnExceed::Reject => None,
            OnExceed::Warn => Some(Note::Warning(ContextWindowWarning(exceeded.clone()))),
            OnExceed::Clamp => clamp(request, &exceeded).map(|ceiling| {
                Note::Clamped(ContextWindowClamped {
                    exceeded: exceeded.clone(),
                    ceiling,
                })
            }),
        };
        #[cfg(feature = "tracing")]
        emit_warning(&exceeded, outcome.as_ref());
        outcome.map(Some).ok_or(exceeded)
    }

    fn exceeded(&self, call: &Call) -> Option<ContextWindowExceeded> {
        let call = call.model_call()?;
        // An unknown model passes: a guard must not reject what it knows nothing about.
        let window = self.windows.window(&call.model)?;
        ContextWindowExceeded::of(call, *window)
    }
}

impl Note {
    pub(super) fn put(self, extensions: &mut Extensions) {
        match self {
            Self::Warning(warning) => drop(extensions.insert(warning)),
            Self::Clamped(clamped) => drop(extensions.insert(clamped)),
        }
    }
}

/// Lowers the request's ceiling to what is left of the window, and gives it; `None` where that cannot be.
fn clamp<B: Body + From<Bytes>>(
    request: &mut Request<B>,
    exceeded: &ContextWindowExceeded,
) -> Option<u64> {
    let room = exceeded.room()?;
    let call = Call::of(request)?;
    let original = call.body()?;
    // Before the body is searched: this is the cheaper test.
    if !may_rewrite(request, original) {
        return None;
    }
    let dialect = call.model_call()?.dialect;
    let body = lowered(original, dialect, exceeded.ceiling?, room)?;
    let call = Arc::new(call.rewritten(body.clone(), room));
    request.extensions_mut().insert(call);
    rewrite(request, body);
    Some(room)
}

#[cfg(feature = "tracing")]
fn emit_warning(exceeded: &ContextWindowExceeded, outcome: Option<&Note>) {
    let action = match outcome {
        None => "rejected",
        Some(Note::Warning(_)) => "warned",
        Some(Note::Clamped(_)) => "clamped",
    };
    tracing::warn!(
        target: "tower_qwen_tokens::context_window",
        model = &*exceeded.model,
        context = exceeded.window.context,
        input_tokens = exceeded.input_tokens,
        ceiling = exceeded.ceiling,
        action,
        "context window exceeded"
    );
}
