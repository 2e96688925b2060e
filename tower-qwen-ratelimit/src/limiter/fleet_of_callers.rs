//! The quotas of a server's callers, as a fleet shares them: leased from the store, as budgets are.

use std::{
    fmt,
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::Duration,
};

use tower_qwen_tokens::PriceBook;

use super::quotas::RatedQuotas;
use crate::{
    budget::{Amount, Budget, Budgets, BudgetsByName, Reserving},
    fleet::Handle,
    key::{KeyRef, NameRef, Salt},
    limit::LimitKind,
    period::{Period, TimeZone},
    quota::Quota,
};

/// An account at the store outlives that of the process by a window, so it needs more room.
const ROOM: usize = 2;

/// What the processes of a fleet share of their callers' quotas.
#[derive(Debug)]
pub(super) struct FleetOfCallers {
    link: Handle,
    quotas: Arc<RwLock<RatedQuotas>>,
    max_keys: usize,
    /// Made with the first caller, since a client has none.
    leases: OnceLock<Budgets>,
}

/// What one caller's account takes from its fleet.
#[derive(Debug, Clone)]
pub(super) struct FleetCaller {
    leases: Budgets,
    name: Arc<str>,
}

/// Finds the quota of a caller by its name at the store.
// Lock order: the accounts of the leases, then this.
struct QuotasByName(Arc<RwLock<RatedQuotas>>);

impl FleetOfCallers {
    pub(super) fn new(link: Handle, quotas: Arc<RwLock<RatedQuotas>>, max_keys: usize) -> Self {
        Self {
            link,
            quotas,
            max_keys,
            leases: OnceLock::new(),
        }
    }

    /// What makes the digests of callers' secrets.
    pub(super) fn salt(&self) -> Salt {
        Salt::of_fleet(self.link.terms().salt)
    }

    /// Goes on under the quotas of now.
    pub(super) fn quotas_changed(&self) {
        if let Some(leases) = self.leases.get() {
            leases.names_changed();
        }
    }

    pub(super) fn caller(&self, key: KeyRef<'_>) -> FleetCaller {
        let leases = self.leases.get_or_init(|| {
            // Nothing is paid for, so prices are of no account.
            Budgets::builder(PriceBook::builtin())
                .max_tenants(self.max_keys.saturating_mul(ROOM))
                .by_name(Arc::new(QuotasByName(self.quotas.clone())))
                .over(Arc::new(self.link.clone()))
                .build()
                .expect("without a table and with room nothing is invalid")
        });
        FleetCaller {
            leases: leases.clone(),
            name: name_of(key).into(),
        }
    }
}

impl FleetCaller {
    /// Takes a request and these tokens.
    pub(super) fn acquire(&self, tokens: (u64, u64)) -> Reserving {
        self.leases.acquire_counted(&self.name, tokens)
    }
}

impl FleetCaller {
    /// What is left of one limit, as far as this process knows.
    pub(super) fn left(&self, kind: LimitKind, period: Period) -> Option<u64> {
        self.leases.left(&self.name, kind, period)
    }
}

impl BudgetsByName for QuotasByName {
    fn budget(&self, name: &str) -> Budget {
        let quotas = self.0.read().unwrap_or_else(PoisonError::into_inner);
        budget_of(&quota_of(&quotas, name))
    }
}

impl fmt::Debug for QuotasByName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QuotasByName")
    }
}

/// The name of a caller's account at the store, the same in every process.
fn name_of(key: KeyRef<'_>) -> String {
    let (kind, name) = match key.name() {
        NameRef::Tenant(name) => ("tenant", name.to_owned()),
        NameRef::Path(path) => ("path", path.to_owned()),
        NameRef::Peer(peer) => ("peer", peer.to_string()),
        NameRef::Hashed(digest) => ("hashed", digest.to_hex()),
        NameRef::Origin { scheme, authority } => ("origin", format!("{scheme}://{authority}")),
        NameRef::Anyone => ("anyone", String::new()),
        NameRef::Overflow => ("overflow", String::new()),
    };
    let (model, account) = (key.model(), key.account());
    // With lengths, since callers write models, and a separator in one would make it another caller's name.
    format!(
        "{kind}:{}:{}:{model}{account}{name}",
        model.len(),
        account.len()
    )
}

/// The quota of the caller with this name at the store.
fn quota_of(quotas: &RatedQuotas, name: &str) -> Quota {
    // The name of further tenants is empty.
    let (kind, name, model, account) = parts_of(name).unwrap_or_default();
    let name = match kind {
        "tenant" => NameRef::Tenant(name),
        _ => NameRef::Anyone,
    };
    quotas
        .of(KeyRef::new(name, model).with_account(account))
        .quota
}

/// Kind, name, model and account.
fn parts_of(name: &str) -> Option<(&str, &str, &str, &str)> {
    let (kind, rest) = name.split_once(':')?;
    let (model_length, rest) = rest.split_once(':')?;
    let (account_length, rest) = rest.split_once(':')?;
    let (model, rest) = rest.split_at_checked(model_length.parse().ok()?)?;
    let (account, name) = rest.split_at_checked(account_length.parse().ok()?)?;
    Some((kind, name, model, account))
}

/// The limits of a quota that processes share. Calls at one time are each process's own.
fn budget_of(quota: &Quota) -> Budget {
    let window = Period::rolling(quota.window_length());
    let of_window = [
        (LimitKind::Requests, quota.requests(), window),
        (LimitKind::Tokens, quota.tokens(), window),
        (
            LimitKind::Tokens,
            quota.most_of_a_day(),
            Period::day(zone(quota.day_begins_after())),
        ),
    ];
    let further = quota.limits();
    let further = further.map(|limit| (limit.kind(), limit.amount(), limit.period()));
    let mut limits: Vec<(LimitKind, u64, Period)> = Vec::new();
    for (kind, amount, period) in of_window.into_iter().chain(further) {
        let is_same = |limit: &&mut (LimitKind, u64, Period)| (limit.0, limit.2) == (kind, period);
        match limits.iter_mut().find(is_same) {
            Some(known) => known.1 = known.1.min(amount),
            None => limits.push((kind, amount, period)),
        }
    }
    limits
        .into_iter()
        .filter(|(_, amount, _)| *amount < u64::MAX)
        .fold(Budget::unlimited(), |budget, (kind, amount, period)| {
            budget.and(Amount::counted(kind, amount), period)
        })
}

/// The zone whose midnight is so long after that of UTC.
fn zone(day_begins: Duration) -> TimeZone {
    const DAY: i32 = 24 * 60 * 60;
    let seconds = day_begins.as_secs() % u64::from(DAY.unsigned_abs());
    let seconds = i32::try_from(seconds).unwrap_or(0);
    // Midnight at 16:00 UTC is that of eight hours east.
    match seconds > DAY / 2 {
        true => TimeZone::seconds_east(DAY - seconds),
        false => TimeZone::seconds_east(-seconds),
    }
}

#[cfg(test)]
mod tests {
    use tower_qwen_tokens::internal::clock;

    use super::*;
    use crate::{key::Key, limit::Limit, limiter::Quotas};

    fn limits(quota: &Quota) -> Vec<String> {
        let budget = budget_of(quota);
        assert_eq!(budget.check(), Ok(()));
        let shown = budget.limits();
        let shown = shown.map(|(amount, period)| format!("{amount} per {period}"));
        shown.collect()
    }

    #[test]
    fn a_name_at_the_store_finds_the_quota_of_its_key() {
        let quota = |requests| Quota::per_minute(requests, 1);
        let quotas = Quotas::new(quota(1))
            .model("max", quota(2))
            .tenant("a", quota(3))
            .tenant_model("a", "max", quota(4))
            .account("second", quota(5));
        let rated = RatedQuotas::new(&quotas, clock::now());
        let keys = [
            Key::tenant("a"),
            Key::tenant("a").with_model("max"),
            Key::tenant("b").with_model("max"),
            Key::tenant("b").with_account("second"),
            Key::new("a", "max"),
            Key::tenant("a:3:0:max"),
            Key::tenant("").with_model(":0:0:a"),
        ];
        let mut names = Vec::new();
        for key in keys {
            let name = name_of(key.as_ref());
            let expected = rated.of(key.as_ref()).quota;
            assert_eq!(quota_of(&rated, &name), expected, "{key}");
            assert!(!names.contains(&name), "{name}");
            names.push(name);
        }
    }

    #[test]
    fn every_limit_of_a_quota_is_shared_once() {
        let quota = Quota::per_minute(60, 1_000)
            .tokens_per_day(50_000)
            .day_begins(Duration::from_secs(16 * 3_600))
            .concurrency(3)
            .and(Limit::tokens(900, Period::MINUTE))
            .and(Limit::output_tokens(500, Period::MINUTE));
        assert_eq!(
            limits(&quota),
            [
                "60 requests per 60s",
                "900 tokens per 60s",
                "50000 tokens per day +08:00",
                "500 output tokens per 60s"
            ]
        );
        assert_eq!(limits(&Quota::unlimited()), [""; 0]);
    }
}
