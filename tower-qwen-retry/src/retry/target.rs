use std::{sync::Arc, time::Duration};

use http::Request;
use tower_qwen_tokens::{
    Call,
    call::MaxWait,
    internal::clock::{Instant, now},
};

use super::{
    replay::Replay,
    router::{Chosen, MemberSet},
};
use crate::{
    RetryPolicy,
    idempotency::is_retry,
    leave::Leave,
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
    /// 0: the caller's own; else the number of the fallback.
    pub(super) number: usize,
    /// Whether the next attempt goes to another target than the one before.
    pub(super) has_changed: bool,
    /// The members of the pool that the call does not go to again.
    pub(super) left: MemberSet,
    /// Set where the call is the probe of the target: why that rests.
    pub(super) probe: Option<Leave>,
    /// The latest end of a wait at this target, where another one may take the call.
    pub(super) wait_ends: Option<Instant>,
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

    pub(super) fn is_member(&self, policy: &RetryPolicy) -> bool {
        let members = policy.members.as_ref();
        members.is_some_and(|members| self.number < members.count)
    }

    /// The call goes there from now on.
    pub(super) fn go_to(&mut self, chosen: Chosen, policy: &RetryPolicy) {
        self.has_changed = self.number != chosen.number;
        self.number = chosen.number;
        self.redirected = chosen.redirected;
        self.probe = chosen.probe;
        self.begin_waits(policy);
    }

    /// The call has just come to its target: the waits there begin to count.
    pub(super) fn begin_waits(&mut self, policy: &RetryPolicy) {
        let further = policy.fallbacks.iter();
        let further = further.skip(self.number.max(policy.first_fallback()));
        let longest = further.filter_map(|fallback| fallback.after_wait).next();
        self.wait_ends = longest.and_then(|longest| now().checked_add(longest));
    }

    /// Asks an Admission inside to let no wait last longer than another target would have it.
    pub(super) fn limit_wait<B>(&self, request: &mut Request<B>) {
        let Some(ends) = self.wait_ends else { return };
        let left = ends.saturating_duration_since(now());
        let own = request.extensions().get().map(|&MaxWait(wait)| wait);
        let wait = own.map_or(left, |own: Duration| own.min(left));
        request.extensions_mut().insert(MaxWait(wait));
    }
}
