use std::{collections::HashMap, sync::Arc};

use tower_qwen_tokens::internal::clock::Instant;

use super::rate::RequestRate;
use crate::{
    key::{KeyRef, NameRef},
    quota::Quota,
};

/// The quotas of a limiter's accounts, by tenant, name of the provider's account, and model.
///
/// An account has the first of these that is set:
///
/// 1. that of its tenant and model,
/// 2. that of its tenant,
/// 3. that of its [`Key::account`](crate::Key::account) and model,
/// 4. that of its `Key::account`,
/// 5. that of its model,
/// 6. the one for all others.
///
/// A tenant is what [`Key::tenant`](crate::Key::tenant) names, or at a server
/// [`KeyOf::extension`](crate::KeyOf::extension). `Key::account` is the name of a second account of the
/// provider, which a fallback of Retry with a key of its own sets, or
/// [`AccountId`](tower_qwen_tokens::AccountId). A model counts where keys include it: at a client
/// always, at a server with [`KeyOf::and_model`](crate::KeyOf::and_model). Each *account* has all of its
/// quota: a tenant whose keys include the model has its quota for each model. For a quota of all models
/// together and others of single models, put one [`EnforceLayer`](crate::EnforceLayer) around another.
///
/// # Examples
///
/// ```
/// use tower_qwen_ratelimit::{Key, Limiter, Quota, Quotas};
///
/// # fn main() -> Result<(), tower_qwen_ratelimit::InvalidLimiter> {
/// let quotas = Quotas::new(Quota::per_minute(60, 100_000))
///     .tenant("search", Quota::per_minute(600, 1_000_000))
///     .tenant("batch", Quota::unlimited())
///     .tenant_model("search", "qwen-max", Quota::per_minute(30, 50_000));
/// let limiter = Limiter::builder(quotas).build()?;
/// let search = Key::tenant("search");
/// assert_eq!(limiter.quota_of_key(&search).requests(), 600);
/// assert_eq!(limiter.quota_of_key(&search.with_model("qwen-max")).requests(), 30);
/// // While calls are under way: what they reserved stays reserved.
/// limiter.change_quotas(|quotas| quotas.tenant("batch", Quota::per_minute(10, 10_000)))?;
/// assert_eq!(limiter.quota_of_key(&Key::tenant("batch")).requests(), 10);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Quotas(Table<Quota>);

/// The quotas with their requests as a server counts them.
#[derive(Debug)]
pub(super) struct RatedQuotas(Table<RatedQuota>);

/// A quota, and its requests as a server counts them.
#[derive(Debug)]
pub(super) struct RatedQuota {
    pub(super) quota: Quota,
    /// One governor for all callers that share the quota; each caller keeps its own cell.
    pub(super) rate: Arc<RequestRate>,
}

/// What there is one of for each account.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Table<Q> {
    default: Q,
    by_model: HashMap<Box<str>, Q>,
    by_tenant: HashMap<Box<str>, OfName<Q>>,
    by_account: HashMap<Box<str>, OfName<Q>>,
}

/// What a tenant has, or an account of the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
struct OfName<Q> {
    all_models: Option<Q>,
    by_model: HashMap<Box<str>, Q>,
}

impl<Q> Table<Q> {
    fn of(&self, key: KeyRef<'_>) -> &Q {
        let tenant = match key.name() {
            NameRef::Tenant(name) => self.by_tenant.get(name),
            _ => None,
        };
        // No quota has an empty name, so a key without an account finds none here.
        let account = || self.by_account.get(key.account());
        tenant
            .and_then(|tenant| tenant.of(key.model()))
            .or_else(|| account().and_then(|account| account.of(key.model())))
            .or_else(|| self.by_model.get(key.model()))
            .unwrap_or(&self.default)
    }

    fn map<R>(&self, of: impl Fn(&Q) -> R) -> Table<R> {
        let models = |models: &HashMap<Box<str>, Q>| -> HashMap<Box<str>, R> {
            let each = models.iter();
            each.map(|(model, quota)| (model.clone(), of(quota)))
                .collect()
        };
        let names = |names: &HashMap<Box<str>, OfName<Q>>| -> HashMap<Box<str>, OfName<R>> {
            let each = names.iter().map(|(name, quotas)| {
                let quotas = OfName {
                    all_models: quotas.all_models.as_ref().map(&of),
                    by_model: models(&quotas.by_model),
                };
                (name.clone(), quotas)
            });
            each.collect()
        };
        Table {
            default: of(&self.default),
            by_model: models(&self.by_model),
            by_tenant: names(&self.by_tenant),
            by_account: names(&self.by_account),
        }
    }
}

impl<Q> OfName<Q> {
    fn of(&self, model: &str) -> Option<&Q> {
        self.by_model.get(model).or(self.all_models.as_ref())
    }
}

impl<Q> Default for OfName<Q> {
    fn default() -> Self {
        Self {
            all_models: None,
            by_model: HashMap::new(),
        }
    }
}

impl Quotas {
    /// This quota for each account that has no other. Default: none has.
    pub fn new(quota: Quota) -> Self {
        Self(Table {
            default: quota,
            by_model: HashMap::new(),
            by_tenant: HashMap::new(),
            by_account: HashMap::new(),
        })
    }

    /// Another quota for the accounts that have none of their own.
    pub fn default_quota(mut self, quota: Quota) -> Self {
        self.0.default = quota;
        self
    }

    /// The quota of a model's accounts; the one that was set before for this model is replaced.
    pub fn model(mut self, model: &str, quota: Quota) -> Self {
        self.0.by_model.insert(model.into(), quota);
        self
    }

    /// The quota of each account of a tenant.
    pub fn tenant(mut self, tenant: &str, quota: Quota) -> Self {
        let tenants = &mut self.0.by_tenant;
        tenants.entry(tenant.into()).or_default().all_models = Some(quota);
        self
    }

    /// The quota of a tenant's account for one model.
    pub fn tenant_model(mut self, tenant: &str, model: &str, quota: Quota) -> Self {
        let quotas = self.0.by_tenant.entry(tenant.into()).or_default();
        quotas.by_model.insert(model.into(), quota);
        self
    }

    /// The quota of the accounts with this [`Key::account`](crate::Key::account): each model has all of
    /// it.
    pub fn account(mut self, name: &str, quota: Quota) -> Self {
        let accounts = &mut self.0.by_account;
        accounts.entry(name.into()).or_default().all_models = Some(quota);
        self
    }

    /// The quota of the accounts with this [`Key::account`](crate::Key::account) for one model.
    pub fn account_model(mut self, name: &str, model: &str, quota: Quota) -> Self {
        let quotas = self.0.by_account.entry(name.into()).or_default();
        quotas.by_model.insert(model.into(), quota);
        self
    }

    /// From now on the tenant has the quota of its models, or that of all others.
    pub fn without_tenant(mut self, tenant: &str) -> Self {
        self.0.by_tenant.remove(tenant);
        self
    }

    /// The quota for all others.
    pub(super) fn default_of_all(&self) -> Quota {
        self.0.default
    }

    /// The quota of an account.
    pub(super) fn of(&self, key: KeyRef<'_>) -> Quota {
        *self.0.of(key)
    }

    /// Each quota with the tenant, the account and the model that have it; all are empty for the one of
    /// all others.
    pub(super) fn each(&self) -> impl Iterator<Item = (&str, &str, &str, &Quota)> {
        let table = &self.0;
        let models = table.by_model.iter();
        let models = models.map(|(model, quota)| ("", "", &**model, quota));
        let tenants = each_of(&table.by_tenant);
        let tenants = tenants.map(|(tenant, model, quota)| (tenant, "", model, quota));
        let accounts = each_of(&table.by_account);
        let accounts = accounts.map(|(account, model, quota)| ("", account, model, quota));
        std::iter::once(("", "", "", &table.default))
            .chain(models)
            .chain(tenants)
            .chain(accounts)
    }

    /// A tenant, account or model without a name that has a quota.
    pub(super) fn has_nameless(&self) -> bool {
        let table = &self.0;
        let has_nameless = |names: &HashMap<Box<str>, OfName<Quota>>| {
            let mut models = names.values().map(|quotas| &quotas.by_model);
            names.contains_key("") || models.any(|models| models.contains_key(""))
        };
        table.by_model.contains_key("")
            || has_nameless(&table.by_tenant)
            || has_nameless(&table.by_account)
    }
}

/// Each quota with the name and the model that have it; the model is empty for the quota of all models.
fn each_of(names: &HashMap<Box<str>, OfName<Quota>>) -> impl Iterator<Item = (&str, &str, &Quota)> {
    names.iter().flat_map(|(name, quotas)| {
        let all_models = quotas.all_models.iter().map(|quota| (&**name, "", quota));
        let models = quotas.by_model.iter();
        all_models.chain(models.map(|(model, quota)| (&**name, &**model, quota)))
    })
}

impl From<Quota> for Quotas {
    fn from(quota: Quota) -> Self {
        Self::new(quota)
    }
}

impl RatedQuotas {
    pub(super) fn new(quotas: &Quotas, epoch: Instant) -> Self {
        Self(quotas.0.map(|quota| RatedQuota::new(*quota, epoch)))
    }

    pub(super) fn of(&self, key: KeyRef<'_>) -> &RatedQuota {
        self.0.of(key)
    }

    /// The quotas as they were given.
    pub(super) fn quotas(&self) -> Quotas {
        Quotas(self.0.map(|rated| rated.quota))
    }
}

impl RatedQuota {
    fn new(quota: Quota, epoch: Instant) -> Self {
        let rate = Arc::new(RequestRate::new(&quota, epoch));
        Self { quota, rate }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;

    #[test]
    fn the_nearest_quota_counts() {
        let quota = |requests| Quota::per_minute(requests, 1);
        let quotas = Quotas::new(quota(1))
            .model("max", quota(2))
            .tenant("a", quota(3))
            .tenant_model("a", "max", quota(4))
            .tenant_model("b", "max", quota(5));
        let of = |key: Key| quotas.of(key.as_ref()).requests();
        assert_eq!(of(Key::new("https://host", "plus")), 1);
        assert_eq!(of(Key::new("https://host", "max")), 2);
        assert_eq!(of(Key::tenant("a")), 3);
        assert_eq!(of(Key::tenant("a").with_model("plus")), 3);
        assert_eq!(of(Key::tenant("a").with_model("max")), 4);
        assert_eq!(of(Key::tenant("b").with_model("max")), 5);
        assert_eq!(of(Key::tenant("b")), 1);
        assert_eq!(of(Key::tenant("c").with_model("max")), 2);
        // An origin is no tenant, even if it has the same name.
        assert_eq!(of(Key::new("a", "plus")), 1);
        assert_eq!(quotas.each().count(), 5);
        let without = quotas.clone().without_tenant("a");
        let a = Key::tenant("a").with_model("max");
        assert_eq!(without.of(a.as_ref()).requests(), 2);
        assert!(!quotas.has_nameless());
        assert!(quotas.clone().tenant("", quota(1)).has_nameless());
        assert!(quotas.tenant_model("a", "", quota(1)).has_nameless());
    }

    #[test]
    fn an_account_of_the_provider_comes_after_the_tenant_and_before_the_model() {
        let quota = |requests| Quota::per_minute(requests, 1);
        let quotas = Quotas::new(quota(1))
            .model("max", quota(2))
            .tenant("a", quota(3))
            .account("second", quota(4))
            .account_model("second", "max", quota(5))
            .account_model("third", "max", quota(6));
        let of = |key: Key| quotas.of(key.as_ref()).requests();
        let plus = || Key::new("https://host", "plus");
        let max = || Key::new("https://host", "max");
        assert_eq!([of(plus()), of(max())], [1, 2], "without a name");
        assert_eq!(of(plus().with_account("second")), 4);
        assert_eq!(of(max().with_account("second")), 5);
        assert_eq!(of(plus().with_account("third")), 1);
        assert_eq!(of(max().with_account("third")), 6);
        assert_eq!(of(max().with_account("fourth")), 2);
        let tenant = Key::tenant("a").with_model("max");
        assert_eq!(of(tenant.with_account("second")), 3);
        assert_eq!(of(Key::tenant("b").with_account("second")), 4);
        // A tenant is no account, even if it has the same name.
        assert_eq!(of(Key::tenant("second")), 1);
        assert_eq!(quotas.each().count(), 6);
        assert!(!quotas.has_nameless());
        assert!(quotas.clone().account("", quota(1)).has_nameless());
        assert!(quotas.account_model("a", "", quota(1)).has_nameless());
    }
}
