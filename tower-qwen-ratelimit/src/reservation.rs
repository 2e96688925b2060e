//! The quota that one admitted call holds until its true cost is known.

use std::sync::Arc;

use tower_qwen_tokens::{
    Basis, Call, Cause, OnUsage, PacedUntil, Report, Verdict,
    internal::clock::{self, Instant},
    protocol::Levels,
};

#[cfg(feature = "redis")]
use tower_qwen_tokens::Usage;

use crate::account::{Account, Charge, Life, Outcome, Phase};
#[cfg(feature = "redis")]
use crate::budget::BudgetReservation;

/// The quota that is reserved for one attempt.
///
/// Its phases:
///
/// | phase | begins with | a drop in this phase |
/// |---|---|---|
/// | admitted | [`Limiter::acquire`](crate::Limiter::acquire) | returns the request and all tokens |
/// | sent | [`Reservation::mark_sent`] | keeps the estimate charged, since the cost is unknown |
/// | settled | [`settle`](Reservation::settle), [`fail`](Reservation::fail) or [`throttle`](Reservation::throttle) | changes nothing |
///
/// It is settled once; later calls of these methods change nothing. Settling returns the difference
/// to the true cost, or charges it: what was estimated too low becomes a debt that later calls wait
/// for. An account owes two windows of its quota at most, whatever a call cost;
/// [`set_quota`](crate::Limiter::set_quota) forgives its debt.
///
/// If the number of running calls is limited ([`Quota::concurrency`](crate::Quota::concurrency), or
/// after a throttle for too many calls at one time), the call counts as running until this is
/// dropped, settled or not.
///
/// # Examples
///
/// ```
/// use tower_qwen_ratelimit::{Cost, Key, Limiter, OutputLimit, Quota};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), tower_qwen_ratelimit::Rejected> {
/// let limiter = Limiter::new(Quota::per_minute(60, 100_000));
/// let key = Key::new("https://dashscope.aliyuncs.com", "qwen-plus");
///
/// let reservation = limiter.acquire(&key, Cost::new(1_200, OutputLimit::AtMost(500))).await?;
/// assert_eq!((reservation.input_tokens(), reservation.output_tokens()), (1_200, 500));
/// reservation.mark_sent();
/// // The answer's `usage`: 1,180 prompt tokens, 212 answer tokens. 308 tokens are returned.
/// reservation.settle(1_180, 212);
/// assert_eq!(limiter.snapshot()[0].tokens.used, 1_392);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a reservation that is dropped before the send returns its quota"]
pub struct Reservation {
    account: Arc<Account>,
    label: Option<Arc<str>>,
    answers: u32,
    life: Life,
    /// What it holds at the store of a fleet. Boxed: most reservations hold nothing there.
    #[cfg(feature = "redis")]
    lease: Option<Box<BudgetReservation>>,
}

impl Reservation {
    pub(crate) fn new(account: Arc<Account>, charge: Charge, label: Option<Arc<str>>) -> Self {
        Self {
            account,
            label,
            answers: 1,
            life: Life::new(charge),
            #[cfg(feature = "redis")]
            lease: None,
        }
    }

    /// The same call's part of what a fleet shares. From now on both are settled together.
    #[cfg(feature = "redis")]
    pub(crate) fn add_lease(&mut self, lease: BudgetReservation) {
        self.lease = Some(Box::new(lease));
    }

    /// Takes from the call how many answers it asks for (`n`): the length of one answer is learned,
    /// not their sum.
    pub(crate) fn for_call(mut self, call: &Call) -> Self {
        self.answers = call.model_call().map_or(1, |call| call.answers.max(1));
        self
    }

    /// Tokens reserved for the prompt.
    #[must_use]
    pub fn input_tokens(&self) -> u64 {
        self.charge().input
    }

    /// Tokens reserved for the answer: its expected length, or its ceiling; see
    /// [`Reserve`](crate::Reserve).
    #[must_use]
    pub fn output_tokens(&self) -> u64 {
        self.charge().output
    }

    /// Marks the call as sent: from now on a drop keeps the estimate charged. Call it just before
    /// the send.
    pub fn mark_sent(&self) {
        if self.life.begin_send() {
            self.account.send(&self.life, clock::now());
            self.send_lease();
        }
    }

    /// The same for a call that goes out in the poll in which it was admitted: it has its date already, and the clock is not
    /// read again.
    pub(crate) fn mark_sent_as_admitted(&self) {
        self.life.begin_send();
        self.send_lease();
    }

    /// Settles with the true cost, in tokens. The first settlement counts.
    pub fn settle(&self, input_tokens: u64, output_tokens: u64) {
        self.finish(Outcome::Known {
            input: input_tokens,
            output: output_tokens,
        });
    }

    /// Settles a call that the provider throttled: its tokens are returned, its request counts, the
    /// account closes for a while, and its rate is lowered to what the provider has shown to grant.
    /// Returns the instant at which the account opens again: now, if it stays open.
    ///
    /// That the provider lacks capacity ([`Cause::Capacity`]) closes the account only if 4 answers in
    /// a row say so, or 16 of the latest 32: a single call waits alone.
    pub fn throttle(&self, verdict: &Verdict) -> Instant {
        self.throttled(verdict)
            .map_or_else(clock::now, |paced_until| paced_until.until)
    }

    /// As `throttle`, with all that a Retry above needs.
    pub(crate) fn throttled(&self, verdict: &Verdict) -> Option<PacedUntil> {
        let (charge, now) = (self.charge(), clock::now());
        let paced_until = self.account.on_throttle(charge, verdict, now);
        self.account.on_error(charge, verdict, now);
        self.finish(Outcome::Rejected);
        paced_until
    }

    /// Reports that the provider is not available. If that goes on, it closes the account as a
    /// throttle does.
    pub(crate) fn unavailable(&self, verdict: &Verdict) -> Option<PacedUntil> {
        let is_unavailable = verdict.cause() == Cause::Unavailable;
        is_unavailable.then(|| {
            self.account
                .on_throttle(self.charge(), verdict, clock::now())
        })?
    }

    /// Settles a call that failed with an error other than a throttle. For a client error (4xx) all
    /// tokens are returned; for a server error (5xx, or no status) the answer's tokens are returned
    /// and the prompt stays charged.
    ///
    /// Where a window of the plan is used up ([`Verdict::plan_window`]), the account is closed until
    /// that ends: calls that wait, and those that come, are rejected with
    /// [`RejectKind::PlanUsedUp`](crate::RejectKind::PlanUsedUp).
    pub fn fail(&self, verdict: &Verdict) {
        // Before the settlement: that lets the next call go.
        self.account.on_error(self.charge(), verdict, clock::now());
        self.settle_failed(verdict);
    }

    /// The same, but the account goes on as before.
    pub(crate) fn settle_failed(&self, verdict: &Verdict) {
        // A server error does not say how far the provider came, so the prompt is taken as
        // processed.
        let server_side = verdict
            .status()
            .is_none_or(|status| status.is_server_error());
        self.finish(match server_side {
            true => Outcome::PromptOnly,
            false => Outcome::Rejected,
        });
    }

    /// Returns everything, the request too: the call failed, but the provider has provably never
    /// worked on it.
    pub(crate) fn give_back(&self) {
        self.finish(Outcome::NeverSent);
    }

    /// Returns all tokens of a call that was never sent on. Its request counts: what counts requests at a server gives none
    /// back.
    pub(crate) fn give_tokens_back(&self) {
        self.finish(Outcome::Rejected);
    }

    /// Reports that the provider accepted the call.
    pub(crate) fn accepted(&self) {
        self.account.on_accept(&self.life).wake();
    }

    /// Reports what the provider states of its limits (`x-ratelimit-remaining-*`).
    pub(crate) fn limits_stated(&self, levels: &Levels) {
        // Most responses state nothing, and the account's lock is not free.
        if !levels.is_empty() {
            self.account.lower_to(levels, clock::now());
        }
    }

    fn finish(&self, outcome: Outcome) {
        // Asked again under the account's lock; here it saves a second settlement the lock and the clock.
        if self.life.phase() != Phase::Settled {
            self.account.settle(&self.life, outcome, clock::now());
            self.settle_lease(outcome);
        }
    }

    // A lease that is dropped with the reservation comes back, or keeps its estimate, by itself.
    fn send_lease(&self) {
        #[cfg(feature = "redis")]
        if let Some(lease) = &self.lease {
            lease.mark_sent();
        }
    }

    fn settle_lease(&self, _outcome: Outcome) {
        #[cfg(feature = "redis")]
        if let Some(lease) = &self.lease {
            match _outcome {
                Outcome::Known { input, output } => lease.settle(&Usage::new(input, output)),
                Outcome::EstimateStands => lease.keep_estimate(),
                Outcome::Rejected => lease.keep_request(),
                Outcome::PromptOnly => lease.keep_prompt(),
                Outcome::NeverSent => lease.give_back(),
            }
        }
    }

    fn charge(&self) -> Charge {
        self.life.charge()
    }
}

impl OnUsage for Reservation {
    fn on_usage(&self, report: &Report) {
        if self.life.phase() == Phase::Settled {
            return;
        }
        if report.basis == Basis::NotSent {
            return self.give_back();
        }
        if let Some(verdict) = &report.verdict {
            let (charge, now) = (self.charge(), clock::now());
            if verdict.is_throttle() {
                self.account.on_throttle(charge, verdict, now);
            }
            self.account.on_error(charge, verdict, now);
            // An error behind a status of 200, or in the middle of a stream: the prompt was
            // processed.
            if report.usage.is_empty() {
                self.finish(Outcome::PromptOnly);
                return;
            }
        }
        // A stream that was cut before any content says nothing of the answer's cost.
        let is_prompt_alone =
            report.basis == Basis::Estimated && report.usage.output_tokens.is_none();
        if report.basis == Basis::Unknown || report.usage.is_empty() || is_prompt_alone {
            self.finish(Outcome::EstimateStands);
            return;
        }
        let charge = self.charge();
        let input = report.usage.input_tokens.unwrap_or(charge.input);
        // Some hosts report only the total.
        let output = report
            .usage
            .output_tokens
            .or_else(|| Some(report.usage.total()?.saturating_sub(input)))
            .unwrap_or(charge.output);
        self.finish(Outcome::Known { input, output });
        // Only complete answers teach: a cut or failed one is shorter than the next will be.
        if report.basis == Basis::Reported && report.verdict.is_none() && output > 0 {
            self.account
                .learn(self.label.as_ref(), output / u64::from(self.answers));
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let charge = self.charge();
        let outcome = match self.life.phase() {
            Phase::Admitted => Outcome::NeverSent,
            Phase::Sent => Outcome::EstimateStands,
            // Its cost is known; only the running call ends.
            Phase::Settled => return self.account.end(charge),
        };
        self.account.settle_ended(charge, outcome, clock::now());
    }
}
