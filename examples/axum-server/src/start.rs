//! From the command line to the end of the last call.

use std::{sync::Arc, time::Duration};

use tokio::net::TcpListener;
use tracing::info;

use crate::{
    args::Args,
    client,
    gateway::Gateway,
    metrics, mock,
    serve::{serve, told_to_stop},
};

/// How often the recorder of metrics tidies up.
const UPKEEP: Duration = Duration::from_secs(5);

/// Far longer than from setting the gauges to showing them, whoever else asks for them meanwhile.
const IDLE: Duration = Duration::from_secs(60);

/// Runs the gateway until it is told to stop.
///
/// # Errors
///
/// When it cannot be set up, or its listener fails.
pub async fn start(mut args: Args) -> anyhow::Result<Arc<Gateway>> {
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

    let target = match &args.upstream {
        Some(target) => target.clone(),
        None => {
            if args.keys.is_empty() && args.keys_file.is_none() {
                args.keys = vec!["demo=sk-demo".to_owned().into()];
                info!("the key of this demonstration is sk-demo");
            }
            mock::start().await?
        }
    };
    let (listen, grace) = (args.listen, args.grace);
    let upstream = target.to_string();
    let gateway = Arc::new(Gateway::new(args, target, client::transport(), handle)?);
    let listener = TcpListener::bind(listen).await?;
    info!(upstream, "listening on http://{}", listener.local_addr()?);
    serve(listener, gateway.router(), told_to_stop(), grace).await?;
    Ok(gateway)
}
