//! A run by the clock: the provider behind a socket, a minute shortened to some seconds.

use std::io;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use http_body_util::BodyExt;
use tokio::net::TcpListener;

use crate::callers::Work;
use crate::jobs::Jobs;
use crate::measure::Figures;
use crate::peers::{Peer, Told};
use crate::provider::Provider;
use crate::setup::Setup;

/// Runs a client that is given `told` in a setup.
///
/// # Errors
///
/// Where no port can be had, or a program cannot be started.
pub async fn run(setup: &Setup, peer: Peer, told: Told, seed: u64) -> io::Result<Figures> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr()?);
    let provider = Provider::new(&setup.provider, setup.times, setup.processes, seed);
    let serving = tokio::spawn(axum::serve(listener, router(provider.clone())).into_future());
    let work = Work {
        base: base.into(),
        jobs: Arc::new(Mutex::new(Jobs::new(seed, setup.size, setup.provider.tpm))),
        record: provider.record().clone(),
        times: setup.times,
    };
    let callers = peer.start(setup, &work, told, seed)?;
    let whole = setup.provider.window * setup.windows;
    let changes = setup.schedule.keep(&setup.provider, provider.mock());
    let (_, ()) = tokio::join!(tokio::time::sleep(whole), changes);
    let seen = provider.record().seen();
    drop(callers);
    serving.abort();
    Ok(Figures::new(setup, seen))
}

fn router(provider: Provider) -> Router {
    Router::new().fallback(move |request: Request| {
        let provider = provider.clone();
        async move {
            let (head, body) = request.into_parts();
            // All of it, or the connection could not be used again.
            let _ = body.collect().await;
            provider.answer(http::Request::from_parts(head, ())).await
        }
    })
}
