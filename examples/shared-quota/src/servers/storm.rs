//! The calls: of all tenants, at all servers.
//!
//! A call goes to the next server where its own one takes no connection, as behind a load balancer. One that is rejected is
//! counted and not sent again.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

use axum::body::{Body, Bytes};
use http::{Request, StatusCode, header::CONTENT_TYPE};
use http_body_util::BodyExt;
use serde::Serialize;
use tokio::{
    task::JoinSet,
    time::{sleep, sleep_until, timeout},
};

use super::{
    args::{ServersArgs, TenantArgs},
    client::{HttpClient, client},
    headers::{SENT, TENANT},
    provider::micros,
    server::CHAT,
    tenants::{longest_answer, name, scattered},
};

const LONGEST_CALL: Duration = Duration::from_secs(30);

/// The calls, counted by how they ended.
#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct Outcomes {
    pub(crate) admitted: u64,
    pub(crate) rejected_by_quota: u64,
    pub(crate) rejected_by_budget: u64,
    /// Rejected since the store was away.
    pub(crate) store_away: u64,
    /// Of servers that were killed: under way then.
    pub(crate) cut: u64,
    /// All others.
    pub(crate) failed: u64,
    /// How often a server took no connection, and the next one got the call.
    pub(crate) moved: u64,
}

#[derive(Debug)]
pub(crate) struct Storm {
    calls: u64,
    rate: u64,
    concurrency: usize,
    tenants: TenantArgs,
    /// The instant 0.
    zero: Instant,
    client: HttpClient,
    begun: AtomicU64,
    servers: Vec<Target>,
    outcomes: Mutex<Outcomes>,
}

/// Where a server is, and how many of its calls were under way when it was killed.
#[derive(Debug)]
struct Target {
    address: Mutex<SocketAddr>,
    cut: AtomicU64,
}

/// How a call ended.
enum Outcome {
    Answered(StatusCode, Bytes),
    Cut,
    Failed,
}

/// Why a server did not answer a call.
enum Unanswered {
    NotConnected,
    Cut,
}

impl Storm {
    pub(crate) fn new(
        args: &ServersArgs,
        zero: Instant,
        servers: impl IntoIterator<Item = SocketAddr>,
    ) -> Arc<Self> {
        let target = |address| Target {
            address: Mutex::new(address),
            cut: AtomicU64::new(0),
        };
        Arc::new(Self {
            calls: args.calls,
            rate: args.rate,
            concurrency: args.concurrency,
            tenants: args.tenants.clone(),
            zero,
            client: client(),
            begun: AtomicU64::new(0),
            servers: servers.into_iter().map(target).collect(),
            outcomes: Mutex::default(),
        })
    }

    /// Sends all calls; says how long that took.
    pub(crate) async fn run(self: &Arc<Self>) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let mut callers = JoinSet::new();
        for _ in 0..self.concurrency {
            callers.spawn(self.clone().calls(began));
        }
        while let Some(ended) = callers.join_next().await {
            ended?;
        }
        Ok(began.elapsed())
    }

    /// Waits until so many calls have begun.
    pub(crate) async fn reaches(&self, calls: u64) {
        while self.begun.load(Ordering::Relaxed) < calls {
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// A server has another address from now on.
    pub(crate) fn replace(&self, server: usize, address: SocketAddr) {
        *lock(&self.servers[server].address) = address;
    }

    /// How many calls a server had not answered when it was killed.
    pub(crate) fn cut(&self, server: usize) -> u64 {
        self.servers[server].cut.load(Ordering::Relaxed)
    }

    pub(crate) fn outcomes(&self) -> Outcomes {
        lock(&self.outcomes).clone()
    }

    async fn calls(self: Arc<Self>, began: Instant) {
        loop {
            let call = self.begun.fetch_add(1, Ordering::Relaxed);
            if call >= self.calls {
                return;
            }
            if self.rate > 0 {
                let due = call as f64 / self.rate as f64;
                sleep_until(began + Duration::from_secs_f64(due)).await;
            }
            let outcome = self.call(call).await;
            *lock(&self.outcomes).count_of(&outcome) += 1;
        }
    }

    /// One call, at the servers one after the other until one takes the connection.
    async fn call(&self, call: u64) -> Outcome {
        // The complement, so that which server it is says nothing of the tenant.
        let first = scattered(!call) % self.servers.len().max(1) as u64;
        let (before, from_first) = self.servers.split_at(first as usize);
        for server in from_first.iter().chain(before) {
            let address = *lock(&server.address);
            match timeout(LONGEST_CALL, self.send(call, address)).await {
                Ok(Ok((status, body))) => return Outcome::Answered(status, body),
                Ok(Err(Unanswered::Cut)) => {
                    server.cut.fetch_add(1, Ordering::Relaxed);
                    return Outcome::Cut;
                }
                Ok(Err(Unanswered::NotConnected)) => lock(&self.outcomes).moved += 1,
                Err(_) => break,
            }
        }
        Outcome::Failed
    }

    async fn send(
        &self,
        call: u64,
        address: SocketAddr,
    ) -> Result<(StatusCode, Bytes), Unanswered> {
        let tenant = self.tenants.tenant_of(call);
        let question = format!("Tenant {tenant}, question {call}: how far is it to the river?");
        let body = serde_json::json!({
            "model": "qwen-plus",
            "max_tokens": longest_answer(tenant),
            "messages": [{ "role": "user", "content": question }],
        });
        let request = Request::post(format!("http://{address}{CHAT}"))
            .header(CONTENT_TYPE, "application/json")
            .header(TENANT, name(tenant))
            .header(SENT, micros(self.zero))
            .body(Body::from(body.to_string()));
        // No part of it is of another's making.
        let request = request.map_err(|_| Unanswered::NotConnected)?;
        let answer = self.client.request(request).await;
        let answer = answer.map_err(|error| match error.is_connect() {
            true => Unanswered::NotConnected,
            false => Unanswered::Cut,
        })?;
        let status = answer.status();
        let body = answer.into_body().collect().await;
        let body = body.map_err(|_| Unanswered::Cut)?;
        Ok((status, body.to_bytes()))
    }
}

impl Outcomes {
    fn count_of(&mut self, outcome: &Outcome) -> &mut u64 {
        match outcome {
            Outcome::Answered(StatusCode::OK, _) => &mut self.admitted,
            // 403: a budget for ever has room again at no time, so it is no 429.
            Outcome::Answered(
                StatusCode::FORBIDDEN
                | StatusCode::TOO_MANY_REQUESTS
                | StatusCode::PAYLOAD_TOO_LARGE,
                body,
            ) if is_of_budget(body) => &mut self.rejected_by_budget,
            Outcome::Answered(StatusCode::TOO_MANY_REQUESTS, _) => &mut self.rejected_by_quota,
            Outcome::Answered(StatusCode::SERVICE_UNAVAILABLE, _) => &mut self.store_away,
            Outcome::Cut => &mut self.cut,
            Outcome::Answered(..) | Outcome::Failed => &mut self.failed,
        }
    }
}

/// Whether a rejection names a budget.
fn is_of_budget(body: &Bytes) -> bool {
    let body = String::from_utf8_lossy(body);
    body.contains("budget_exceeded") || body.contains("more than the whole budget")
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
