//! What a run would need, without sending anything.

use std::{collections::BTreeMap, fmt, io, time::Duration};

use serde::Serialize;
use tower_qwen_tokens::{
    Call, Money, Usage,
    call::{ModelCall, ReadCall, ReadOptions},
    price::{Billing, is_batch_host},
};

use crate::{
    ids::Ids,
    input::{BadLine, Item, Reader},
    plan::{Plan, Portion},
    request::Requests,
    table::Table,
    words,
};

/// Tokens that an answer is taken to have where its call sets no ceiling.
pub const ASSUMED_OUTPUT: u64 = 1_024;

/// What a run would need.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Forecast {
    /// Calls that would be made.
    pub calls: u64,
    /// Calls that are answered already.
    pub answered_before: u64,
    /// Lines that are no calls.
    pub bad_lines: u64,
    /// Calls whose body is not what its path asks for: neither tokens nor cost of them are known.
    pub unread: u64,
    /// By model.
    pub models: BTreeMap<String, Need>,
    /// Over all models.
    pub total: Need,
    /// At least so long, if the provider counts each model by itself as the limiter does. Unit: seconds. Of the models in
    /// `quotas_to_find` at the quota that they start with, which may grow.
    pub duration_seconds: f64,
    /// The models whose quota is not known beforehand.
    pub quotas_to_find: Vec<String>,
    /// Calls of models that no account is for.
    #[serde(skip_serializing_if = "is_zero")]
    pub without_account: u64,
    /// What each account would have of it, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<AccountNeed>,
    /// The needs of the models as each member of the plan prices them.
    #[serde(skip)]
    priced: BTreeMap<String, Vec<Need>>,
}

/// What the calls that go to an account would need.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AccountNeed {
    /// Its name.
    pub name: String,
    /// What they need.
    #[serde(flatten)]
    pub need: Need,
}

/// What the calls of a model would need.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Need {
    /// Calls.
    pub calls: u64,
    /// Estimated tokens of the prompts.
    pub prompt_tokens: u64,
    /// Tokens of the answers at most: the calls' own ceilings, or [`ASSUMED_OUTPUT`] each where there is none.
    pub output_tokens: u64,
    /// Calls without a ceiling.
    pub without_ceiling: u64,
    /// What that would cost at most.
    pub cost: Vec<Money>,
    /// Calls for which no price is known.
    pub unpriced: u64,
}

/// Reads the input to its end and sums up what its calls would need.
///
/// # Errors
///
/// As reading does.
pub async fn forecast(
    input: &mut Reader<'_>,
    answered: &Ids,
    requests: &Requests,
    plan: &Plan,
    mut on_bad_line: impl FnMut(&BadLine),
) -> io::Result<Forecast> {
    let mut forecast = Forecast::default();
    while let Some(item) = input.next().await? {
        match item {
            Item::Bad(line) => {
                forecast.bad_lines += 1;
                on_bad_line(&line);
            }
            Item::Call(call) if answered.contains(&call.custom_id) => forecast.answered_before += 1,
            Item::Call(call) => {
                forecast.calls += 1;
                let read = match requests.build(&call) {
                    Ok(request) => ReadCall::new(request, &ReadOptions::default()).await.ok(),
                    Err(_) => None,
                };
                let is_batch = read
                    .as_ref()
                    .and_then(|request| request.uri().host())
                    .is_some_and(is_batch_host);
                let billing = Billing::new().batch(is_batch);
                match read
                    .as_ref()
                    .and_then(Call::of)
                    .and_then(|call| call.model_call())
                {
                    Some(model_call) => forecast.add(model_call, plan, &billing),
                    None => forecast.unread += 1,
                }
            }
        }
    }
    forecast.share(plan);
    Ok(forecast)
}

impl Forecast {
    fn add(&mut self, call: &ModelCall, plan: &Plan, billing: &Billing<'_>) {
        let output = if call.dialect.is_embedding() {
            Some(0)
        } else {
            call.output_ceiling_of_all()
        };
        let one = Need {
            calls: 1,
            prompt_tokens: call.input_tokens,
            output_tokens: output.unwrap_or(ASSUMED_OUTPUT.saturating_mul(u64::from(call.choices))),
            without_ceiling: u64::from(output.is_none()),
            ..Need::default()
        };
        let usage = Usage::new(one.prompt_tokens, one.output_tokens);
        let members = plan.prices();
        let priced = self.priced.entry(call.model.to_string()).or_default();
        priced.resize_with(members.len(), Need::default);
        for (prices, need) in members.zip(priced) {
            need.add(&one, prices.cost_of(&call.model, &usage, billing));
        }
    }

    /// Gives each account its part of the calls, as large as its quota allows.
    fn share(&mut self, plan: &Plan) {
        let mut parts = vec![Need::default(); plan.prices().len()];
        let mut longest = plan.unread_seconds(self.unread);
        for (model, priced) in std::mem::take(&mut self.priced) {
            let shares = plan.shares(&model, priced.first().unwrap_or(&Need::default()));
            if shares.portions.is_empty() {
                self.without_account += priced.first().map_or(0, |need| need.calls);
            }
            longest = longest.max(shares.seconds);
            let mut of_model = Need::default();
            for Portion { member, from, to } in shares.portions {
                let part = priced[member].part(from, to);
                parts[member].merge(&part);
                of_model.merge(&part);
            }
            self.total.merge(&of_model);
            if shares.is_to_find {
                self.quotas_to_find.push(model.clone());
            }
            self.models.insert(model, of_model);
        }
        self.duration_seconds = Duration::try_from_secs_f64(longest)
            .unwrap_or(Duration::MAX)
            .as_secs_f64();
        let names = plan.names();
        if names.len() > 1 {
            let named = names.into_iter().zip(parts);
            self.accounts = named
                .map(|(name, need)| AccountNeed { name, need })
                .collect();
        }
    }
}

impl Need {
    pub(crate) fn add(&mut self, one: &Self, cost: Option<Money>) {
        self.calls += one.calls;
        self.prompt_tokens = self.prompt_tokens.saturating_add(one.prompt_tokens);
        self.output_tokens = self.output_tokens.saturating_add(one.output_tokens);
        self.without_ceiling += one.without_ceiling;
        let Some(cost) = cost else {
            self.unpriced += 1;
            return;
        };
        cost.add_to(&mut self.cost);
    }

    fn merge(&mut self, other: &Self) {
        self.calls += other.calls;
        self.prompt_tokens = self.prompt_tokens.saturating_add(other.prompt_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.without_ceiling += other.without_ceiling;
        self.unpriced += other.unpriced;
        for cost in &other.cost {
            cost.add_to(&mut self.cost);
        }
    }

    /// The part between two shares of the whole. Parts that meet add up to what they are parts of.
    fn part(&self, from: f64, to: f64) -> Self {
        let of = |amount: u64| at(amount.into(), to) - at(amount.into(), from);
        let of = |amount: u64| u64::try_from(of(amount)).unwrap_or(0);
        let cost = |cost: &Money| {
            let pico = at(cost.pico(), to) - at(cost.pico(), from);
            Money::from_pico(pico, cost.currency())
        };
        Self {
            calls: of(self.calls),
            prompt_tokens: of(self.prompt_tokens),
            output_tokens: of(self.output_tokens),
            without_ceiling: of(self.without_ceiling),
            cost: self.cost.iter().map(cost).collect(),
            unpriced: of(self.unpriced),
        }
    }
}

/// So much of an amount lies below a share of it.
fn at(amount: i128, share: f64) -> i128 {
    match share {
        share if share >= 1.0 => amount,
        share => (amount as f64 * share).round() as i128,
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl fmt::Display for Forecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::default();
        table.row("calls to make", self.calls);
        table.row_unless_zero("answered before", self.answered_before);
        table.row_unless_zero("bad lines", self.bad_lines);
        table.row_unless_zero("calls that cannot be read", self.unread);
        for (model, need) in &self.models {
            table.row(format!("calls of {model}"), need.calls);
        }
        table.row("prompt tokens, estimated", self.total.prompt_tokens);
        table.row("output tokens, at most", self.total.output_tokens);
        if self.total.without_ceiling > 0 {
            table.row(
                format!("of these assumed, {ASSUMED_OUTPUT} a call"),
                format!("{} calls", self.total.without_ceiling),
            );
        }
        table.row("cost, at most", words::money(&self.total.cost));
        table.row_unless_zero("calls without a price", self.total.unpriced);
        table.row_unless_zero("calls that no account is for", self.without_account);
        for AccountNeed { name, need } in &self.accounts {
            let tokens = need.prompt_tokens.saturating_add(need.output_tokens);
            let (calls, cost) = (need.calls, words::money(&need.cost));
            let value = format!("{calls} calls, {tokens} tokens, {cost}, at most");
            table.row(format!("account {name}"), value);
        }
        // A quota that is looked for grows: at that which it starts with it takes longest.
        let name = match self.quotas_to_find.is_empty() {
            true => "duration, at least",
            false => "duration, at the quota it starts with",
        };
        let duration = Duration::try_from_secs_f64(self.duration_seconds);
        table.row(name, words::duration(duration.unwrap_or(Duration::MAX)));
        fmt::Display::fmt(&table, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop::collection::vec, prop_assert_eq, proptest};
    use tower_qwen_tokens::price::Currency;

    use super::*;

    proptest! {
        #[test]
        fn parts_add_up_to_what_they_are_parts_of(
            [calls, tokens] in any::<[u32; 2]>(),
            pico in 0..i128::from(u64::MAX),
            cuts in vec(0.0..1.0, 0..8),
        ) {
            let whole = Need {
                calls: calls.into(),
                prompt_tokens: tokens.into(),
                output_tokens: u64::from(tokens) * 3,
                without_ceiling: calls.into(),
                cost: vec![Money::from_pico(pico, Currency::USD)],
                unpriced: 0,
            };
            let mut cuts: Vec<f64> = cuts;
            cuts.extend([0.0, 1.0]);
            cuts.sort_by(f64::total_cmp);
            let mut sum = Need::default();
            for pair in cuts.windows(2) {
                sum.merge(&whole.part(pair[0], pair[1]));
            }
            prop_assert_eq!(sum, whole);
        }
    }
}
