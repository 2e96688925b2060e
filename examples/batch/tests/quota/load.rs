//! A load that always wants more than the quota, through the whole stack, against the provider.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

use axum::body::Body;
use http::{Request, header};
use http_body_util::BodyExt;
use mock_qwen::{Config, MockQwen, Stats};
use tokio::task::JoinSet;
use tower::ServiceExt;
use tower_qwen_ratelimit::{Limiter, Quota, Weight};
use tower_qwen_tokens::{Ledger, PriceBook, ledger::Tenant};

use crate::{
    client::{Client, Wire},
    setting::Setting,
};

/// What a load did.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) stats: Stats,
    pub(crate) calls: u64,
    pub(crate) failed: u64,
    pub(crate) ledger_tokens: u64,
    /// Tokens of each tenant.
    pub(crate) served: Vec<u64>,
}

/// One of those who share a quota.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tenancy {
    /// Calls that it makes at one time.
    pub(crate) callers: usize,
    pub(crate) weight: Weight,
}

/// How calls are made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) callers: usize,
    pub(crate) windows: u32,
    pub(crate) stream: bool,
    /// `max_tokens` of every call.
    pub(crate) ceiling: u64,
    /// The provider's window.
    pub(crate) window: Duration,
    pub(crate) wire: Wire,
}

impl Load {
    pub(crate) fn new(setting: &Setting) -> Self {
        Self {
            callers: 60,
            windows: 21,
            stream: false,
            ceiling: 400,
            window: setting.window,
            wire: setting.wire,
        }
    }

    /// Runs against a provider of `config`, through a limiter of `quota`.
    pub(crate) async fn run(self, config: Config, quota: Quota) -> Outcome {
        self.run_on(&MockQwen::new(config), Limiter::new(quota))
            .await
    }

    /// Runs against this provider, through this limiter.
    pub(crate) async fn run_on(self, provider: &MockQwen, limiter: Limiter) -> Outcome {
        let all = Tenancy {
            callers: self.callers,
            weight: Weight::default(),
        };
        self.run_for(provider, limiter, &[all]).await
    }

    /// The same, for these tenants.
    pub(crate) async fn run_for(
        self,
        provider: &MockQwen,
        limiter: Limiter,
        tenants: &[Tenancy],
    ) -> Outcome {
        let ledger = Ledger::new(PriceBook::builtin());
        let client = self.wire.connect(provider, limiter, &ledger).await;
        let end = Instant::now() + self.window * (self.windows + 1);
        let calls = Arc::new(AtomicU64::new(0));
        let mut callers = JoinSet::new();
        let names: Vec<Tenant> = (0..tenants.len())
            .map(|number| Tenant::new(number.to_string()))
            .collect();
        let each = tenants.iter().zip(&names);
        for (tenancy, name) in each.flat_map(|each| std::iter::repeat_n(each, each.0.callers)) {
            let (client, calls) = (client.clone(), calls.clone());
            let (weight, name) = (tenancy.weight, name.clone());
            callers.spawn(async move {
                let mut failed = 0;
                while Instant::now() < end {
                    let number = calls.fetch_add(1, Ordering::Relaxed);
                    let mut request = self.request(client.base(), number);
                    request.extensions_mut().insert(name.clone());
                    request.extensions_mut().insert(weight);
                    if !call(&client, request).await {
                        failed += 1;
                    }
                }
                failed
            });
        }
        let failed = callers.join_all().await.into_iter().sum();
        let snapshot = ledger.snapshot();
        let total = snapshot.total;
        let served = names.iter().map(|name| {
            let totals = snapshot.tenants.get(name.as_str());
            totals.map_or(0, |totals| totals.input_tokens + totals.output_tokens)
        });
        Outcome {
            stats: provider.stats(),
            calls: calls.load(Ordering::Relaxed),
            failed,
            ledger_tokens: total.input_tokens + total.output_tokens,
            served: served.collect(),
        }
    }

    fn request(self, base: &str, number: u64) -> Request<Body> {
        let words = 20 + number * 37 % 160;
        let prompt = format!(
            "Question {number}: {}",
            "how does a river find the sea ".repeat(words as usize / 7 + 1)
        );
        let stream = if self.stream {
            r#","stream":true,"stream_options":{"include_usage":true}"#
        } else {
            ""
        };
        let body = format!(
            r#"{{"model":"qwen-plus","messages":[{{"role":"user","content":"{prompt}"}}],"max_tokens":{}{stream}}}"#,
            self.ceiling
        );
        Request::post(format!("{base}/compatible-mode/v1/chat/completions"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .unwrap()
    }
}

async fn call(client: &Client, request: Request<Body>) -> bool {
    let answered = client.service().oneshot(request).await;
    let Ok(response) = answered else { return false };
    let ok = response.status().is_success();
    let body = response.into_body().collect().await;
    ok && body.is_ok()
}
