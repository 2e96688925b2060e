//! From the configuration to the end of the last call.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use tokio::{net::TcpListener, sync::mpsc};
use tower_qwen_ratelimit::{
    OutagePolicy,
    fleet::redis::{RedisOptions, RedisStore},
};
use tracing::{error, info, warn};

use crate::{
    args::Args,
    client,
    config::{Config, Problems, Store},
    gateway::Gateway,
    log::LogCounts,
    metrics, mock,
    serve::{Serve, Tls, outlive_file_limits, reloads, serve, stops},
};

/// How often the recorder of metrics tidies up.
const UPKEEP: Duration = Duration::from_secs(5);

/// How often the page's figures are noted.
const HISTORY: Duration = Duration::from_secs(5);

/// Far longer than from setting the gauges to showing them, whoever else asks for them meanwhile.
const IDLE: Duration = Duration::from_secs(60);

/// How long the end waits for a store that is away.
const LAST_REPORT: Duration = Duration::from_secs(2);

/// Reads the configuration. Where the command line names no caller, and neither it nor the file names an upstream, it is that of
/// a demonstration.
///
/// # Errors
///
/// All that is wrong in it.
pub fn configure(mut args: Args) -> Result<Config, Problems> {
    let has_callers = !args.keys.is_empty() || args.keys_file.is_some();
    if args.config.is_none() && args.upstream.is_none() && !has_callers {
        args.keys = vec!["demo=sk-demo".to_owned().into()];
    }
    Config::load(&args)
}

/// Runs the gateway until it is told to stop. `/metrics` says what became of the log.
///
/// # Errors
///
/// When it cannot be set up, or its listener fails.
pub async fn start(config: Config, log: LogCounts) -> anyhow::Result<Arc<Gateway>> {
    outlive_file_limits()?;
    let recorder = metrics::recorder(IDLE)?;
    let handle = recorder.handle();
    ::metrics::set_global_recorder(recorder)?;
    let upkeep = handle.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            upkeep.run_upkeep();
        }
    });

    let (args, upstreams) = (&config.plan.args, &config.plan.upstreams);
    let names = upstreams
        .iter()
        .filter_map(|it| Some(it.base_url.as_ref()?.to_string()));
    let target = match (upstreams.first(), &args.upstream) {
        (Some(first), _) => first
            .base_url
            .clone()
            .context("an upstream without an address")?,
        (None, Some(target)) => target.clone(),
        (None, None) => {
            if config.started.config.is_none() && args.keys_file.is_none() && args.keys.len() == 1 {
                info!("the key of this demonstration is sk-demo");
            }
            mock::start().await?
        }
    };
    let upstream = match upstreams.is_empty() {
        true => target.to_string(),
        false => names.collect::<Vec<_>>().join(" "),
    };
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(certificates), Some(key)) => Some(Tls::open(certificates.clone(), key.clone())?),
        _ => None,
    };
    let store = match &config.plan.store {
        Some(store) => Some((connect(store).await.context("the store")?, store.outage)),
        None => None,
    };
    let listen = args.listen;
    let (limits, drain, grace) = (args.limits.clone(), args.drain, args.grace);
    let transport = client::transport();
    #[cfg(feature = "otlp")]
    let transport = crate::otlp::Traced::new(transport);
    let of_fleet = store.as_ref().map(|(store, _)| store);
    let gateway = Gateway::with(config, of_fleet, target, transport, handle)?;
    let gateway = Arc::new(gateway.count_log(log));
    let noted = Arc::downgrade(&gateway);
    tokio::spawn(async move {
        while let Some(gateway) = noted.upgrade() {
            gateway.note_history();
            drop(gateway);
            tokio::time::sleep(HISTORY).await;
        }
    });
    let listener = TcpListener::bind(listen).await?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    if limits.is_short_of_files() {
        let connections = limits.connections();
        warn!(
            connections,
            "the limit of open files leaves no room for more"
        );
    }
    let readiness = gateway.readiness().clone();
    if let Some((store, OutagePolicy::Reject)) = &store {
        let store = store.clone();
        readiness.watch_store(move || store.snapshot().is_away);
    }
    // Before anybody can know that it runs: a signal must not end it.
    let stops = stops()?;
    tokio::spawn(reload(reloads()?, tls.clone(), gateway.clone()));
    let settings = Serve {
        limits,
        tls,
        drain,
        grace,
        readiness,
    };
    info!(
        upstream,
        "listening on {scheme}://{}",
        listener.local_addr()?
    );
    serve(listener, gateway.router(), settings, stops).await?;
    if let Some((store, _)) = store {
        // What is not reported stays at its estimate.
        let _ = tokio::time::timeout(LAST_REPORT, store.flush()).await;
    }
    Ok(gateway)
}

async fn connect(store: &Store) -> anyhow::Result<RedisStore> {
    let mut options = RedisOptions::new(&store.redis)?
        .sharing(store.sharing)
        .outage(store.outage);
    if let Some(namespace) = &store.namespace {
        options = options.namespace(namespace);
    }
    let (store, driver) = RedisStore::with_options(options).await?;
    tokio::spawn(driver);
    Ok(store)
}

/// Reads again, at each SIGHUP, what can change while it serves: the configuration, the certificate, and the ledger's file, if
/// it was moved. What cannot be read stays as it was.
async fn reload(mut reloads: mpsc::Receiver<()>, tls: Option<Tls>, gateway: Arc<Gateway>) {
    while reloads.recv().await.is_some() {
        let (tls, gateway) = (tls.clone(), gateway.clone());
        let reload = move || {
            // It says itself what came of it.
            let _ = gateway.reload();
            let certificate = tls.as_ref().map_or(Ok(()), Tls::reload);
            match certificate.and(gateway.reopen()) {
                Ok(()) => info!("certificate and ledger were opened again"),
                Err(bad) => {
                    let why = format!("{bad:#}");
                    error!(why, "not opened again");
                    gateway.readiness().set_bad_configuration(Some(why));
                }
            }
        };
        // Without its pool for such work the runtime is about to end.
        let _ = tokio::task::spawn_blocking(reload).await;
    }
}
