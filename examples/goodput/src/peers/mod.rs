//! The clients that are compared: our stack, and what a user would pick instead.
//!
//! Each is given a quota, right or wrong, and a retry of ten attempts whose waits are those that users set for a minute (1 to 30 s),
//! scaled to the length of the minute.

mod again;
mod aimd;
mod governor;
mod leaky_bucket;
mod limited;
pub mod openai_python;
mod reqwest_retry;
mod tower_rate_limit;

use std::io;
use std::time::Duration;

use axum::body::Body;
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinSet;
use tower::retry::RetryLayer;
use tower::{ServiceBuilder, ServiceExt};
use tower_qwen_ratelimit::{Limiter, Quota};

use crate::callers::Work;
use crate::request::Known;
use crate::setup::Setup;
use crate::stack::{Client, stack};

/// Attempts of a call, the first included.
const ATTEMPTS: u32 = 10;

/// What a client is given to know.
#[derive(Debug, Clone, Copy)]
pub struct Told {
    /// Requests in a window.
    pub rpm: u64,
    /// Tokens in a window.
    pub tpm: u64,
    /// The window: what a minute takes.
    pub window: Duration,
}

/// A client that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// `Retry > Admission > Meter`, what it is given being the quota.
    Ours,
    /// The same, what it is given being the least of the quota.
    OursAtLeast,
    /// Two of governor's limiters, the tokens weighted by an estimate, under tower's Retry.
    Governor,
    /// leaky-bucket's limiters, weighted the same way, under tower's Retry.
    LeakyBucket,
    /// tower's `RateLimit` under tower's Retry.
    TowerRateLimit,
    /// reqwest-middleware with reqwest-retry: no limit of its own.
    ReqwestRetry,
    /// A pace that is halved at each 429 and grows by steps while there is none.
    Aimd,
    /// openai-python with ten retries. Its waits (0.5 to 8 s) are not scaled, and it needs a processor for itself.
    OpenAiPython,
}

impl Peer {
    /// All that need nothing but this program, ours first.
    pub const ALL: [Self; 7] = [
        Self::Ours,
        Self::OursAtLeast,
        Self::Governor,
        Self::LeakyBucket,
        Self::TowerRateLimit,
        Self::ReqwestRetry,
        Self::Aimd,
    ];

    /// Its name in tables and charts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "tower-qwen",
            Self::OursAtLeast => "tower-qwen, at_least",
            Self::Governor => "governor + retry",
            Self::LeakyBucket => "leaky-bucket + retry",
            Self::TowerRateLimit => "tower RateLimit + Retry",
            Self::ReqwestRetry => "reqwest-retry",
            Self::Aimd => "AIMD on 429",
            Self::OpenAiPython => "openai-python",
        }
    }

    /// Starts the callers, each process with a client of its own that is given `told`. They run until the set is dropped.
    ///
    /// # Errors
    ///
    /// Where a program cannot be started.
    pub fn start(
        self,
        setup: &Setup,
        work: &Work,
        told: Told,
        seed: u64,
    ) -> io::Result<JoinSet<()>> {
        // No two processes wait the same random times.
        let seeds = (0..setup.processes as u64).map(|process| seed + 1_000 * process);
        let clients: Option<Vec<Client>> = seeds.map(|seed| self.client(told, seed)).collect();
        match clients {
            Some(clients) => Ok(work.start(setup, &clients)),
            None => openai_python::start(setup, work),
        }
    }

    /// A client of this program; `None` of another one.
    fn client(self, told: Told, seed: u64) -> Option<Client> {
        Some(match self {
            Self::Ours => ours(Quota::per_minute(told.rpm, told.tpm), told, seed),
            Self::OursAtLeast => ours(Quota::at_least(told.rpm, told.tpm), told, seed),
            Self::Governor => governor::client(told),
            Self::LeakyBucket => leaky_bucket::client(told),
            Self::TowerRateLimit => tower_rate_limit::client(told),
            Self::ReqwestRetry => reqwest_retry::client(told),
            Self::Aimd => aimd::client(told),
            Self::OpenAiPython => return None,
        })
    }
}

/// The shortest and the longest wait before a retry, of what a minute takes.
fn waits(minute: Duration) -> (Duration, Duration) {
    (minute / 60, minute / 2)
}

/// A client over a transport that has nothing but the retry of the others: exponential backoff, for a minute of this length.
#[must_use]
pub fn backoff(transport: Client, minute: Duration) -> Client {
    let retry = RetryLayer::new(again::Again::new(waits(minute)));
    Client::new(ServiceBuilder::new().layer(retry).service(transport))
}

fn ours(quota: Quota, told: Told, seed: u64) -> Client {
    stack(hyper(), Limiter::new(quota.window(told.window)), seed)
}

/// What a careful user counts for a call: four bytes a token, and of an answer the third of its ceiling, as answers turned out to be.
fn estimate(known: Known) -> u64 {
    known.prompt_bytes as u64 / 4 + known.ceiling / 3
}

/// hyper's client without anything around it.
fn hyper() -> Client {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = legacy::Client::builder(TokioExecutor::new()).build(connector);
    let client = client.map_response(|response: http::Response<_>| response.map(Body::new));
    Client::new(client.map_err(Into::into))
}
