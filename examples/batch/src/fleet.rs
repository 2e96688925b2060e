//! A quota that other processes use too.

use std::{io::Write, time::Duration};

use tokio::{task::JoinHandle, time::timeout};
use tower_qwen_ratelimit::{
    InvalidLimiter, Limiter, LimiterEvent, OutagePolicy, Quota, Sharing,
    fleet::redis::{RedisOptions, RedisStore, StoreError},
};

use crate::{
    args::{Args, OutageArg},
    news::News,
};

/// How long the end of a run waits for the server to hear of it.
const FLUSH: Duration = Duration::from_secs(2);

/// What admits the calls of a run, alone or with others.
#[derive(Debug)]
pub struct Admission {
    /// Admits the calls.
    pub limiter: Limiter,
    shared: Option<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: RedisStore,
    driver: JoinHandle<()>,
}

/// Why there is none.
#[derive(Debug)]
pub enum Unshared {
    /// The server cannot be used.
    Store(StoreError),
    /// The quota cannot be shared so.
    Limiter(InvalidLimiter),
}

impl Admission {
    /// With this quota for models that have no other, alone or shared as the arguments say.
    ///
    /// # Errors
    ///
    /// [`Unshared`]: the server cannot be used, or the quota cannot be shared so.
    pub async fn of(args: &Args, quota: Quota, news: &News) -> Result<Self, Unshared> {
        let observer = news.clone();
        let builder = Limiter::builder(quota).observe(move |event: &LimiterEvent<'_>| {
            if let Some(sentence) = sentence(event) {
                observer.add(sentence);
            }
        });
        let Some(address) = &args.redis else {
            return Ok(Self {
                limiter: builder.build().map_err(Unshared::Limiter)?,
                shared: None,
            });
        };
        let options = RedisOptions::new(address)
            .map_err(Unshared::Store)?
            .sharing(if args.lease {
                Sharing::Lease
            } else {
                Sharing::Booking
            })
            .outage(match args.outage {
                OutageArg::LocalShare => OutagePolicy::LocalShare,
                OutageArg::Unlimited => OutagePolicy::Unlimited,
                OutageArg::Reject => OutagePolicy::Reject,
            });
        let (store, driver) = RedisStore::with_options(options)
            .await
            .map_err(Unshared::Store)?;
        let limiter = builder.store(&store).build().map_err(Unshared::Limiter)?;
        let driver = tokio::spawn(driver);
        Ok(Self {
            limiter,
            shared: Some(Shared { store, driver }),
        })
    }

    /// Tells the others what is not told yet.
    pub async fn end(self) {
        let Some(Shared { store, driver }) = self.shared else {
            return;
        };
        if timeout(FLUSH, store.flush()).await.is_err() {
            say("the store did not get the usage of all calls: their estimates count there");
        }
        drop((self.limiter, store));
        // What this process held is given up.
        timeout(FLUSH, driver).await.ok();
    }
}

/// What is said of an event; `None` where the screen shows it anyway.
fn sentence(event: &LimiterEvent<'_>) -> Option<String> {
    match event {
        LimiterEvent::StoreAway { outage, reason, .. } => {
            let what = match outage {
                OutagePolicy::LocalShare => "this process uses its part of the quota",
                OutagePolicy::Unlimited => "calls are sent without a limit",
                _ => "calls are rejected",
            };
            Some(format!("the store cannot be reached ({reason}): {what}"))
        }
        LimiterEvent::StoreBack { away_for, .. } => {
            Some(format!("the store is back after {away_for:.1?}"))
        }
        // Where one run reads the account's list and another does not, their windows may differ.
        LimiterEvent::StoreRejected { key, reason, .. } => Some(format!(
            "the quota of {} is not shared: {reason}. Give all runs the same --rpm, --tpm and --window.",
            key.model()
        )),
        LimiterEvent::MoreMayBeHad { key, .. } => Some(format!(
            "the whole quota of {} was used for ten windows without a throttle: the provider may let more \
             through (--quota at-least)",
            key.model()
        )),
        _ => None,
    }
}

fn say(text: &str) {
    // Nobody may be listening.
    writeln!(std::io::stderr(), "{text}").ok();
}

impl std::fmt::Display for Unshared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Limiter(error) => error.fmt(f),
        }
    }
}
