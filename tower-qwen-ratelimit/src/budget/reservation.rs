use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use tower_qwen_tokens::{Basis, Call, Money, OnUsage, Report, Usage, Verdict};

use super::{
    Amount, accounts::Taken, call::BudgetedCall, need::Need, prices::Prices, shared::SharedBudgets,
};
use crate::send_watch::SendWatch;

/// The money, the tokens and the request that one attempt holds in every budget above its tenant.
///
/// | phase | begins with | a drop in this phase |
/// |---|---|---|
/// | reserved | [`Budgets::reserve`](super::Budgets::reserve) | gives everything back |
/// | sent | [`BudgetReservation::mark_sent`] | keeps the estimate as spent, since the cost is unknown |
/// | settled | [`settle`](BudgetReservation::settle), [`fail`](BudgetReservation::fail), a Meter's report | changes nothing |
///
/// It is settled once; later calls of these methods change nothing. It settles in the period in which
/// it was reserved.
#[derive(Debug)]
#[must_use = "a reservation that is dropped before the send gives everything back"]
pub struct BudgetReservation {
    budgets: Arc<SharedBudgets>,
    /// Those by which it was reserved: by others the rest would not come out even.
    prices: Arc<Prices>,
    taken: Taken,
    call: BudgetedCall,
    watch: SendWatch,
    phase: AtomicU8,
}

// Phases; only from lower to higher ones.
const RESERVED: u8 = 0;
const SENT: u8 = 1;
const SETTLED: u8 = 2;

impl BudgetReservation {
    pub(super) fn new(
        budgets: Arc<SharedBudgets>,
        prices: Arc<Prices>,
        taken: Taken,
        call: BudgetedCall,
    ) -> Self {
        Self {
            budgets,
            prices,
            taken,
            call,
            watch: SendWatch::new(None),
            phase: AtomicU8::new(RESERVED),
        }
    }

    /// The reservation of a call that was read: as long as a layer below keeps it to itself, it is not sent.
    pub(super) fn for_call(mut self, call: Option<&Call>) -> Self {
        self.watch = SendWatch::new(call);
        self
    }

    /// Tokens reserved, of the prompt and the answer together.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.call.need.tokens()
    }

    /// Money reserved, in the currency of the model's price; `None` for a model without one.
    #[must_use]
    pub fn cost(&self) -> Option<Money> {
        self.call.need.cost
    }

    /// Marks the call as sent: from now on a drop keeps the estimate as spent. Call it just before the
    /// send.
    pub fn mark_sent(&self) {
        // A call that is settled stays so. Nothing else is published with the phase.
        let _ = self
            .phase
            .compare_exchange(RESERVED, SENT, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Settles with the true usage, as the provider states it. What is missing in it is as it was
    /// estimated.
    pub fn settle(&self, usage: &Usage) {
        let mut usage = *usage;
        let (input, output) = match (usage.total_tokens, usage.input_and_output()) {
            (Some(_), Some(both)) => both,
            _ => (
                usage.input_tokens.unwrap_or(self.call.need.input_tokens),
                usage.output_tokens.unwrap_or(self.call.need.output_tokens),
            ),
        };
        (usage.input_tokens, usage.output_tokens) = (Some(input), Some(output));
        self.finish(self.need_of(&usage));
    }

    /// Settles a call that failed: an error of the client (4xx) gives tokens and money back, one of the
    /// server (5xx, or no status) keeps the prompt as spent. Its request counts.
    pub fn fail(&self, verdict: &Verdict) {
        let is_servers = verdict
            .status()
            .is_none_or(|status| status.is_server_error());
        match is_servers {
            true => self.keep_prompt(),
            false => self.keep_request(),
        }
    }

    /// Gives everything back: the provider has provably never worked on the call.
    pub fn give_back(&self) {
        self.finish(self.call.need.nothing());
    }

    /// Nothing more will be known: the estimate stands.
    #[cfg(feature = "redis")]
    pub(crate) fn keep_estimate(&self) {
        self.finish(self.call.need);
    }

    /// Gives money and tokens back; the request counts.
    pub(crate) fn keep_request(&self) {
        self.finish(self.call.need.request_alone());
    }

    /// Gives the answer's part back.
    pub(crate) fn keep_prompt(&self) {
        self.finish(self.need_of(&Usage::new(self.call.need.input_tokens, 0)));
    }

    fn need_of(&self, usage: &Usage) -> Need {
        let (input, output) = usage.input_and_output().unwrap_or_default();
        let cost = self.prices.cost(
            (self.call.account.as_ref(), &self.call.model),
            usage,
            self.call.is_batch,
            self.taken.instant(),
        );
        Need::of_request(input, output, cost)
    }

    fn finish(&self, actual: Need) {
        if self.phase.swap(SETTLED, Ordering::Relaxed) != SETTLED {
            let need = &self.call.need;
            let rates = &self.prices.rates;
            self.budgets.settle(&self.taken, (need, &actual), rates);
        }
    }

    /// What it holds in the unit of a limit, such as `Amount::Tokens(0)`; `None` where the price is
    /// unknown or in another currency.
    #[must_use]
    pub fn amount_like(&self, limit: Amount) -> Option<Amount> {
        let count = self.call.need.in_unit(limit.unit(), &self.prices.rates);
        count.ok().map(|count| limit.unit().amount(count))
    }
}

impl OnUsage for BudgetReservation {
    fn on_usage(&self, report: &Report) {
        if self.phase.load(Ordering::Relaxed) == SETTLED {
            return;
        }
        let usage = &report.usage;
        if let Some(verdict) = &report.verdict
            && usage.is_empty()
        {
            // A throttle worked on no call. Any other error behind a status of 200, or in the middle of a
            // stream: the prompt was processed.
            return match verdict.is_throttle() {
                true => self.keep_request(),
                false => self.keep_prompt(),
            };
        }
        if report.basis == Basis::Unknown || usage.is_empty() {
            return self.finish(self.call.need);
        }
        // Of an estimate exactly what the ledger books, also where it is the prompt alone: a budget goes on from the
        // ledger after a restart, and must not have another sum then.
        if report.basis == Basis::Estimated
            && let Some((input, output)) = usage.input_and_output()
        {
            let mut usage = *usage;
            (usage.input_tokens, usage.output_tokens) = (Some(input), Some(output));
            return self.finish(self.need_of(&usage));
        }
        self.settle(usage);
        // Only complete answers teach: a cut or failed one is shorter than the next will be.
        if report.basis == Basis::Reported && report.verdict.is_none() {
            self.budgets.learn(&self.call, usage);
        }
    }
}

impl Drop for BudgetReservation {
    fn drop(&mut self) {
        match *self.phase.get_mut() {
            // An estimate that becomes spent may reach a line.
            SENT if self.watch.may_cost() => self.finish(self.call.need),
            RESERVED | SENT => self.give_back(),
            _ => {}
        }
    }
}
