use std::{
    sync::{Arc, RwLock},
    time::Duration,
};

use tower_qwen_tokens::{data::QuotaBook, internal::clock};

use super::{Limiter, limiter::Inner, quotas::Quotas, table::Table};
use crate::{
    account::AccountConfig,
    key::Salt,
    observe::{LimiterObserver, Observers},
    queue::Discipline,
    quota::{InvalidQuota, Quota},
};
#[cfg(feature = "redis")]
use crate::{fleet::Handle, sharing::Sharing};

/// The default of [`LimiterBuilder::max_keys`]. An account takes about 4 KiB (most of it the 128
/// slots of its windows), so a limiter whose every key is in use stays at 64 MiB.
const DEFAULT_MAX_KEYS: usize = 16_384;
/// The default of [`LimiterBuilder::plan_probe_interval`].
// Ten requests in the shortest window of a plan, 5 hours; and whoever has bought more notices within
// half an hour.
const DEFAULT_PLAN_PROBE_INTERVAL: Duration = Duration::from_secs(30 * 60);

/// Settings of a [`Limiter`]; see [`Limiter::builder`].
#[derive(Debug, Clone)]
#[must_use]
pub struct LimiterBuilder {
    quota: Quota,
    quotas_by_model: Vec<(Box<str>, Quota)>,
    max_queued: usize,
    max_keys: usize,
    discipline: Discipline,
    observers: Observers,
    plan_probe_interval: Option<Duration>,
    #[cfg(feature = "redis")]
    fleet: Option<Handle>,
}

/// Why a [`LimiterBuilder`] cannot build a limiter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct InvalidLimiter(BuilderFault);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum BuilderFault {
    #[error("a limiter needs room for at least one key")]
    NoKeys,
    #[error("the time between two probes of a used-up plan is zero")]
    NoProbeInterval,
    #[error("a quota for a model without a name")]
    NoModel,
    #[error("two quotas for the model {0}")]
    ModelTwice(Box<str>),
    // The quota of every other model has no name.
    #[error("the quota{}{} is invalid", if .0.is_empty() { "" } else { " of the model " }, .0)]
    Quota(Box<str>, #[source] InvalidQuota),
    #[cfg(feature = "redis")]
    #[error("a lease needs Pacing::Smooth: the quota of {0:?} has Pacing::Window")]
    LeasedAtOnce(Box<str>),
    #[cfg(feature = "redis")]
    #[error("a lease cannot keep to tokens per day: the quota of {0:?} limits them")]
    LeasedDay(Box<str>),
}

impl Limiter {
    /// A limiter that grants this quota to every key.
    #[must_use]
    pub fn new(quota: Quota) -> Self {
        LimiterBuilder::new(quota).finish()
    }

    /// The same, with at most `max_queued` calls waiting per key; more are rejected. Default: no
    /// limit.
    #[must_use]
    pub fn with_max_queued(quota: Quota, max_queued: usize) -> Self {
        LimiterBuilder::new(quota).max_queued(max_queued).finish()
    }

    /// A limiter with more settings.
    ///
    /// ```
    /// use tower_qwen_ratelimit::{Limiter, Quota};
    ///
    /// # fn main() -> Result<(), tower_qwen_ratelimit::InvalidLimiter> {
    /// let limiter = Limiter::builder(Quota::per_minute(60, 100_000))
    ///     .quota_for("qwen3-max", Quota::per_minute(10, 50_000))
    ///     .max_keys(50_000)
    ///     .build()?;
    /// # let _ = limiter;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(quota: Quota) -> LimiterBuilder {
        LimiterBuilder::new(quota)
    }
}

impl LimiterBuilder {
    pub(super) fn new(quota: Quota) -> Self {
        Self {
            quota,
            quotas_by_model: Vec::new(),
            max_queued: usize::MAX,
            max_keys: DEFAULT_MAX_KEYS,
            discipline: Discipline::default(),
            observers: Observers::default(),
            plan_probe_interval: Some(DEFAULT_PLAN_PROBE_INTERVAL),
            #[cfg(feature = "redis")]
            fleet: None,
        }
    }

    /// The quota of one model, in place of the limiter's own. Default: none.
    ///
    /// At a server it needs keys that include the model
    /// ([`KeyOf::and_model`](crate::KeyOf::and_model)).
    pub fn quota_for(mut self, model: &str, quota: Quota) -> Self {
        self.quotas_by_model.push((model.into(), quota));
        self
    }

    /// The most calls that may wait per key; more are rejected. Default: no limit.
    pub fn max_queued(mut self, calls: usize) -> Self {
        self.max_queued = calls;
        self
    }

    /// The most keys with an account of their own. Keys above it share one overflow account.
    /// Default: 16,384. At least 1.
    ///
    /// An account takes about 4 KiB: 64 MiB for 16,384 of them.
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
        self
    }

    /// The order in which waiting calls are admitted. Default: [`Discipline::Fifo`].
    pub fn discipline(mut self, discipline: Discipline) -> Self {
        self.discipline = discipline;
        self
    }

    /// The quotas of these models from a quota book; [`QuotaBook::from_account`] reads the quotas
    /// of your own account.
    ///
    /// Requests, tokens and window come from the book, all other settings from this builder's
    /// quota. Models that are closed in the book are skipped.
    pub fn quotas<'a>(
        mut self,
        models: impl IntoIterator<Item = &'a str>,
        book: &QuotaBook,
    ) -> Self {
        for model in models {
            if let Some(row) = book.quota(model).filter(|row| !row.is_closed()) {
                let quota = self
                    .quota
                    .amounts(row.requests, row.tokens)
                    .window(row.period);
                self.quotas_by_model.push((model.into(), quota));
            }
        }
        self
    }

    /// Adds an observer; see [`observe`](crate::observe). Default: none.
    pub fn observe(mut self, observer: impl LimiterObserver + 'static) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }

    /// How often one call is let through while a window of the account's plan is used up: the next one
    /// that comes after this time. Accepted, it opens the account; so a plan that was renewed early is
    /// noticed, and a limit that flaps. One that says nothing of the plan (it fails, or is dropped) is
    /// followed by the next after a sixtieth of this time. `None`: none, until the end that the provider
    /// states, or for 30 minutes where it states none. Default: 30 minutes. Above zero.
    pub fn plan_probe_interval(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.plan_probe_interval = interval.into();
        self
    }

    /// Shares the accounts with the other processes of a fleet; see
    /// [`fleet::redis`](crate::fleet::redis). Default: accounts are local to the process. The
    /// accounts of a server's callers ([`EnforceLayer`](crate::EnforceLayer)) are always local.
    #[cfg(feature = "redis")]
    pub fn store(mut self, store: &crate::fleet::redis::RedisStore) -> Self {
        self.fleet = Some(store.link().clone());
        self
    }

    /// Builds the limiter.
    ///
    /// # Errors
    ///
    /// [`InvalidLimiter`]: a quota fails [`Quota::check`], `max_keys` or `plan_probe_interval` is
    /// 0, or a model has no name or two quotas. With [`Sharing::Lease`] also a quota with
    /// [`Pacing::Window`](crate::Pacing::Window) or [`Quota::tokens_per_day`]: a lease is a part of
    /// a rate, and neither of the two is a rate.
    pub fn build(self) -> Result<Limiter, InvalidLimiter> {
        self.check().map_err(InvalidLimiter)?;
        Ok(self.finish())
    }

    fn check(&self) -> Result<(), BuilderFault> {
        if self.max_keys == 0 {
            return Err(BuilderFault::NoKeys);
        }
        if self.plan_probe_interval.is_some_and(|it| it.is_zero()) {
            return Err(BuilderFault::NoProbeInterval);
        }
        self.check_quota("", &self.quota)?;
        for (at, (model, quota)) in self.quotas_by_model.iter().enumerate() {
            self.check_quota(model, quota)?;
            if model.is_empty() {
                return Err(BuilderFault::NoModel);
            }
            // Quadratic, but models are few and this runs once.
            if self.quotas_by_model[..at]
                .iter()
                .any(|(other, _)| other == model)
            {
                return Err(BuilderFault::ModelTwice(model.clone()));
            }
        }
        Ok(())
    }

    fn check_quota(&self, model: &str, quota: &Quota) -> Result<(), BuilderFault> {
        quota
            .check()
            .map_err(|error| BuilderFault::Quota(model.into(), error))?;
        #[cfg(feature = "redis")]
        if let Some(link) = &self.fleet
            && link.terms().sharing == Sharing::Lease
        {
            if !quota.is_smooth() {
                return Err(BuilderFault::LeasedAtOnce(model.into()));
            }
            if quota.most_of_a_day() != u64::MAX {
                return Err(BuilderFault::LeasedDay(model.into()));
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Limiter {
        #[cfg(feature = "redis")]
        if let Some(link) = &self.fleet {
            link.observe(&self.observers);
        }
        let epoch = clock::now();
        Limiter {
            inner: Arc::new(Inner {
                quotas: RwLock::new(Quotas::new(self.quota, self.quotas_by_model, epoch)),
                config: AccountConfig {
                    max_queued: self.max_queued,
                    discipline: self.discipline,
                    observers: self.observers,
                    plan_probe_interval: self.plan_probe_interval,
                },
                #[cfg(feature = "redis")]
                fleet: self.fleet,
                epoch,
                salt: Salt::new(),
                accounts: Table::new(self.max_keys),
                callers: Table::new(self.max_keys),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(feature = "redis")]
    use crate::{
        fleet::{Link, Terms},
        quota::Pacing,
        sharing::OutagePolicy,
    };

    const QUOTA: Quota = Quota::per_minute(1, 1);

    #[test]
    fn defaults_are_as_documented() {
        let builder = LimiterBuilder::new(QUOTA);
        assert_eq!(
            (builder.max_queued, builder.max_keys),
            (usize::MAX, 16 * 1024)
        );
        let half_an_hour = Duration::from_secs(1_800);
        assert_eq!(builder.plan_probe_interval, Some(half_an_hour));
        assert!(builder.quotas_by_model.is_empty());
    }

    #[test]
    fn invalid_settings_are_rejected() {
        let fault = |builder: LimiterBuilder| builder.build().map(drop).map_err(|error| error.0);
        let builder = || LimiterBuilder::new(QUOTA);
        assert_eq!(fault(builder()), Ok(()));
        assert_eq!(fault(builder().max_keys(0)), Err(BuilderFault::NoKeys));
        let none = builder().plan_probe_interval(Duration::ZERO);
        assert_eq!(fault(none), Err(BuilderFault::NoProbeInterval));
        assert_eq!(fault(builder().plan_probe_interval(None)), Ok(()));
        let nothing = Quota::per_minute(0, 1);
        let invalid = |model: &str| Err(BuilderFault::Quota(model.into(), InvalidQuota::Nothing));
        assert_eq!(fault(LimiterBuilder::new(nothing)), invalid(""));
        assert_eq!(fault(builder().quota_for("a", nothing)), invalid("a"));
        assert_eq!(fault(builder().max_keys(1).max_queued(0)), Ok(()));
        assert_eq!(
            fault(builder().quota_for("", QUOTA)),
            Err(BuilderFault::NoModel)
        );
        assert_eq!(
            fault(builder().quota_for("a", QUOTA).quota_for("a", QUOTA)),
            Err(BuilderFault::ModelTwice("a".into()))
        );
        assert_eq!(
            fault(builder().quota_for("a", QUOTA).quota_for("b", QUOTA)),
            Ok(())
        );
    }

    #[cfg(feature = "redis")]
    #[test]
    fn leases_take_a_rate_and_nothing_else() {
        let fault = |quota, sharing| {
            let terms = Terms {
                sharing,
                outage: OutagePolicy::default(),
                timeout: Duration::from_secs(1),
                capacity: 1,
            };
            let mut builder = LimiterBuilder::new(quota);
            builder.fleet = Some(Handle::new(Link::new(terms)));
            builder.build().map(drop).map_err(|error| error.0)
        };
        let at_once = QUOTA.pacing(Pacing::Window);
        let of_a_day = QUOTA.tokens_per_day(10);
        for quota in [QUOTA, at_once, of_a_day] {
            assert_eq!(fault(quota, Sharing::Booking), Ok(()));
        }
        let leased = |quota| fault(quota, Sharing::Lease);
        assert_eq!(leased(QUOTA), Ok(()));
        assert_eq!(leased(at_once), Err(BuilderFault::LeasedAtOnce("".into())));
        assert_eq!(leased(of_a_day), Err(BuilderFault::LeasedDay("".into())));
    }

    #[test]
    fn models_have_their_own_quota() {
        let max = Quota::per_minute(10, 20);
        let limiter = LimiterBuilder::new(QUOTA)
            .quota_for("qwen3-max", max)
            .build()
            .unwrap();
        assert_eq!(limiter.quota(), QUOTA);
        assert_eq!(limiter.quota_of("qwen-plus"), QUOTA);
        assert_eq!(limiter.quota_of("qwen3-max"), max);
    }
}
