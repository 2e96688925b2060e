//! What one admitted call holds until its true cost is known.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU8, Ordering},
};

use tower_qwen_tokens::{
    Basis, Call, Report, Settle, Verdict,
    clock::{self, Instant},
};

use crate::account::{Account, Charge, Outcome};

const ADMITTED: u8 = 0;
const SENT: u8 = 1;
const SETTLED: u8 = 2;

/// Quota set aside for one attempt.
///
/// Its life: admitted (dropped now, everything comes back), sent ([`Reservation::mark_sent`]; dropped now, the estimate
/// stands), settled exactly once (the difference to the true cost comes back or is charged; what was too little becomes
/// debt). Whatever comes after that changes nothing.
#[derive(Debug)]
#[must_use = "a reservation dropped before the call is sent gives everything back"]
pub struct Reservation {
    account: Arc<Account>,
    charge: Mutex<Charge>,
    phase: AtomicU8,
    choices: u32,
}

impl Reservation {
    pub(crate) fn new(account: Arc<Account>, charge: Charge) -> Self {
        Self {
            account,
            charge: Mutex::new(charge),
            phase: AtomicU8::new(ADMITTED),
            choices: 1,
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
        if self.advance(ADMITTED, SENT) {
            let mut charge = self.charge.lock().unwrap_or_else(PoisonError::into_inner);
            self.account.send(&mut charge, clock::now());
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
        self.finish(Outcome::Refused);
        self.account.throttled(self.charge(), verdict, clock::now())
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
            Outcome::Refused
        });
    }

    /// The provider took the call.
    pub(crate) fn accepted(&self) {
        self.account.accepted(self.charge());
    }

    fn finish(&self, outcome: Outcome) {
        if self.phase.swap(SETTLED, Ordering::AcqRel) != SETTLED {
            self.account.settle(self.charge(), outcome, clock::now());
        }
    }

    fn advance(&self, from: u8, to: u8) -> bool {
        self.phase
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    fn charge(&self) -> Charge {
        *self.charge.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Settle for Reservation {
    fn settle(&self, report: &Report) {
        if self.phase.load(Ordering::Acquire) == SETTLED {
            return;
        }
        if let Some(verdict) = &report.verdict {
            if verdict.is_throttle() {
                self.account.throttled(self.charge(), verdict, clock::now());
            }
            if report.usage.is_empty() {
                self.finish(Outcome::PromptOnly);
                return;
            }
        }
        if report.basis == Basis::Unknown || report.usage.is_empty() {
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
            self.account.learn(output / u64::from(self.choices));
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.finish(match self.phase.load(Ordering::Acquire) {
            ADMITTED => Outcome::NeverSent,
            _ => Outcome::EstimateStands,
        });
    }
}
