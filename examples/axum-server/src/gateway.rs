//! What the parts of the gateway share.

use std::{
    fmt,
    sync::{Arc, Mutex, RwLock},
};

use anyhow::Context;
use axum::body::{Body, Bytes};
use http::{Request, Response};
use metrics_exporter_prometheus::PrometheusHandle;
use tower::Service;
use tower_qwen_ratelimit::{
    Budgets, Discipline, EnforceLayer, KeyOf, Limiter, LimiterEvent,
    fleet::redis::RedisStore,
    observe::{BudgetMetrics, LimiterMetrics, LimiterObserver},
};
use tower_qwen_retry::RetryBudget;
use tower_qwen_tokens::{
    Ledger,
    call::{BoxError, ReadOptions},
    ledger::{MetricsSink, Tenant},
};
use tracing::{info, warn};

#[cfg(feature = "otlp")]
use crate::otlp::Telemetry;
use crate::{
    args::Args,
    call_metrics::CallMetrics,
    client::{self, Client, Shared},
    config::Config,
    history,
    ledger_file::LedgerFile,
    live::{Held, Live, upstream_quotas},
    log::LogCounts,
    model_places::ModelPlaces,
    page::{History, Viewers, session::Sessions},
    readiness::Readiness,
    routes::Member,
    target::Target,
    tries::Tries,
    under_way::UnderWay,
    upstream_sums::UpstreamSums,
};

/// As many as Retry's own default allows, for the routes of all models together.
const RETRIES: (u32, u32) = (20, 100);

/// The gateway: its layers' state, and whom it serves.
#[derive(Debug)]
pub struct Gateway {
    /// As it was at the start: what only a restart changes.
    pub(crate) args: Args,
    /// What a reload and the admin API change.
    pub(crate) live: RwLock<Arc<Live>>,
    /// What that was made of. Locked for as long as a change takes.
    pub(crate) held: Mutex<Held>,
    /// Every call of a caller, once.
    pub(crate) ledger: Ledger,
    pub(crate) enforce: EnforceLayer,
    /// The callers' quotas.
    pub(crate) callers: Limiter,
    /// What callers and groups may spend.
    pub(crate) budgets: Budgets,
    /// What the stacks to the upstreams share: their quotas for one.
    pub(crate) shared: Shared,
    pub(crate) observer: LimiterMetrics,
    pub(crate) budget_metrics: BudgetMetrics,
    pub(crate) call_metrics: CallMetrics,
    /// Every call, by its upstream.
    pub(crate) upstream_sums: UpstreamSums,
    pub(crate) metrics: PrometheusHandle,
    /// Where calls go if the configuration does not say it.
    pub(crate) target: Target,
    pub(crate) clients: Clients,
    /// What callers' calls hold while they are under way.
    pub(crate) under_way: UnderWay,
    pub(crate) readiness: Readiness,
    /// Which models the figures show by their names.
    pub(crate) model_places: ModelPlaces,
    /// The wrong keys of late.
    pub(crate) tries: Tries,
    /// Who has logged in to the page.
    pub(crate) sessions: Sessions,
    pub(crate) viewers: Viewers,
    pub(crate) history: History,
    file: Option<Arc<LedgerFile>>,
    log: LogCounts,
    #[cfg(feature = "otlp")]
    pub(crate) telemetry: Option<Telemetry>,
}

/// Makes a client of the upstreams of a route.
pub(crate) struct Clients(Box<MakeClient>);

type MakeClient = dyn Fn(&Args, &Shared, &[Member]) -> anyhow::Result<Client> + Send + Sync;

impl Clients {
    pub(crate) fn client(
        &self,
        args: &Args,
        shared: &Shared,
        members: &[Member],
    ) -> anyhow::Result<Client> {
        (self.0)(args, shared, members)
    }
}

impl Gateway {
    /// A gateway over this transport, as the command line says; to this target if that names none. Make it after the
    /// recorder of metrics is installed.
    ///
    /// # Errors
    ///
    /// When the configuration is unsound, or the ledger's file cannot be opened or read.
    pub fn new<T, B>(
        args: &Args,
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
        Self::with(Config::load(args)?, None, target, transport, metrics)
    }

    /// The same by a configuration that was read, over the store that it names.
    ///
    /// # Errors
    ///
    /// When the ledger's file cannot be opened or read.
    pub fn with<T, B>(
        config: Config,
        store: Option<&RedisStore>,
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
        let Config {
            started,
            file: said,
            state,
            plan,
        } = config;
        let args = plan.args.clone();
        let budget_metrics = BudgetMetrics::new();
        let mut budgets = Budgets::builder(plan.prices.clone())
            .rates(plan.rates.clone())
            .table(plan.budgets.clone())
            .observe(budget_metrics.clone());
        if let Some(store) = store {
            budgets = budgets.store(store);
        }
        let budgets = budgets.build().context("the budgets")?;
        let upstream_sums = UpstreamSums::default();
        let call_metrics = CallMetrics::new(upstream_sums.clone());
        let model_places = ModelPlaces::default();
        let (of_calls, figures) = (model_places.clone(), MetricsSink::new());
        let mut ledger = Ledger::new(plan.prices.clone())
            .only_models(move |entry| of_calls.take(entry))
            .with_sink(Arc::new(figures.only_models(model_places.allowed())))
            .with_sink(Arc::new(call_metrics.clone()));
        if let Some(store) = store {
            ledger = ledger.with_sink(Arc::new(store.ledger()));
        }
        #[cfg(feature = "otlp")]
        let telemetry = Telemetry::from_env().context("OpenTelemetry")?;
        #[cfg(feature = "otlp")]
        if let Some(figures) = telemetry.as_ref().and_then(|it| it.figures(&model_places)) {
            ledger = ledger.with_sink(figures);
        }
        let mut file = None;
        if let Some(path) = &args.ledger {
            // It cuts a torn line off, which would be none that can be read.
            let lines = Arc::new(LedgerFile::open(path)?);
            ledger = ledger.with_sink(lines.clone());
            file = Some(lines);
        }
        crate::metrics::describe();
        let observer = LimiterMetrics::new().only_models(model_places.allowed());
        let of_upstream = observer.clone();
        let mut upstreams = Limiter::builder(upstream_quotas(&plan))
            // Callers share the upstream's quota fairly, whoever is the busiest.
            .discipline(Discipline::Fair)
            // Invented models have accounts too, until their window is over: more of them than the figures have places, so that
            // who names many within a minute leaves the others theirs.
            .max_keys(4_096)
            .observe(move |event: &LimiterEvent<'_>| {
                // What every call cost stands in the ledger's figures.
                if !matches!(event, LimiterEvent::Settled { .. }) {
                    of_upstream.on_event(event);
                }
            });
        if let Some(store) = store {
            upstreams = upstreams.store(store);
        }
        let mut callers = Limiter::builder(plan.quotas.clone());
        if let Some(store) = store {
            callers = callers.callers_store(store);
        }
        let callers = callers.build()?;
        let enforce = EnforceLayer::new(callers.clone(), KeyOf::extension::<Tenant>())
            .budgets(budgets.clone())
            // Of strangers: no body is read for whom no request is left.
            .charge_before_read()
            .read_options(ReadOptions::default().max_body(args.max_body));
        let shared = Shared {
            limiter: upstreams.build()?,
            budget: RetryBudget::new(RETRIES.0, RETRIES.1),
            attempts: client::Attempts::default(),
            model_places: model_places.clone(),
        };
        let clients = Clients(Box::new(move |args, shared, members| {
            Ok(match args.bare {
                true => client::bare(transport.clone()),
                false => client::stack(args, shared, members, transport.clone())?,
            })
        }));
        if args.upstream.is_some() && args.upstream_key.is_none() && plan.upstreams.is_empty() {
            warn!("calls go to the upstream without a key: --upstream-key names one");
        }
        for upstream in plan.upstreams.iter().filter(|it| it.api_key.is_none()) {
            warn!(
                upstream = upstream.name,
                "calls go to this upstream without a key"
            );
        }
        let live = Live::new(&plan, &target, &clients, &shared)?;
        upstream_sums.set_routes(live.routes.clone());
        let held = Held::new(started, said, state, &plan);
        let live = live.with_callers(plan.callers);
        model_places.set_known(live.names(), plan.prices.clone());
        // Names of earlier calls take their places again.
        if let Some(path) = &args.ledger {
            history::restore(path, plan.longest_period, &budgets, |record| {
                ledger.restore(record);
                upstream_sums.add(record);
            })
            .with_context(|| format!("the ledger {}", path.display()))?;
        }
        let under_way = UnderWay::new(&args.limits, args.max_body);
        Ok(Self {
            args,
            held: Mutex::new(held),
            live: RwLock::new(Arc::new(live)),
            ledger,
            enforce,
            callers,
            budgets,
            shared,
            observer,
            budget_metrics,
            call_metrics,
            upstream_sums,
            metrics,
            target,
            clients,
            under_way,
            readiness: Readiness::default(),
            model_places,
            tries: Tries::default(),
            sessions: Sessions::default(),
            viewers: Viewers::default(),
            history: History::default(),
            file,
            log: LogCounts::default(),
            #[cfg(feature = "otlp")]
            telemetry,
        })
    }

    /// The same, which says in `/metrics` what became of this log.
    #[must_use]
    pub fn count_log(mut self, log: LogCounts) -> Self {
        self.log = log;
        self
    }

    /// How many lines of the log were lost.
    #[must_use]
    pub fn log_lost(&self) -> u64 {
        self.log.lost()
    }

    /// Every call of a caller, summed up.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// How often the upstream was asked.
    #[must_use]
    pub fn attempts(&self) -> u64 {
        self.shared.attempts.count()
    }

    /// The upstreams' quotas, and what was used of them.
    #[must_use]
    pub fn upstream(&self) -> &Limiter {
        &self.shared.limiter
    }

    /// What callers and groups may spend, and what they have spent.
    #[must_use]
    pub fn budgets(&self) -> &Budgets {
        &self.budgets
    }

    /// Whether new calls should come; see [`Readiness`].
    #[must_use]
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// How many calls are missing in the ledger's file for good, since they could not be written.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.file.as_ref().map_or(0, |file| file.lost())
    }

    /// How many calls could not be written to the ledger's file so far, and wait.
    #[must_use]
    pub fn unwritten(&self) -> u64 {
        self.file.as_ref().map_or(0, |file| file.unwritten())
    }

    /// Opens the ledger's file again, if it was moved.
    ///
    /// # Errors
    ///
    /// When it cannot be opened; the former one is written on.
    pub fn reopen(&self) -> anyhow::Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| file.reopen())
    }

    /// Forces the ledger's file to the disk, and says what it came to.
    ///
    /// # Errors
    ///
    /// When that fails, or lines were lost before.
    pub fn flush(&self) -> anyhow::Result<()> {
        #[cfg(feature = "otlp")]
        if let Some(telemetry) = &self.telemetry {
            telemetry.shut_down();
        }
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
        let synced = file.sync().context("the ledger's file");
        match file.lost() + file.unwritten() {
            0 => synced,
            missing => anyhow::bail!("{missing} calls are missing in the ledger's file"),
        }
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clients")
    }
}
