use std::{
    error::Error,
    fmt,
    sync::{Arc, RwLock},
};

use tower_qwen_tokens::{data::QuotaBook, internal::clock};

use super::{Grant, Inner, Limiter, Quotas, table::Table};
use crate::{
    account::AccountConfig,
    key::Salt,
    observe::{LimiterObserver, Observers},
    queue::Discipline,
    quota::{InvalidQuota, Quota},
};
#[cfg(feature = "redis")]
use crate::{fleet::Handle, sharing::Sharing};

/// Settings of a [`Limiter`]; see [`Limiter::builder`].
#[derive(Debug, Clone)]
#[must_use]
pub struct LimiterBuilder {
    quota: Quota,
    of_model: Vec<(Box<str>, Quota)>,
    max_queued: usize,
    max_keys: usize,
    discipline: Discipline,
    observers: Observers,
    #[cfg(feature = "redis")]
    fleet: Option<Handle>,
}

/// Why a [`LimiterBuilder`] makes no limiter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidLimiter(Reason);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Reason {
    NoKeys,
    NoModel,
    ModelTwice(Box<str>),
    Quota(Box<str>, InvalidQuota),
    #[cfg(feature = "redis")]
    LeasedAtOnce(Box<str>),
    #[cfg(feature = "redis")]
    LeasedDay(Box<str>),
}

impl LimiterBuilder {
    pub(super) fn new(quota: Quota) -> Self {
        Self {
            quota,
            of_model: Vec::new(),
            max_queued: usize::MAX,
            max_keys: 16_384,
            discipline: Discipline::default(),
            observers: Observers::default(),
            #[cfg(feature = "redis")]
            fleet: None,
        }
    }

    /// The quota of one model, in place of the limiter's own. Default: none.
    ///
    /// At a server it holds where callers are told apart by model too ([`KeyOf::and_model`](crate::KeyOf::and_model)).
    pub fn quota_for(mut self, model: &str, quota: Quota) -> Self {
        self.of_model.push((model.into(), quota));
        self
    }

    /// How many calls may wait per key; more are refused. Default: no limit.
    pub fn max_queued(mut self, calls: usize) -> Self {
        self.max_queued = calls;
        self
    }

    /// How many keys have accounts of their own; new ones that find no room share one. Default: 16,384. At least 1.
    ///
    /// An account takes about 4 KiB: 64 MiB with the default.
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
        self
    }

    /// Who goes first of those that wait. Default: [`Discipline::Fifo`].
    pub fn discipline(mut self, discipline: Discipline) -> Self {
        self.discipline = discipline;
        self
    }

    /// The quotas of models, as a book has them: [`QuotaBook::from_account`] reads those of an account.
    ///
    /// What this builder's own quota says beside amounts and window holds for them too. Closed models are left out.
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
                self.of_model.push((model.into(), quota));
            }
        }
        self
    }

    /// Tells this observer what happens, beside those given before.
    pub fn observe(mut self, observer: impl LimiterObserver + 'static) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }

    /// Shares the accounts of those who call with the other processes of a fleet; see [`fleet::redis`](crate::fleet::redis).
    /// Default: they are this process's own. At a server, callers' accounts stay so.
    #[cfg(feature = "redis")]
    pub fn store(mut self, store: &crate::fleet::redis::RedisStore) -> Self {
        self.fleet = Some(store.link().clone());
        self
    }

    /// The limiter.
    ///
    /// # Errors
    ///
    /// A quota that [`Quota::check`] refuses, no room for a single key, or a model without a name or with two quotas; leases
    /// ([`Sharing::Lease`]) of a quota that may go at once ([`Pacing::Window`](crate::Pacing::Window)) or has tokens of a
    /// day ([`Quota::tokens_per_day`]), which no part of a rate keeps to.
    pub fn build(self) -> Result<Limiter, InvalidLimiter> {
        self.check().map_err(InvalidLimiter)?;
        Ok(self.finish())
    }

    fn check(&self) -> Result<(), Reason> {
        if self.max_keys == 0 {
            return Err(Reason::NoKeys);
        }
        let unsound = |model: &str| {
            let model = Box::from(model);
            move |error| Reason::Quota(model, error)
        };
        self.quota.check().map_err(unsound(""))?;
        #[cfg(feature = "redis")]
        self.check_sharing("", &self.quota)?;
        for (at, (model, quota)) in self.of_model.iter().enumerate() {
            quota.check().map_err(unsound(model))?;
            #[cfg(feature = "redis")]
            self.check_sharing(model, quota)?;
            if model.is_empty() {
                return Err(Reason::NoModel);
            }
            if self.of_model[..at].iter().any(|(other, _)| other == model) {
                return Err(Reason::ModelTwice(model.clone()));
            }
        }
        Ok(())
    }

    #[cfg(feature = "redis")]
    fn check_sharing(&self, model: &str, quota: &Quota) -> Result<(), Reason> {
        let is_leased = self
            .fleet
            .as_ref()
            .is_some_and(|link| link.terms().sharing == Sharing::Lease);
        if is_leased && !quota.is_smooth() {
            return Err(Reason::LeasedAtOnce(model.into()));
        }
        if is_leased && quota.most_of_a_day() != u64::MAX {
            return Err(Reason::LeasedDay(model.into()));
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Limiter {
        #[cfg(feature = "redis")]
        if let Some(link) = &self.fleet {
            link.observe(&self.observers);
        }
        let epoch = clock::now();
        let of_model = self
            .of_model
            .into_iter()
            .map(|(model, quota)| (model, Grant::new(quota, epoch)));
        Limiter {
            inner: Arc::new(Inner {
                quotas: RwLock::new(Quotas {
                    default: Grant::new(self.quota, epoch),
                    of_model: of_model.collect(),
                }),
                config: AccountConfig {
                    max_queued: self.max_queued,
                    discipline: self.discipline,
                    observers: self.observers,
                },
                #[cfg(feature = "redis")]
                fleet: self.fleet,
                epoch,
                salt: Salt::new(),
                accounts: Table::new(self.max_keys),
                tenants: Table::new(self.max_keys),
            }),
        }
    }
}

impl fmt::Display for InvalidLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reason::NoKeys => f.write_str("a limiter needs room for at least one key"),
            Reason::NoModel => f.write_str("a quota for a model without a name"),
            Reason::ModelTwice(model) => write!(f, "two quotas for the model {model}"),
            #[cfg(feature = "redis")]
            Reason::LeasedAtOnce(model) => {
                write!(
                    f,
                    "a lease needs an even pace: the quota of {model:?} may go at once"
                )
            }
            #[cfg(feature = "redis")]
            Reason::LeasedDay(model) => {
                write!(
                    f,
                    "no lease keeps to tokens of a day: the quota of {model:?}"
                )
            }
            Reason::Quota(model, _) if model.is_empty() => f.write_str("the quota is unsound"),
            Reason::Quota(model, _) => write!(f, "the quota of the model {model} is unsound"),
        }
    }
}

impl Error for InvalidLimiter {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Reason::Quota(_, error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "redis")]
    use std::time::Duration;

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
        assert!(builder.of_model.is_empty());
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let reason = |builder: LimiterBuilder| builder.build().map(drop).map_err(|error| error.0);
        let builder = || LimiterBuilder::new(QUOTA);
        assert_eq!(reason(builder()), Ok(()));
        assert_eq!(reason(builder().max_keys(0)), Err(Reason::NoKeys));
        let nothing = Quota::per_minute(0, 1);
        let unsound = |model: &str| Err(Reason::Quota(model.into(), InvalidQuota::Nothing));
        assert_eq!(reason(LimiterBuilder::new(nothing)), unsound(""));
        assert_eq!(reason(builder().quota_for("a", nothing)), unsound("a"));
        assert_eq!(reason(builder().max_keys(1).max_queued(0)), Ok(()));
        assert_eq!(reason(builder().quota_for("", QUOTA)), Err(Reason::NoModel));
        assert_eq!(
            reason(builder().quota_for("a", QUOTA).quota_for("a", QUOTA)),
            Err(Reason::ModelTwice("a".into()))
        );
        assert_eq!(
            reason(builder().quota_for("a", QUOTA).quota_for("b", QUOTA)),
            Ok(())
        );
    }

    #[cfg(feature = "redis")]
    #[test]
    fn leases_take_a_rate_and_nothing_else() {
        let reason = |quota, sharing| {
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
            assert_eq!(reason(quota, Sharing::Booking), Ok(()));
        }
        let leased = |quota| reason(quota, Sharing::Lease);
        assert_eq!(leased(QUOTA), Ok(()));
        assert_eq!(leased(at_once), Err(Reason::LeasedAtOnce("".into())));
        assert_eq!(leased(of_a_day), Err(Reason::LeasedDay("".into())));
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
