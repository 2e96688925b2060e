use super::quotas::Quotas;
use crate::quota::InvalidQuota;
#[cfg(feature = "redis")]
use crate::sharing::Sharing;

/// Why a [`LimiterBuilder`](crate::LimiterBuilder) cannot build a limiter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct InvalidLimiter(pub(super) Fault);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("a limiter needs room for at least one key")]
    NoKeys,
    #[error("the time between two probes of a used-up plan is zero")]
    NoProbeInterval,
    #[error("a quota for a tenant, an account or a model without a name")]
    NoName,
    #[error("the quota of {0} is invalid")]
    Quota(Box<str>, #[source] InvalidQuota),
    #[cfg(feature = "redis")]
    #[error("a lease needs Pacing::Smooth: the quota of {0} has Pacing::Window")]
    LeasedAtOnce(Box<str>),
    #[cfg(feature = "redis")]
    #[error("a lease cannot keep to tokens per day: the quota of {0} limits them")]
    LeasedDay(Box<str>),
    #[cfg(feature = "redis")]
    #[error(
        "a store shares requests and tokens per window alone: the quota of {0} has other limits"
    )]
    SharedLimits(Box<str>),
}

/// Checks each quota of a table.
pub(super) fn check(
    quotas: &Quotas,
    #[cfg(feature = "redis")] sharing: Option<Sharing>,
) -> Result<(), Fault> {
    if quotas.has_nameless() {
        return Err(Fault::NoName);
    }
    for (tenant, account, model, quota) in quotas.each() {
        let whose = || whose(tenant, account, model);
        quota
            .check()
            .map_err(|error| Fault::Quota(whose(), error))?;
        #[cfg(feature = "redis")]
        match sharing {
            Some(_) if quota.limits().next().is_some() => {
                return Err(Fault::SharedLimits(whose()));
            }
            Some(Sharing::Lease) if !quota.is_smooth() => {
                return Err(Fault::LeasedAtOnce(whose()));
            }
            Some(Sharing::Lease) if quota.most_of_a_day() != u64::MAX => {
                return Err(Fault::LeasedDay(whose()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whose quota it is, for people.
fn whose(tenant: &str, account: &str, model: &str) -> Box<str> {
    let names = [("tenant", tenant), ("account", account), ("model", model)];
    let named = names.iter().filter(|(_, name)| !name.is_empty());
    let named: Vec<_> = named
        .map(|(kind, name)| format!("the {kind} {name}"))
        .collect();
    match named.is_empty() {
        true => "all others".into(),
        false => named.join(" and ").into(),
    }
}
