//! What one admitted call holds until its true cost is known.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tower_qwen_tokens::{
    Basis, Call, Cause, OnUsage, PacedUntil, Report, Verdict,
    internal::clock::{self, Instant},
    protocol::Levels,
};

use crate::account::{Account, Charge, Outcome};

/// Quota set aside for one attempt.
///
/// Its life: admitted (dropped now, everything comes back), sent ([`Reservation::mark_sent`]; dropped now, the estimate
/// stands), settled exactly once (the difference to the true cost comes back or is charged; what was too little becomes
/// debt). Whatever comes after that changes nothing.
///
/// Where the number of calls that run is limited ([`Quota::concurrency`](crate::Quota::concurrency), or the provider has
/// refused one for running beside too many), the call counts as running until this is dropped, settled or not.
#[derive(Debug)]
#[must_use = "a reservation dropped before the call is sent gives everything back"]
pub struct Reservation {
    account: Arc<Account>,
    label: Option<Arc<str>>,
    choices: u32,
    life: Mutex<Life>,
}

#[derive(Debug, Clone, Copy)]
struct Life {
    charge: Charge,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Admitted,
    Sent,
    Settled,
}

impl Reservation {
    pub(crate) fn new(account: Arc<Account>, charge: Charge, label: Option<Arc<str>>) -> Self {
        Self {
            account,
            label,
            choices: 1,
            life: Mutex::new(Life {
                charge,
                phase: Phase::Admitted,
            }),
        }
    }

    /// How many answers the call asks for; what is learned is the cost of one.
    pub(crate) fn for_call(mut self, call: &Call) -> Self {
        self.choices = call.model_call().map_or(1, |call| call.choices.max(1));
        self
    }

    /// Tokens set aside for the prompt.
    #[must_use]
    pub fn input_tokens(&self) -> u64 {
        self.charge().input
    }

    /// Tokens set aside for the answer.
    #[must_use]
    pub fn output_tokens(&self) -> u64 {
        self.charge().output
    }

    /// The call goes out now. From here on a drop lets the estimate stand. Call it just before the send.
    pub fn mark_sent(&self) {
        let mut life = self.lock();
        if life.phase == Phase::Admitted {
            life.phase = Phase::Sent;
            self.account.send(&mut life.charge, clock::now());
        }
    }

    /// Settles with the true cost, in tokens.
    pub fn settle(&self, input_tokens: u64, output_tokens: u64) {
        self.finish(Outcome::Known {
            input: input_tokens,
            output: output_tokens,
        });
    }

    /// The provider throttled the call: its tokens come back, the request counts, and the account closes for a while.
    /// Says until when.
    pub fn throttle(&self, verdict: &Verdict) -> Instant {
        self.throttled(verdict).until
    }

    /// The same, and what Retry is to know of it.
    pub(crate) fn throttled(&self, verdict: &Verdict) -> PacedUntil {
        let paced = self
            .account
            .on_throttle(self.charge(), verdict, clock::now());
        self.finish(Outcome::Rejected);
        paced
    }

    /// The provider is not available: where that goes on, it closes the account as a throttle does.
    pub(crate) fn unavailable(&self, verdict: &Verdict) -> Option<PacedUntil> {
        let is_away = verdict.cause() == Cause::Unavailable;
        is_away.then(|| {
            self.account
                .on_unavailable(self.charge(), verdict, clock::now())
        })?
    }

    /// The provider answered with an error that is no throttle: the tokens of a call it refused come back; of one that
    /// failed on its side the prompt counts.
    pub fn fail(&self, verdict: &Verdict) {
        let server_side = verdict
            .status()
            .is_none_or(|status| status.is_server_error());
        self.finish(if server_side {
            Outcome::PromptOnly
        } else {
            Outcome::Rejected
        });
    }

    /// The provider took the call.
    pub(crate) fn accepted(&self) {
        self.account.on_accept(self.charge());
    }

    /// The provider says what is left of its limits.
    pub(crate) fn told(&self, levels: &Levels) {
        if !levels.is_empty() {
            self.account.lower_to(levels, clock::now());
        }
    }

    fn finish(&self, outcome: Outcome) {
        let mut life = self.lock();
        if life.phase == Phase::Settled {
            return;
        }
        life.phase = Phase::Settled;
        let charge = life.charge;
        // Observers are told, who may look at this.
        drop(life);
        self.account.settle(charge, outcome, clock::now());
    }

    fn charge(&self) -> Charge {
        self.lock().charge
    }

    fn lock(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OnUsage for Reservation {
    fn on_usage(&self, report: &Report) {
        if self.lock().phase == Phase::Settled {
            return;
        }
        if let Some(verdict) = &report.verdict {
            if verdict.is_throttle() {
                self.account
                    .on_throttle(self.charge(), verdict, clock::now());
            }
            if report.usage.is_empty() {
                self.finish(Outcome::PromptOnly);
                return;
            }
        }
        let is_prompt_alone =
            report.basis == Basis::Estimated && report.usage.output_tokens.is_none();
        if report.basis == Basis::Unknown || report.usage.is_empty() || is_prompt_alone {
            self.finish(Outcome::EstimateStands);
            return;
        }
        let charge = self.charge();
        let input = report.usage.input_tokens.unwrap_or(charge.input);
        let output = report
            .usage
            .output_tokens
            .or_else(|| Some(report.usage.total()?.saturating_sub(input)))
            .unwrap_or(charge.output);
        self.finish(Outcome::Known { input, output });
        if report.basis == Basis::Reported && report.verdict.is_none() && output > 0 {
            self.account
                .learn(self.label.as_ref(), output / u64::from(self.choices));
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let life = self.life.get_mut();
        let Life { charge, phase } = *life.unwrap_or_else(PoisonError::into_inner);
        let outcome = match phase {
            Phase::Admitted => Outcome::NeverSent,
            Phase::Sent => Outcome::EstimateStands,
            Phase::Settled => return self.account.end(charge),
        };
        self.account.settle_ended(charge, outcome, clock::now());
    }
}
