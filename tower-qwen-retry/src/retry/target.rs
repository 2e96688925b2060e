use std::sync::Arc;

use tower_qwen_tokens::{Call, internal::clock::Instant};

use super::replay::Replay;
use crate::{
    Fallback, RetryPolicy,
    idempotency::is_retry,
    state::{deadline_of, model_of},
};

/// Where the next attempt of a call goes: where its caller sent it, or to a fallback.
#[derive(Default)]
pub(super) struct Target {
    pub(super) call: Option<Arc<Call>>,
    /// The caller's request; `None` until it was read, and if it may not be sent again.
    pub(super) original: Option<Replay>,
    /// The same for the current fallback.
    // Boxed because few calls ever have it, while every future would be larger by it.
    redirected: Option<Box<Replay>>,
    /// How many fallbacks were used or skipped.
    fallbacks_tried: usize,
}

impl Target {
    /// The request of the next attempt.
    pub(super) fn replay(&self) -> Option<&Replay> {
        self.redirected.as_deref().or(self.original.as_ref())
    }

    pub(super) fn model(&self) -> &str {
        match &self.redirected {
            Some(redirected) => model_of(redirected.call()),
            None => model_of(self.call.as_ref()),
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        deadline_of(&self.original.as_ref()?.parts.extensions)
    }

    /// Whether the call may be sent again. Not if it is the retry of a retrier further out: the
    /// attempts of nested retriers would multiply.
    pub(super) fn is_repeatable(&self, policy: &RetryPolicy) -> bool {
        let is_nested = |headers| is_retry(headers, policy.marker.as_ref());
        let original = self.original.as_ref();
        original.is_some_and(|original| !is_nested(&original.parts.headers))
    }

    /// The next fallback that accepts the call, its number from 1 on, and the call rewritten for
    /// it.
    pub(super) fn next_fallback<'a>(
        &mut self,
        policy: &'a RetryPolicy,
        accepts: impl Fn(&Fallback) -> bool,
    ) -> Option<(&'a Fallback, usize, Replay)> {
        let original = self.original.as_ref()?;
        for fallback in policy.fallbacks.iter().skip(self.fallbacks_tried) {
            self.fallbacks_tried += 1;
            if !accepts(fallback) {
                continue;
            }
            // A call that cannot be rewritten (signed, encoded, not read) may still suit a later
            // target.
            if let Some(redirected) = original.to(fallback) {
                return Some((fallback, self.fallbacks_tried, redirected));
            }
        }
        None
    }

    pub(super) fn redirect(&mut self, redirected: Replay) {
        self.redirected = Some(Box::new(redirected));
    }
}
