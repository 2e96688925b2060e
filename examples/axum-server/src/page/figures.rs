//! What the page shows of now.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use tower_qwen_ratelimit::{
    AccountSnapshot, GateSnapshot,
    budget::{Amount, BudgetLimitSnapshot},
};
use tower_qwen_tokens::ledger::Totals;

use super::history::Point;
use crate::{
    call_metrics::{WAIT_BOUNDS, units},
    gateway::Gateway,
    metrics::is_limited,
};

/// How many lines a table has: the largest. Sums are of all.
const MAX_LINES: usize = 200;
/// From which share on somebody is near a limit.
const NEAR: f64 = 0.8;

/// All of it.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    point: Point,
    /// The bounds of `point.waits`, in seconds.
    wait_bounds: &'static [f64],
    /// As `/usage` has it.
    usage: Usage,
    callers: Vec<Account>,
    upstreams: Vec<Account>,
    budgets: Vec<Budget>,
    near: Vec<Near>,
    attempts: u64,
    ledger_lost: u64,
    /// Why no new calls should come; `None`: they should.
    not_ready: Option<String>,
    /// Whether an admin's key is needed, and so can be left by a logout.
    has_admin_key: bool,
}

#[derive(Debug, Serialize)]
struct Usage {
    total: Totals,
    tenants: BTreeMap<String, Totals>,
    models: BTreeMap<String, Totals>,
    upstreams: BTreeMap<String, Totals>,
    /// How many lines are left out of each.
    left_out: [usize; 3],
}

/// An account at the gateway (a caller's) or at an upstream.
#[derive(Debug, Serialize)]
struct Account {
    name: String,
    model: String,
    requests: Option<Gate>,
    tokens: Option<Gate>,
    queued: usize,
    running: u64,
    throttled: BTreeMap<&'static str, u64>,
    closed_ms: u64,
    plan_used_up: bool,
}

/// A window.
#[derive(Debug, Serialize)]
struct Gate {
    used: u64,
    quota: u64,
    /// Of the quota, after throttles.
    rate_percent: u8,
}

#[derive(Debug, Serialize)]
struct Budget {
    owner: String,
    kind: &'static str,
    period: String,
    spent: String,
    reserved: String,
    limit: String,
    share: f64,
    /// Milliseconds since 1970.
    resets_at: Option<u64>,
    rejected: u64,
}

/// Somebody who has used most of a limit.
#[derive(Debug, Clone, Serialize)]
struct Near {
    kind: &'static str,
    name: String,
    what: String,
    share: f64,
}

impl Gateway {
    pub(super) fn figures(&self) -> Figures {
        let sums = self.ledger.snapshot();
        let (tenants, models, upstreams) = (
            largest(sums.tenants),
            largest(sums.models),
            largest(self.upstream_sums.snapshot()),
        );
        let callers = self.callers.snapshot();
        let callers: Vec<_> = callers.iter().map(|it| Account::new(it, true)).collect();
        let accounts = self.shared.limiter.snapshot();
        let accounts: Vec<_> = accounts.iter().map(|it| Account::new(it, false)).collect();
        let budgets: Vec<_> = self.budgets.snapshot().limits;
        let budgets: Vec<_> = budgets.iter().map(Budget::new).collect();
        let near = near(&callers, &accounts, &budgets);
        Figures {
            point: self.point(),
            wait_bounds: &WAIT_BOUNDS,
            usage: Usage {
                total: sums.total,
                left_out: [tenants.1, models.1, upstreams.1],
                tenants: tenants.0,
                models: models.0,
                upstreams: upstreams.0,
            },
            callers: fullest(callers, Account::share),
            upstreams: fullest(accounts, Account::share),
            budgets: fullest(budgets, |budget| budget.share),
            near,
            attempts: self.attempts(),
            ledger_lost: self.lost() + self.unwritten(),
            not_ready: self.readiness().check().err().map(|why| why.to_string()),
            has_admin_key: self.live().callers.has_admin(),
        }
    }
}

impl Account {
    fn new(account: &AccountSnapshot, is_caller: bool) -> Self {
        let key = &account.key;
        let name = match (is_caller, key.account()) {
            (true, _) => key.to_string(),
            (false, "") if key.authority().is_empty() => key.to_string(),
            (false, "") => key.authority().to_owned(),
            (false, name) => name.to_owned(),
        };
        Self {
            name,
            model: key.model().to_owned(),
            requests: Gate::new(&account.requests),
            tokens: Gate::new(&account.tokens),
            queued: account.queued,
            running: account.in_flight,
            throttled: account.throttled.clone(),
            closed_ms: u64::try_from(account.closed_for.as_millis()).unwrap_or(u64::MAX),
            plan_used_up: account.plan_used_up.is_some(),
        }
    }

    fn share(&self) -> f64 {
        let gates = [&self.requests, &self.tokens];
        let shares = gates.into_iter().flatten().map(Gate::share);
        shares.fold(0.0, f64::max)
    }
}

impl Gate {
    /// `None` where there is no limit.
    fn new(gate: &GateSnapshot) -> Option<Self> {
        is_limited(gate.quota).then_some(Self {
            used: gate.used,
            quota: gate.quota,
            rate_percent: gate.rate_percent,
        })
    }

    fn share(&self) -> f64 {
        share(self.used as f64, self.quota as f64)
    }
}

impl Budget {
    fn new(limit: &BudgetLimitSnapshot) -> Self {
        let used = number(limit.spent) + number(limit.reserved);
        Self {
            owner: limit.owner.name().to_owned(),
            kind: limit.owner.kind(),
            period: limit.period.clone(),
            spent: limit.spent.to_string(),
            reserved: limit.reserved.to_string(),
            limit: limit.limit.to_string(),
            share: share(used, number(limit.limit)),
            resets_at: limit.resets_at.map(millis),
            rejected: limit.rejected,
        }
    }
}

/// Who has used most of its quota or budget, the fullest first.
fn near(callers: &[Account], upstreams: &[Account], budgets: &[Budget]) -> Vec<Near> {
    let gates = |kind: &'static str, account: &Account| {
        let name = match &*account.model {
            "" => account.name.clone(),
            model => format!("{} {model}", account.name),
        };
        let named = [("requests", &account.requests), ("tokens", &account.tokens)];
        named.map(|(what, gate)| {
            let gate = gate.as_ref()?;
            Some(Near {
                kind,
                name: name.clone(),
                what: what.to_owned(),
                share: gate.share(),
            })
        })
    };
    let of_callers = callers.iter().flat_map(|account| gates("caller", account));
    let of_upstreams = upstreams
        .iter()
        .flat_map(|account| gates("upstream", account));
    let of_budgets = budgets.iter().map(|budget| {
        Some(Near {
            kind: "budget",
            name: budget.owner.clone(),
            what: format!("{} a {}", budget.limit, budget.period),
            share: budget.share,
        })
    });
    let all = of_callers.chain(of_upstreams).chain(of_budgets).flatten();
    fullest(all.filter(|near| near.share >= NEAR).collect(), |near| {
        near.share
    })
}

fn fullest<T>(mut list: Vec<T>, share: impl Fn(&T) -> f64) -> Vec<T> {
    list.sort_by(|a, b| share(b).total_cmp(&share(a)));
    list.truncate(MAX_LINES);
    list
}

/// The lines with the most tokens, and how many others there are.
fn largest(lines: BTreeMap<String, Totals>) -> (BTreeMap<String, Totals>, usize) {
    let left_out = lines.len().saturating_sub(MAX_LINES);
    if left_out == 0 {
        return (lines, 0);
    }
    let mut lines: Vec<_> = lines.into_iter().collect();
    let tokens = |totals: &Totals| totals.input_tokens.saturating_add(totals.output_tokens);
    lines.sort_by_key(|(_, totals)| std::cmp::Reverse((tokens(totals), totals.calls)));
    lines.truncate(MAX_LINES);
    (lines.into_iter().collect(), left_out)
}

fn number(amount: Amount) -> f64 {
    match amount {
        Amount::Money(money) => units(money),
        Amount::Tokens(count)
        | Amount::InputTokens(count)
        | Amount::OutputTokens(count)
        | Amount::Requests(count) => count as f64,
        _ => 0.0,
    }
}

/// Of a limit of nothing all is used.
fn share(used: f64, limit: f64) -> f64 {
    match limit > 0.0 {
        true => used / limit,
        false => 1.0,
    }
}

fn millis(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
