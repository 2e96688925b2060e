//! What follows an attempt: another one here, one elsewhere, or none.

use std::{mem, sync::Arc, time::Duration};

use tower_qwen_tokens::{
    Cause,
    internal::clock::{Instant, now},
};

use super::{
    driver::{Driver, NextStep},
    router::{Chosen, MemberSet, Resting, Router},
    settings::Settings,
};
use crate::{
    GiveUp, RetryEvent,
    cool_down::{AFTER_RETRIES, CoolDown},
    leave::{Leave, is_of_target},
    observe::emit,
    schedule::Failure,
    state::{Outcome, Permanent},
};

impl<S> Driver<S> {
    pub(super) fn next_step(&mut self, outcome: Outcome) -> NextStep {
        let policy = &self.settings.policy;
        match outcome {
            Outcome::Final => NextStep::Return,
            // First: what cannot be sent again must neither charge the retry budget nor count as
            // given up.
            _ if !self.target.is_repeatable(policy) => NextStep::Return,
            Outcome::Permanent(permanent) => self.after_permanent(permanent),
            Outcome::Transient(failure) => self.after_transient(failure),
            Outcome::NotSent { cause, retry } => self.after_rejection(cause, retry),
        }
    }

    fn after_permanent(&mut self, permanent: Permanent) -> NextStep {
        let Permanent {
            cause,
            hint,
            is_plan,
        } = permanent;
        let leave = Leave::Permanent(cause);
        let policy = &self.settings.policy;
        let matters =
            || self.target.is_member(policy) || policy.fallbacks.iter().any(|it| it.takes(leave));
        if is_of_target(cause) && matters() {
            let now = now();
            if is_plan {
                let cool_down = CoolDown::of_plan(leave, now, hint);
                self.cool_down(self.target.number, leave, cool_down, now);
            } else {
                let cool_down = CoolDown::probed(leave, now, policy.cool_down, hint);
                self.rejected(leave, cool_down, now);
            }
        }
        match self.send_elsewhere(leave) {
            NextStep::Return if self.has_gone_in_spite => self.wait_for_failed(),
            step => step,
        }
    }

    /// The call was no better than those before it: it waits for a target that has failed, as it would have without this
    /// attempt.
    fn wait_for_failed(&mut self) -> NextStep {
        let settings = Arc::clone(&self.settings);
        let (now, original) = (now(), self.target.original.as_ref());
        let first = original.map(|original| Router::new(&settings, original, now).first());
        let failed = match first {
            Some(Err(resting)) => resting.failed,
            _ => None,
        };
        match failed.map(|failed| self.rest_until(failed.until, now)) {
            Some(Ok(wait)) => {
                self.is_routed = false;
                NextStep::Wait(wait)
            }
            _ => NextStep::Return,
        }
    }

    /// A layer inside rejected the call before it was sent.
    // No cool-down: the layer that rejects remembers, and a call that asks again waits for nothing.
    fn after_rejection(&mut self, cause: Option<Cause>, retry: Option<Failure>) -> NextStep {
        let step = self.send_elsewhere(Leave::NotSent(cause));
        if step == NextStep::Send {
            return step;
        }
        if cause.is_none() && self.target.wait_ends.take().is_some() {
            // No other target takes it, so it waits here as long as it takes.
            self.state.forget_attempt();
            return NextStep::Send;
        }
        match retry {
            Some(failure) => self.after_transient(failure),
            None => NextStep::Return,
        }
    }

    fn after_transient(&mut self, failure: Failure) -> NextStep {
        let (cause, from, now) = (failure.cause, self.target.number, now());
        if let Some(leave) = self.target.probe.take() {
            // A probe is one attempt: who rests is not tried again and again.
            if let Some(hint) = failure.hint {
                let cool_down = CoolDown::until(leave, now, hint);
                self.cool_down(from, leave, cool_down, now);
            }
            if self.leave(leave) {
                return NextStep::Send;
            }
            self.target.probe = Some(leave);
        }
        let policy = &self.settings.policy;
        let (model, deadline) = (self.target.model(), self.target.deadline());
        match self.state.next_wait(policy, model, deadline, failure) {
            Ok(wait) if self.target.is_member(policy) => self.wait_or_move(failure, wait, now),
            Ok(wait) => self.wait_here(failure, wait, now),
            // A wait of more than the longest allowed is as good as permanent: any fallback may help.
            Err(GiveUp::RetryAfter) => {
                let leave = Leave::LongHint(cause);
                if let Some(hint) = failure.hint {
                    self.cool_down(from, leave, CoolDown::until(leave, now, hint), now);
                }
                self.send_elsewhere(leave)
            }
            Err(why) => {
                let leave = Leave::Retries(cause);
                // The wait would be too long here; the attempts are not used up.
                let may_move = matches!(why, GiveUp::Deadline | GiveUp::Patience)
                    && self.target.is_member(policy);
                if !(may_move && self.leave(Leave::LongWait(cause)) || self.leave(leave)) {
                    return NextStep::Return;
                }
                // Only if the call goes elsewhere: it may fail for what it is, so the last target
                // stays open.
                let cool_down = match why {
                    GiveUp::Deadline => failure.hint.map(|hint| CoolDown::until(leave, now, hint)),
                    _ => Some(CoolDown::probed(leave, now, AFTER_RETRIES, failure.hint)),
                };
                if let Some(cool_down) = cool_down {
                    self.cool_down(from, leave, cool_down, now);
                }
                NextStep::Send
            }
        }
    }

    /// Waits at this target, unless that takes longer than the next one would have it.
    fn wait_here(&mut self, failure: Failure, wait: Duration, now: Instant) -> NextStep {
        let (leave, from) = (Leave::LongWait(failure.cause), self.target.number);
        let wait_until = now.checked_add(wait);
        let held_until = failure.held_by_admission.map(|held| held.until);
        let is_after = |ends| wait_until.max(held_until).is_none_or(|until| until > ends);
        if self.target.wait_ends.is_some_and(is_after) {
            // Before the history of this target is forgotten: the retry is not made here.
            let charged = self.state.charged();
            if self.leave(leave) {
                self.settings.policy.budget.refund(charged);
                // An Admission inside remembers by itself.
                if held_until.is_none() {
                    self.cool_down(from, leave, CoolDown::until(leave, now, wait), now);
                }
                return NextStep::Send;
            }
        }
        let (policy, model) = (&self.settings.policy, self.target.model());
        self.state.emit_retry(policy, model, failure, wait);
        self.begin_wait(wait);
        NextStep::Wait(wait)
    }

    /// Goes to the member where the call waits for less time than here, or waits.
    fn wait_or_move(&mut self, failure: Failure, wait: Duration, now: Instant) -> NextStep {
        let settings = Arc::clone(&self.settings);
        let (policy, from, cause) = (&settings.policy, self.target.number, failure.cause);
        let Some(original) = &self.target.original else {
            return NextStep::Return;
        };
        let router = Router::new(&settings, original, now);
        let here = match failure.held_by_admission {
            None => wait,
            // The account there is closed, and predicts when it will let the call go.
            Some(held) => {
                let closed = held.until.saturating_duration_since(now);
                wait.max(closed).max(router.predicted(from))
            }
        };
        // Each member once, then a wait: members that all fail must not be called in a loop.
        self.target.left = self.target.left.with(from);
        let best = router.best_member(self.target.left, Some(here));
        let is_predicted = policy
            .members
            .as_ref()
            .is_some_and(|it| it.predictor.is_some());
        // An Admission inside remembers by itself, where it is asked.
        if failure.held_by_admission.is_none() || !is_predicted {
            let leave = Leave::LongWait(cause);
            if cause.is_throttle() || cause == Cause::Unavailable {
                self.cool_down(from, leave, CoolDown::until(leave, now, here), now);
            } else if settings.pool.fails(from) && best.is_ok() {
                let cool_down = CoolDown::probed(leave, now, AFTER_RETRIES, failure.hint);
                self.cool_down(from, leave, cool_down, now);
            }
        }
        match best {
            Ok(chosen) => {
                self.move_to(chosen, Some(cause), true);
                NextStep::Send
            }
            Err(resting) => {
                self.target.left = MemberSet::default();
                let first = resting.first();
                let sooner = first.map(|closed| closed.until.saturating_duration_since(now));
                let wait = match sooner.filter(|sooner| *sooner < here) {
                    // Another member is open before this one.
                    Some(sooner) => {
                        self.is_routed = false;
                        sooner
                    }
                    None => wait,
                };
                self.state
                    .emit_retry(policy, self.target.model(), failure, wait);
                self.begin_wait(wait);
                NextStep::Wait(wait)
            }
        }
    }

    fn send_elsewhere(&mut self, leave: Leave) -> NextStep {
        if self.leave(leave) {
            NextStep::Send
        } else {
            NextStep::Return
        }
    }

    /// Goes on to another target that takes the call. Returns whether there is one.
    fn leave(&mut self, leave: Leave) -> bool {
        let settings = Arc::clone(&self.settings);
        let policy = &settings.policy;
        if policy.fallbacks.is_empty() {
            return false;
        }
        let (target, now) = (&mut self.target, now());
        let Some(original) = &target.original else {
            return false;
        };
        let router = Router::new(&settings, original, now);
        let mut found = Err(Resting::default());
        if target.is_member(policy) && leave.is_of_target() {
            target.left = target.left.with(target.number);
            found = router.best_member(target.left, None);
        }
        let from = target.number.max(policy.first_fallback());
        let found = found.or_else(|resting| {
            let others = router.in_order(from, leave);
            others.map_err(|others| resting.and(others))
        });
        let found = found.or_else(|resting| {
            let in_spite = match leave.ends_the_call() && !self.has_gone_in_spite {
                true => router.in_spite_of_rejections(&resting),
                false => None,
            };
            self.has_gone_in_spite |= in_spite.is_some();
            in_spite.ok_or(())
        });
        let Ok(chosen) = found else {
            return false;
        };
        let count = policy.members.as_ref().map_or(0, |members| members.count);
        let is_within_pool = chosen.number < count;
        if matches!(leave, Leave::NotSent(_)) {
            self.state.forget_attempt();
        }
        self.move_to(chosen, leave.cause(), is_within_pool);
        true
    }

    fn move_to(&mut self, chosen: Chosen, cause: Option<Cause>, is_within_pool: bool) {
        // Before the redirection: the event names the model that has failed.
        self.emit_fallback(chosen.number, cause);
        let policy = &self.settings.policy;
        // All members share the attempts of a call.
        if !is_within_pool {
            self.state.fell_back();
        }
        self.target.go_to(chosen, policy);
    }

    pub(super) fn emit_fallback(&self, to: usize, cause: Option<Cause>) {
        let event = RetryEvent::Fallback {
            model: self.target.model(),
            cause,
            to: name_of(&self.settings, to),
        };
        emit(&self.settings.policy.observers, &event);
    }

    /// The target has rejected the call. Calls keep away from it once that happens twice in a row.
    fn rejected(&self, leave: Leave, cool_down: CoolDown, now: Instant) {
        let number = self.target.number;
        if let Some(id) = self.remembered_id(number, now)
            && self.settings.cool_downs.rejected(id, cool_down, now)
        {
            self.emit_cool_down(number, leave, cool_down.length(now));
        }
    }

    /// Calls keep away from a target from now on.
    fn cool_down(&self, number: usize, leave: Leave, cool_down: CoolDown, now: Instant) {
        if let Some(id) = self.remembered_id(number, now) {
            self.settings.cool_downs.failed(id, cool_down, now);
            self.emit_cool_down(number, leave, cool_down.length(now));
        }
    }

    /// What stands for a target, where anything is remembered of targets.
    fn remembered_id(&self, number: usize, now: Instant) -> Option<u64> {
        let policy = &self.settings.policy;
        let original = self.target.original.as_ref()?;
        if policy.cool_down.is_zero() || policy.fallbacks.is_empty() {
            return None;
        }
        Some(Router::new(&self.settings, original, now).id(number))
    }

    fn emit_cool_down(&self, number: usize, leave: Leave, wait: Duration) {
        if let Some(cause) = leave.cause() {
            let event = RetryEvent::CoolDown {
                model: self.target.model(),
                target: name_of(&self.settings, number),
                cause,
                wait,
            };
            emit(&self.settings.policy.observers, &event);
        }
    }

    /// An attempt was a success, so its target is well.
    pub(super) fn target_succeeded(&mut self) {
        let settings = &self.settings;
        let is_probe = mem::take(&mut self.target.probe).is_some();
        if (is_probe || settings.cool_downs.has_rejecting())
            && let Some(original) = &self.target.original
        {
            let id = Router::new(settings, original, now()).id(self.target.number);
            settings.cool_downs.succeeded(id, is_probe);
        }
        settings.pool.succeeds(self.target.number);
    }
}

/// The name of a target; empty for the caller's own.
fn name_of(settings: &Settings, number: usize) -> &str {
    let fallback = settings.policy.target(number);
    fallback.map_or("", |fallback| &fallback.name)
}
