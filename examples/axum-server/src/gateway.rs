//! What the parts of the gateway share.

use std::{fs, sync::Arc, time::Duration};

use anyhow::Context;
use axum::body::{Body, Bytes};
use http::{Request, Response};
use metrics_exporter_prometheus::PrometheusHandle;
use tower::Service;
use tower_qwen_ratelimit::{
    Discipline, EnforceLayer, KeyOf, Limiter, LimiterEvent,
    observe::{LimiterMetrics, LimiterObserver},
};
use tower_qwen_tokens::{
    Ledger, PriceBook,
    call::{BoxError, ReadOptions},
    ledger::{JsonLines, MetricsSink, Tenant},
};
use tracing::info;

use crate::{
    args::Args,
    callers::Callers,
    client::{self, Attempts, Client},
    forward::Forward,
    target::Target,
};

/// The gateway: its layers' state, and whom it serves.
#[derive(Debug)]
pub struct Gateway {
    pub(crate) args: Args,
    pub(crate) callers: Arc<Callers>,
    /// Every call of a caller, once.
    pub(crate) ledger: Ledger,
    /// How often the upstream was asked.
    pub(crate) attempts: Attempts,
    pub(crate) enforce: EnforceLayer,
    /// The upstream's quota.
    pub(crate) upstream: Limiter,
    pub(crate) observer: LimiterMetrics,
    pub(crate) metrics: PrometheusHandle,
    pub(crate) forward: Forward,
    file: Option<Arc<JsonLines>>,
}

impl Gateway {
    /// A gateway to this target over this transport. Make it after the recorder of metrics is installed.
    ///
    /// # Errors
    ///
    /// When the file of keys or the ledger's cannot be opened or read, or nobody may call.
    pub fn new<T, B>(
        args: Args,
        target: Target,
        transport: T,
        metrics: PrometheusHandle,
    ) -> anyhow::Result<Self>
    where
        T: Service<
                Request<Body>,
                Response = Response<B>,
                Error: Into<BoxError>,
                Future: Send + 'static,
            > + Clone
            + Send
            + Sync
            + 'static,
        B: http_body::Body<Data = Bytes, Error: Into<BoxError> + Send> + Send + 'static,
    {
        let callers = callers(&args)?;
        let mut ledger = Ledger::new(PriceBook::builtin()).with_sink(Arc::new(MetricsSink::new()));
        let mut file = None;
        if let Some(path) = &args.ledger {
            let lines = Arc::new(
                JsonLines::open(path).with_context(|| format!("the ledger {}", path.display()))?,
            );
            ledger = ledger.with_sink(lines.clone());
            file = Some(lines);
        }
        let observer = LimiterMetrics::new();
        let of_upstream = observer.clone();
        let upstream = Limiter::builder(args.upstream_quota())
            // Callers share the upstream's quota fairly, whoever is the busiest.
            .discipline(Discipline::Fair)
            .max_keys(1_024)
            .observe(move |event: &LimiterEvent<'_>| {
                // What happens to every call stands in the ledger's figures.
                if !matches!(event, LimiterEvent::Settled { .. }) && !is_at_once(event) {
                    of_upstream.on_event(event);
                }
            })
            .build()?;
        let enforce = EnforceLayer::new(
            Limiter::builder(args.callers_quota()).build()?,
            KeyOf::extension::<Tenant>(),
        )
        .read_options(ReadOptions::default().max_body(args.max_body));
        let attempts = Attempts::default();
        let client: Client = if args.bare {
            client::bare(transport)
        } else {
            client::stack(&args, &upstream, &attempts, transport)
        };
        let key = match &args.upstream_key {
            Some(key) => Some(key.key().context("the upstream's key")?.bearer()),
            None => None,
        };
        let forward = Forward {
            client,
            target: Arc::new(target),
            key,
        };
        Ok(Self {
            args,
            callers: Arc::new(callers),
            ledger,
            attempts,
            enforce,
            upstream,
            observer,
            metrics,
            forward,
            file,
        })
    }

    /// Every call of a caller, summed up.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// How often the upstream was asked.
    #[must_use]
    pub fn attempts(&self) -> u64 {
        self.attempts.count()
    }

    /// The upstream's quota, and what was used of it.
    #[must_use]
    pub fn upstream(&self) -> &Limiter {
        &self.upstream
    }

    /// Forces the ledger's file to the disk, and says what it came to.
    ///
    /// # Errors
    ///
    /// When that fails, or lines were lost before.
    pub fn flush(&self) -> anyhow::Result<()> {
        let total = self.ledger.snapshot().total;
        info!(
            calls = total.calls,
            failed = total.failed,
            cancelled = total.cancelled,
            input_tokens = total.input_tokens,
            output_tokens = total.output_tokens,
            "stopped"
        );
        let Some(file) = &self.file else {
            return Ok(());
        };
        file.sync().context("the ledger's file")?;
        match file.lost() {
            0 => Ok(()),
            lost => anyhow::bail!("{lost} calls are missing in the ledger's file"),
        }
    }
}

/// A call that had its turn without waiting: what passes from its arrival to its turn is no wait then, but work.
fn is_at_once(event: &LimiterEvent<'_>) -> bool {
    matches!(event, LimiterEvent::Admitted { waited, .. } if *waited < Duration::from_millis(1))
}

fn callers(args: &Args) -> anyhow::Result<Callers> {
    let mut callers = Callers::default();
    if let Some(path) = &args.keys_file {
        let name = || format!("the keys {}", path.display());
        callers
            .add_lines(&fs::read_to_string(path).with_context(name)?)
            .with_context(name)?;
    }
    for key in &args.keys {
        callers.add(key.caller().context("--key")?)?;
    }
    if let Some(key) = &args.admin_key {
        callers.set_admin(key.key().context("the admin's key")?);
    }
    anyhow::ensure!(
        !callers.is_empty(),
        "nobody may call: name a caller with --key or --keys"
    );
    Ok(callers)
}
