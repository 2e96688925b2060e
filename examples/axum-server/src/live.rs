//! What holds now, and how it changes: a reload of the file, and changes by the admin API.

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{Arc, MutexGuard, PoisonError},
};

use tower_qwen_ratelimit::{Quota, Quotas};
use tracing::{error, info, warn};

use crate::{
    args::Args,
    callers::Callers,
    client::Shared,
    config::{ANY, File, Plan, Problems, State, Store},
    gateway::{Clients, Gateway},
    routes::{Member, Routes},
    target::Target,
    upstream::Upstream,
};

/// What holds now. Replaced as a whole, so that each call meets one or the other.
#[derive(Debug)]
pub struct Live {
    /// The command line with what the file says.
    pub(crate) args: Args,
    /// Who may call.
    pub(crate) callers: Callers,
    /// Where calls go.
    pub(crate) routes: Arc<Routes>,
}

/// What is written: the operator's file and the admin API's changes, as they were taken last.
#[derive(Debug)]
pub(crate) struct Held {
    started: Args,
    pub(crate) file: Option<File>,
    pub(crate) state: State,
    /// What only a restart changes, as it was at the start.
    fixed: Fixed,
}

/// Settings that a reload does not change.
#[derive(Debug)]
struct Fixed {
    args: Args,
    store: Option<Store>,
}

/// What a reload came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Reloaded {
    /// Settings that have changed in the file, and change here at the next start.
    pub at_next_start: Vec<&'static str>,
}

/// Why the admin API does not change something.
#[derive(Debug)]
pub enum NoChange {
    /// With it the configuration would be unsound.
    Unsound(Problems),
    /// It could not be stored.
    Unsaved(std::io::Error),
}

impl Live {
    pub(crate) fn new(
        plan: &Plan,
        target: &Target,
        clients: &Clients,
        shared: &Shared,
    ) -> anyhow::Result<Self> {
        let client = |members: &[Member]| clients.client(&plan.args, shared, members);
        let routes = if plan.upstreams.is_empty() {
            Routes::to_one(Upstream::of_flags(&plan.args, target)?, client)?
        } else {
            Routes::new(&plan.upstreams, client)?
        };
        Ok(Self {
            args: plan.args.clone(),
            callers: Callers::default(),
            routes: Arc::new(routes),
        })
    }

    pub(crate) fn with_callers(self, callers: Callers) -> Self {
        Self { callers, ..self }
    }
}

impl Live {
    /// All models that the operator names: of upstreams, as callers and they call them, and of callers.
    pub(crate) fn names(&self) -> HashSet<Box<str>> {
        let of_callers = self.callers.models().cloned();
        self.routes.names().chain(of_callers).collect()
    }
}

impl Held {
    pub(crate) fn new(started: Args, file: Option<File>, state: State, plan: &Plan) -> Self {
        Self {
            started,
            file,
            state,
            fixed: Fixed::of(plan),
        }
    }

    /// Where the admin API's changes lie.
    pub(crate) fn state_file(&self) -> Option<&PathBuf> {
        self.fixed.args.state.as_ref()
    }
}

impl Fixed {
    fn of(plan: &Plan) -> Self {
        Self {
            args: plan.args.clone(),
            store: plan.store.clone(),
        }
    }

    /// The names of what is another one in `later`.
    fn changed(&self, later: &Self) -> Vec<&'static str> {
        let (own, other) = (&self.args, &later.args);
        let rows = [
            ("listen", own.listen != other.listen),
            ("drain", own.drain != other.drain),
            ("grace", own.grace != other.grace),
            ("tls_cert", own.tls_cert != other.tls_cert),
            ("tls_key", own.tls_key != other.tls_key),
            ("cors_origins", own.cors_origins != other.cors_origins),
            ("pass_headers", own.pass_headers != other.pass_headers),
            ("log_format", own.log_format != other.log_format),
            ("state", own.state != other.state),
            ("[ledger]", own.ledger != other.ledger),
            ("[store]", self.store != later.store),
            ("max_body", own.max_body != other.max_body),
            (
                "decompression",
                own.no_decompression != other.no_decompression,
            ),
            ("[limits]", own.limits != other.limits),
        ];
        let changed = rows.into_iter().filter(|(_, has_changed)| *has_changed);
        changed.map(|(name, _)| name).collect()
    }
}

impl Gateway {
    /// What holds now.
    #[must_use]
    pub fn live(&self) -> Arc<Live> {
        // Replaced in one step, so it is whole also where a panic has poisoned the lock.
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        live.clone()
    }

    pub(crate) fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the files of the configuration again, and takes them if all of it is sound. Calls under way go on as they began.
    /// It reads and waits for the disk.
    ///
    /// # Errors
    ///
    /// All that is wrong; then everything stays as it was.
    pub fn reload(&self) -> Result<Reloaded, Problems> {
        let reloaded = self.try_reload();
        let bad = reloaded.as_ref().err();
        self.readiness
            .set_bad_configuration(bad.map(ToString::to_string));
        match &reloaded {
            Ok(Reloaded { at_next_start }) if at_next_start.is_empty() => info!("reloaded"),
            Ok(Reloaded { at_next_start }) => {
                warn!(
                    ?at_next_start,
                    "reloaded; some settings change at the next start"
                );
            }
            Err(problems) => error!("nothing is reloaded: {problems}"),
        }
        reloaded
    }

    fn try_reload(&self) -> Result<Reloaded, Problems> {
        let mut held = self.held();
        let file = match &held.started.config {
            Some(path) => Some(File::open(path)?),
            None => None,
        };
        // Not read again: this process alone writes it.
        let plan = Plan::new(&held.started, file.as_ref(), &held.state)?;
        let at_next_start = held.fixed.changed(&Fixed::of(&plan));
        self.take(plan)?;
        held.file = file;
        Ok(Reloaded { at_next_start })
    }

    /// Changes callers and groups: checked whole, stored, and only then taken. It waits for the disk.
    ///
    /// # Errors
    ///
    /// [`NoChange`], or what `change` itself returns; then everything stays as it was.
    pub(crate) fn change<T, E: From<NoChange>>(
        &self,
        change: impl FnOnce(&mut State, Option<&File>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut held = self.held();
        let mut state = held.state.clone();
        let done = change(&mut state, held.file.as_ref())?;
        let plan = Plan::new(&held.started, held.file.as_ref(), &state);
        let plan = plan.map_err(NoChange::Unsound)?;
        match held.state_file() {
            Some(path) => state.save(path).map_err(NoChange::Unsaved)?,
            None => {
                warn!("a change by the admin API ends with this process: start it with --state")
            }
        }
        self.take(plan).map_err(NoChange::Unsound)?;
        held.state = state;
        Ok(done)
    }

    /// Puts a plan in the place of the one so far.
    fn take(&self, plan: Plan) -> Result<(), Problems> {
        let live = Live::new(&plan, &self.target, &self.clients, &self.shared);
        let live = live.map_err(|error| Problems::one(format!("{error:#}")))?;
        let upstreams = upstream_quotas(&plan);
        // All of it is checked, but for what a store does not share.
        let changed = self.shared.limiter.change_quotas(|_| upstreams);
        changed.map_err(|error| Problems::one(format!("the upstreams' quotas: {error}")))?;
        let changed = self.callers.change_quotas(|_| plan.quotas);
        changed.map_err(|error| Problems::one(format!("the callers' quotas: {error}")))?;
        let changed = self.budgets.set_table(plan.budgets);
        changed.map_err(|error| Problems::one(format!("the budgets: {error}")))?;
        self.budgets.set_prices(plan.prices.clone(), plan.rates);
        self.ledger.set_prices(plan.prices.clone());
        let live = Arc::new(live.with_callers(plan.callers));
        self.model_places.set_known(live.names(), plan.prices);
        self.upstream_sums.set_routes(live.routes.clone());
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = live;
        Ok(())
    }
}

/// What the upstreams grant, per model.
pub(crate) fn upstream_quotas(plan: &Plan) -> Quotas {
    let args = &plan.args;
    let default = match plan.upstreams.is_empty() {
        true => args.upstream_quota(),
        // No mock, whatever the command line says of an upstream.
        false => Quota::per_minute(
            args.upstream_rpm.unwrap_or(ANY),
            args.upstream_tpm.unwrap_or(ANY),
        ),
    };
    let quotas = Quotas::new(default);
    plan.upstreams
        .iter()
        .fold(quotas, |quotas, upstream| match upstream.quota {
            Some(quota) => quotas.account(&upstream.name, quota),
            None => quotas,
        })
}
