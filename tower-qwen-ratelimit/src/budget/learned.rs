use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use tower_qwen_tokens::Usage;

use crate::{
    adapt::OutputEstimate,
    cost::{Cost, OutputLimit},
    quota::Reserve,
};

/// Models whose answers are known to reason or not. As many as `OutputEstimate` knows labels, so that
/// invented names take bounded memory.
const MODELS: usize = 64;

/// Callers with one model each whose answers have figures of their own. The rest have those of all callers, so that
/// memory is bounded: half a megabyte.
const CALLERS: usize = 1_024;

/// What the answers of each model are expected to bring: those of the same caller, as far as they are known.
#[derive(Debug, Default)]
pub(super) struct Learned {
    // One caller's long answers must not raise what another one is expected to pay.
    by_caller: BTreeMap<(CallerId, Arc<str>), OwnAnswers>,
    output: OutputEstimate,
    caller_ids: RandomState,
    reasons: BTreeMap<Arc<str>, bool>,
}

/// The answers that one caller had of one model.
#[derive(Debug, Default)]
struct OwnAnswers {
    output: OutputEstimate,
    reasons: bool,
}

/// A caller, by the hash of the tenant's name: a call carries it to its end without a copy of the name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CallerId(u64);

/// What the answers of a call are expected to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    pub(super) output_tokens: u64,
    /// Whether they reason, as far as it is known: to this caller, or else to anybody.
    pub(super) reasons: Option<bool>,
}

impl Learned {
    pub(super) fn caller(&self, tenant: &str) -> CallerId {
        CallerId(self.caller_ids.hash_one(tenant))
    }

    /// What a call's answers, so many, are expected to be.
    pub(super) fn expected(
        &self,
        (caller, model): (CallerId, &Arc<str>),
        cost: Cost,
        answers: u64,
        reserve: Reserve,
    ) -> Expected {
        let own = self.by_caller.get(&(caller, model.clone()));
        Expected {
            output_tokens: self.output_tokens(own, model, cost, answers, reserve),
            reasons: own
                .map(|own| own.reasons)
                .or_else(|| self.reasons.get(model).copied()),
        }
    }

    fn output_tokens(
        &self,
        own: Option<&OwnAnswers>,
        model: &Arc<str>,
        cost: Cost,
        answers: u64,
        reserve: Reserve,
    ) -> u64 {
        let ceiling = match cost.output {
            OutputLimit::NoOutput => return 0,
            OutputLimit::AtMost(ceiling) => Some(ceiling),
            OutputLimit::Unlimited => None,
        };
        match (reserve, ceiling) {
            (Reserve::Ceiling, Some(ceiling)) => ceiling,
            _ => {
                let of_one = ceiling.map(|ceiling| ceiling.div_ceil(answers));
                let of_all_callers = self.output.expected(Some(model), of_one, u64::MAX);
                // By this ceiling it is that of all callers until the own answers are enough.
                let expected = own.map_or(of_all_callers, |own| {
                    own.output.expected(None, Some(u64::MAX), of_all_callers)
                });
                let of_all = expected
                    .min(of_one.unwrap_or(u64::MAX))
                    .saturating_mul(answers);
                of_all.min(ceiling.unwrap_or(u64::MAX))
            }
        }
    }

    /// A complete answer had this usage.
    pub(super) fn learn(
        &mut self,
        (caller, model): (CallerId, &Arc<str>),
        usage: &Usage,
        answers: u64,
    ) {
        let output = usage.output_tokens.unwrap_or(0);
        if output == 0 {
            return;
        }
        self.output.learn(Some(model), output / answers);
        let reasons = usage.reasoning_tokens.is_some_and(|tokens| tokens > 0);
        let key = (caller, model.clone());
        let own = if self.by_caller.len() < CALLERS {
            Some(self.by_caller.entry(key).or_default())
        } else {
            self.by_caller.get_mut(&key)
        };
        if let Some(own) = own {
            own.output.learn(None, output / answers);
            own.reasons = reasons;
        }
        if let Some(known) = self.reasons.get_mut(model) {
            *known = reasons;
        } else if self.reasons.len() < MODELS {
            self.reasons.insert(model.clone(), reasons);
        }
    }
}
