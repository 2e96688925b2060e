use std::{
    sync::{Arc, RwLock},
    time::Duration,
};

use tower_qwen_tokens::{data::QuotaBook, internal::clock};

#[cfg(feature = "redis")]
use super::fleet_of_callers::FleetOfCallers;
use super::{
    Limiter,
    faults::{Fault, InvalidLimiter, check},
    limiter::Inner,
    quotas::{Quotas, RatedQuotas},
    table::Table,
};
#[cfg(feature = "redis")]
use crate::fleet::Handle;
use crate::{
    account::AccountConfig,
    key::Salt,
    observe::{LimiterObserver, Observers},
    queue::{DEFAULT_AGEING, Discipline},
    quota::Quota,
};

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
    quotas: Quotas,
    max_queued: usize,
    max_keys: usize,
    discipline: Discipline,
    ageing: Duration,
    observers: Observers,
    plan_probe_interval: Option<Duration>,
    #[cfg(feature = "redis")]
    fleet: Option<Handle>,
    #[cfg(feature = "redis")]
    fleet_of_callers: Option<Handle>,
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

    /// A limiter with more settings: with a quota for each account, or with [`Quotas`] for single
    /// tenants, accounts of the provider and models.
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
    pub fn builder(quotas: impl Into<Quotas>) -> LimiterBuilder {
        LimiterBuilder::new(quotas)
    }
}

impl LimiterBuilder {
    pub(super) fn new(quotas: impl Into<Quotas>) -> Self {
        Self {
            quotas: quotas.into(),
            max_queued: usize::MAX,
            max_keys: DEFAULT_MAX_KEYS,
            discipline: Discipline::default(),
            ageing: DEFAULT_AGEING,
            observers: Observers::default(),
            plan_probe_interval: Some(DEFAULT_PLAN_PROBE_INTERVAL),
            #[cfg(feature = "redis")]
            fleet: None,
            #[cfg(feature = "redis")]
            fleet_of_callers: None,
        }
    }

    /// The quota of one model, in place of the limiter's own; see [`Quotas::model`]. Default: none.
    pub fn quota_for(mut self, model: &str, quota: Quota) -> Self {
        self.quotas = self.quotas.model(model, quota);
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

    /// After which wait one in four admissions goes to a call of a lower [`Priority`](crate::Priority); see there. `Duration::MAX`:
    /// never, and a lower class may starve. Default: 30 s.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use tower_qwen_ratelimit::{Cost, Key, Limiter, OutputLimit, Priority, Quota};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let limiter = Limiter::builder(Quota::per_minute(800, 800_000))
    ///     .ageing(Duration::from_secs(60))
    ///     .build()?;
    /// let key = Key::new("https://dashscope.aliyuncs.com", "qwen-plus");
    /// let cost = Cost::new(1_200, OutputLimit::AtMost(500));
    /// let reservation = limiter.acquire(&key, cost).priority(Priority::High).await?;
    /// # drop(reservation);
    /// # Ok(())
    /// # }
    /// ```
    pub fn ageing(mut self, after: Duration) -> Self {
        self.ageing = after;
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
                    .quotas
                    .default_of_all()
                    .amounts(row.requests, row.tokens)
                    .window(row.period);
                self.quotas = self.quotas.model(model, quota);
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
    /// [`fleet::redis`](crate::fleet::redis). Default: accounts are local to the process.
    ///
    /// The accounts of a server's callers ([`EnforceLayer`](crate::EnforceLayer)) are shared too, as
    /// [`LimiterBuilder::callers_store`] does it. Budgets are shared by
    /// [`BudgetsBuilder::store`](crate::budget::BudgetsBuilder::store).
    #[cfg(feature = "redis")]
    pub fn store(mut self, store: &crate::fleet::redis::RedisStore) -> Self {
        self.fleet = Some(store.link().clone());
        self
    }

    /// Shares the accounts of a server's callers ([`EnforceLayer`](crate::EnforceLayer)) with the other
    /// processes of a fleet: of a caller's requests, tokens and further limits, all of them together grant
    /// what one would. Default: each process grants the whole quota.
    ///
    /// A process takes amounts beforehand and serves calls from them, in either way of
    /// [`Sharing`](crate::Sharing); what it lacks is one round trip, for which the call waits. In no window, wherever it begins,
    /// does a caller get more than its quota and what was estimated too low, as long as the
    /// store answers. [`Quota::concurrency`] stays each process's own. While the store is away, the
    /// [`OutagePolicy`](crate::OutagePolicy) decides: with `LocalShare` each process grants its part, with
    /// `Unlimited` the whole quota, with `Reject` calls are rejected.
    ///
    /// The accounts of clients stay local; so quotas may have all that [`LimiterBuilder::build`] rejects
    /// with [`LimiterBuilder::store`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use tower_qwen_ratelimit::{
    ///     EnforceLayer, KeyOf, Limit, Limiter, Quota,
    ///     fleet::redis::RedisStore,
    ///     period::{Period, TimeZone},
    /// };
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let (store, driver) = RedisStore::connect("redis://127.0.0.1:6379").await?;
    /// tokio::spawn(driver);
    /// let quota = Quota::per_minute(60, 100_000).and(Limit::tokens(5_000_000, Period::day(TimeZone::UTC)));
    /// let limiter = Limiter::builder(quota).callers_store(&store).build()?;
    /// let layer = EnforceLayer::new(limiter, KeyOf::api_key());
    /// # let _ = layer;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "redis")]
    pub fn callers_store(mut self, store: &crate::fleet::redis::RedisStore) -> Self {
        self.fleet_of_callers = Some(store.link().clone());
        self
    }

    /// Builds the limiter.
    ///
    /// # Errors
    ///
    /// [`InvalidLimiter`]: a quota fails [`Quota::check`], `max_keys` or `plan_probe_interval` is
    /// 0, or a tenant, an account or a model has no name. With a [`store`](LimiterBuilder::store) also a quota with further limits
    /// ([`Quota::and`]), with [`Sharing::Lease`](crate::Sharing::Lease) also a quota with
    /// [`Pacing::Window`](crate::Pacing::Window) or [`Quota::tokens_per_day`]: a lease is a part of
    /// a rate, and neither of the two is a rate.
    pub fn build(self) -> Result<Limiter, InvalidLimiter> {
        self.check().map_err(InvalidLimiter)?;
        Ok(self.finish())
    }

    fn check(&self) -> Result<(), Fault> {
        if self.max_keys == 0 {
            return Err(Fault::NoKeys);
        }
        if self.plan_probe_interval.is_some_and(|it| it.is_zero()) {
            return Err(Fault::NoProbeInterval);
        }
        check(
            &self.quotas,
            #[cfg(feature = "redis")]
            self.fleet.as_ref().map(|link| link.terms().sharing),
        )
    }

    pub(super) fn finish(self) -> Limiter {
        #[cfg(feature = "redis")]
        if let Some(link) = &self.fleet {
            link.observe(&self.observers);
        }
        let epoch = clock::now();
        let quotas = Arc::new(RwLock::new(RatedQuotas::new(&self.quotas, epoch)));
        #[cfg(feature = "redis")]
        let callers = {
            let link = self.fleet_of_callers.or_else(|| self.fleet.clone());
            link.map(|link| FleetOfCallers::new(link, quotas.clone(), self.max_keys))
        };
        Limiter {
            inner: Arc::new(Inner {
                quotas,
                config: AccountConfig {
                    max_queued: self.max_queued,
                    discipline: self.discipline,
                    ageing: self.ageing,
                    observers: self.observers,
                    plan_probe_interval: self.plan_probe_interval,
                },
                #[cfg(feature = "redis")]
                salt: callers
                    .as_ref()
                    .map_or_else(Salt::new, FleetOfCallers::salt),
                #[cfg(not(feature = "redis"))]
                salt: Salt::new(),
                #[cfg(feature = "redis")]
                fleet: self.fleet,
                #[cfg(feature = "redis")]
                callers_fleet: callers,
                epoch,
                accounts: Table::new(self.max_keys),
                callers: Table::new(self.max_keys),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::InvalidQuota;
    #[cfg(feature = "redis")]
    use crate::{
        fleet::{Link, Terms},
        key::FleetSalt,
        limit::Limit,
        period::Period,
        quota::Pacing,
        sharing::{OutagePolicy, Sharing},
    };

    const QUOTA: Quota = Quota::per_minute(1, 1);

    #[test]
    fn defaults_are_as_documented() {
        let builder = LimiterBuilder::new(QUOTA);
        assert_eq!(
            (builder.max_queued, builder.max_keys),
            (usize::MAX, 16 * 1024)
        );
        assert_eq!(builder.ageing, Duration::from_secs(30));
        let half_an_hour = Duration::from_secs(1_800);
        assert_eq!(builder.plan_probe_interval, Some(half_an_hour));
    }

    #[test]
    fn invalid_settings_are_rejected() {
        let fault = |builder: LimiterBuilder| builder.build().map(drop).map_err(|error| error.0);
        let builder = || LimiterBuilder::new(QUOTA);
        assert_eq!(fault(builder()), Ok(()));
        assert_eq!(fault(builder().max_keys(0)), Err(Fault::NoKeys));
        let none = builder().plan_probe_interval(Duration::ZERO);
        assert_eq!(fault(none), Err(Fault::NoProbeInterval));
        assert_eq!(fault(builder().plan_probe_interval(None)), Ok(()));
        let nothing = Quota::per_minute(0, 1);
        let invalid = |model: &str| Err(Fault::Quota(model.into(), InvalidQuota::Nothing));
        assert_eq!(fault(LimiterBuilder::new(nothing)), invalid("all others"));
        let of_a = builder().quota_for("a", nothing);
        assert_eq!(fault(of_a), invalid("the model a"));
        let of_tenant = Quotas::new(QUOTA).tenant("t", nothing);
        assert_eq!(
            fault(LimiterBuilder::new(of_tenant)),
            invalid("the tenant t")
        );
        let of_account = Quotas::new(QUOTA).account_model("second", "a", nothing);
        assert_eq!(
            fault(LimiterBuilder::new(of_account)),
            invalid("the account second and the model a")
        );
        assert_eq!(fault(builder().max_keys(1).max_queued(0)), Ok(()));
        assert_eq!(fault(builder().quota_for("", QUOTA)), Err(Fault::NoName));
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
                processes: 1,
                salt: FleetSalt::new("", b""),
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
        assert_eq!(
            leased(at_once),
            Err(Fault::LeasedAtOnce("all others".into()))
        );
        assert_eq!(leased(of_a_day), Err(Fault::LeasedDay("all others".into())));
        let limited = QUOTA.and(Limit::requests(1, Period::SECOND));
        for sharing in [Sharing::Booking, Sharing::Lease] {
            let other_limits = Fault::SharedLimits("all others".into());
            assert_eq!(fault(limited, sharing), Err(other_limits));
        }
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
