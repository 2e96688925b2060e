//! What a run would need, without sending anything.

use std::{collections::BTreeMap, fmt, io, time::Duration};

use serde::Serialize;
use tower_qwen_ratelimit::Quota;
use tower_qwen_tokens::{
    Call, Money, PriceBook, Usage,
    call::{ModelCall, ReadCall, ReadOptions},
    price::{Billing, is_batch_host},
};

use crate::{
    ids::Ids,
    input::{BadLine, Item, Reader},
    quota_source::QuotaSource,
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
    quotas: &QuotaSource,
    prices: &PriceBook,
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
                    Some(model_call) => forecast.add(model_call, prices, &billing),
                    None => forecast.unread += 1,
                }
            }
        }
    }
    forecast.duration_seconds = forecast.duration(quotas).as_secs_f64();
    forecast.quotas_to_find = forecast
        .models
        .keys()
        .filter(|model| quotas.find(model).limit().is_none())
        .cloned()
        .collect();
    Ok(forecast)
}

impl Forecast {
    fn add(&mut self, call: &ModelCall, prices: &PriceBook, billing: &Billing<'_>) {
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
        let cost = prices.cost_of(&call.model, &usage, billing);
        self.total.add(&one, cost);
        self.models
            .entry(call.model.to_string())
            .or_default()
            .add(&one, cost);
    }

    /// The time that the scarcest quota needs, of the model that needs most; calls of no known model count as one.
    fn duration(&self, quotas: &QuotaSource) -> Duration {
        let seconds = |calls: u64, tokens: u64, quota: Quota| {
            let requests = calls as f64 / quota.requests().max(1) as f64;
            let tokens = tokens as f64 / quota.tokens().max(1) as f64;
            requests.max(tokens) * quota.window_length().as_secs_f64()
        };
        let of_model = |(model, need): (&String, &Need)| {
            let tokens = need.prompt_tokens.saturating_add(need.output_tokens);
            seconds(need.calls, tokens, quotas.find(model).quota)
        };
        let unread = seconds(self.unread, 0, quotas.default_quota());
        let most = self.models.iter().map(of_model).fold(unread, f64::max);
        Duration::try_from_secs_f64(most).unwrap_or(Duration::MAX)
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
        for sum in &mut self.cost {
            if let Some(both) = sum.plus(cost) {
                *sum = both;
                return;
            }
        }
        self.cost.push(cost);
    }
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
