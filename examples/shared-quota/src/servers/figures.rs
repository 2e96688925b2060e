//! What came of it.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::Serialize;

use super::{
    args::{Outage, ServersArgs, TenantArgs},
    ledgers::Sums,
    provider::Admitted,
    server::Served,
    storm::Outcomes,
    tenants::is_busy,
    windows::{counted, highest},
};
use crate::{args::Mode, redis_server::RedisWork};

/// A server that was killed.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Kill {
    pub(crate) server: usize,
    /// Calls that it had not answered.
    pub(crate) under_way: u64,
}

/// What was counted, to be put together.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) time: Duration,
    pub(crate) outcomes: Outcomes,
    pub(crate) kills: Vec<Kill>,
    pub(crate) served: Served,
    pub(crate) store: Option<RedisWork>,
    pub(crate) provider: Sums,
    pub(crate) ledgers: Sums,
    pub(crate) admitted: Vec<Admitted>,
}

/// The figures of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    servers: u32,
    tenants: u32,
    calls: u64,
    seconds: f64,
    #[serde(flatten)]
    outcomes: Outcomes,
    admitted_per_second: f64,
    kills: Vec<Kill>,
    /// How often the store went away, for the server that saw it most often.
    outages: u64,
    provider: Sums,
    ledgers: Sums,
    /// Calls that the provider counts and no ledger has; negative the other way round.
    missing_calls: i64,
    missing_tokens: i64,
    /// The most that one call has cost.
    largest_call: u64,
    /// Lines that could not be written.
    lost_lines: u64,
    /// The highest window of any tenant, as a share of its requests.
    highest_requests: f64,
    /// The same of its tokens, what no reservation foresaw left out.
    highest_tokens: f64,
    /// What the formula allows these two; `None`: nothing bounds them.
    window_bound: Option<f64>,
    /// The most that any budget has spent, as a share of it, so counted too.
    highest_budget: f64,
    budget_bound: Option<f64>,
    /// Tokens that calls cost beyond their reservations.
    unforeseen_tokens: u64,
    /// The share that busy tenants got of their quotas, on the mean: of requests or of tokens, whichever was more.
    used_by_busy: f64,
    round_trips: u64,
    round_trips_per_call: f64,
    scripts_per_call: f64,
    /// Time of the processor. Unit: microseconds.
    store_cpu_per_call: f64,
    servers_cpu_per_call: f64,
}

impl Figures {
    pub(crate) fn new(args: &ServersArgs, found: Counted) -> Self {
        let Counted {
            time,
            outcomes,
            kills,
            served,
            store,
            provider,
            ledgers,
            admitted,
        } = found;
        let seconds = time.as_secs_f64();
        let per_call = |figure: f64| figure / args.calls.max(1) as f64;
        let store = store.unwrap_or_default();
        let missing =
            |of: fn(&Sums) -> u64| of(&provider).cast_signed() - of(&ledgers).cast_signed();
        let shares = Shares::new(&args.tenants, seconds, &admitted);
        Self {
            servers: args.servers,
            tenants: args.tenants.tenants,
            calls: args.calls,
            seconds,
            admitted_per_second: outcomes.admitted as f64 / seconds,
            outcomes,
            kills,
            outages: served.outages,
            provider,
            ledgers,
            missing_calls: missing(|sums| sums.calls),
            missing_tokens: missing(|sums| sums.tokens),
            largest_call: admitted.iter().map(|call| call.tokens).max().unwrap_or(0),
            lost_lines: served.lost,
            highest_requests: shares.requests,
            highest_tokens: shares.tokens,
            window_bound: bound(args, Limits::Rolling),
            highest_budget: shares.budget,
            budget_bound: bound(args, Limits::ForEver),
            unforeseen_tokens: admitted
                .iter()
                .map(|call| call.tokens - counted(call))
                .sum(),
            used_by_busy: shares.used_by_busy,
            round_trips: served.round_trips,
            round_trips_per_call: per_call(served.round_trips as f64),
            scripts_per_call: per_call(store.scripts as f64),
            store_cpu_per_call: per_call(store.cpu * 1e6),
            servers_cpu_per_call: per_call(served.cpu * 1e6),
        }
    }
}

/// Over which time a limit counts.
#[derive(Clone, Copy, PartialEq)]
enum Limits {
    Rolling,
    ForEver,
}

/// What the fleet may have of a limit, as a multiple of it: all of it; as much again in an outage under
/// [`Mode::LocalShare`], where each of n servers goes on with what it has and the n-th part of what it knew to be left; and
/// of a rolling one as much again where the store has lost its memory.
fn bound(args: &ServersArgs, limits: Limits) -> Option<f64> {
    if args.tenants.memory {
        // Each server grants all of it, and of requests up to twice.
        return Some(2.0 * f64::from(args.servers));
    }
    let is_lost = args.outage == Some(Outage::Restart) && limits == Limits::Rolling;
    let lost = if is_lost { 1.0 } else { 0.0 };
    match (args.outage, args.tenants.away) {
        (None, _) | (Some(_), Mode::Reject) => Some(1.0 + lost),
        (Some(_), Mode::LocalShare) => Some(2.0 + lost),
        (Some(_), Mode::Unlimited) => None,
    }
}

/// The most that anybody got, as shares of the limits.
struct Shares {
    requests: f64,
    tokens: f64,
    budget: f64,
    used_by_busy: f64,
}

impl Shares {
    fn new(args: &TenantArgs, seconds: f64, admitted: &[Admitted]) -> Self {
        let mut by_tenant: BTreeMap<u32, Vec<Admitted>> = BTreeMap::new();
        for call in admitted {
            by_tenant.entry(call.tenant).or_default().push(*call);
        }
        let window = u64::try_from(args.window.as_micros()).unwrap_or(u64::MAX);
        let (of_requests, of_tokens) = args.limits();
        let windows = seconds / args.window.as_secs_f64();
        let share = |sum: u64, limit: u64| sum as f64 / limit.max(1) as f64;
        let all = admitted.iter().map(counted).sum();
        let mut shares = Self {
            requests: 0.0,
            tokens: 0.0,
            budget: share(all, args.budget_of_all()),
            used_by_busy: 0.0,
        };
        let mut used = Vec::new();
        for (tenant, mut calls) in by_tenant {
            calls.sort_by_key(|call| call.sent);
            let raise = |highest: &mut f64, share: f64| *highest = highest.max(share);
            raise(
                &mut shares.requests,
                share(highest(&calls, window, |_| 1), of_requests),
            );
            raise(
                &mut shares.tokens,
                share(highest(&calls, window, counted), of_tokens),
            );
            let tokens = calls.iter().map(counted).sum();
            if let Some(budget) = args.budget_of(tenant) {
                raise(&mut shares.budget, share(tokens, budget));
            }
            if is_busy(tenant) {
                let requests = share(calls.len() as u64, of_requests);
                used.push(requests.max(share(tokens, of_tokens)) / windows);
            }
        }
        shares.used_by_busy = used.iter().sum::<f64>() / used.len().max(1) as f64;
        shares
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcomes {
            admitted,
            rejected_by_quota,
            rejected_by_budget,
            store_away,
            cut,
            failed,
            ..
        } = &self.outcomes;
        writeln!(
            f,
            "calls                   {} in {:.1} s: {admitted} admitted, rejected: {rejected_by_quota} by quotas, \
             {rejected_by_budget} by budgets, {store_away} without the store; {cut} cut, {failed} failed",
            self.calls, self.seconds
        )?;
        let bound = |bound: Option<f64>| bound.map_or("none".to_owned(), |most| most.to_string());
        writeln!(
            f,
            "highest window          {:.3} of the requests, {:.3} of the tokens (bound: {})",
            self.highest_requests,
            self.highest_tokens,
            bound(self.window_bound)
        )?;
        writeln!(
            f,
            "highest budget          {:.4} (bound: {})",
            self.highest_budget,
            bound(self.budget_bound)
        )?;
        writeln!(
            f,
            "provider and ledgers    {} and {} calls, {} and {} tokens",
            self.provider.calls, self.ledgers.calls, self.provider.tokens, self.ledgers.tokens
        )?;
        write!(
            f,
            "the store, a call       {:.4} round trips, {:.1} microseconds",
            self.round_trips_per_call, self.store_cpu_per_call
        )
    }
}
