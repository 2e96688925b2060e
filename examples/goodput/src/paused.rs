//! A run with time paused: no socket, no waiting, the same figures for the same seed.

use std::sync::{Arc, Mutex};

use tower::BoxError;
use tower_qwen_ratelimit::Limiter;

use crate::callers::Work;
use crate::jobs::Jobs;
use crate::measure::Figures;
use crate::peers;
use crate::provider::Provider;
use crate::setup::Setup;
use crate::stack::{Client, stack};

/// Runs our stack in a setup. `limiter` makes the limiter of each process.
///
/// # Panics
///
/// Where no runtime can be had.
#[must_use]
pub fn run(setup: &Setup, limiter: &dyn Fn() -> Limiter, seed: u64) -> Figures {
    run_with(setup, seed, &|transport, seed| {
        stack(transport, limiter(), seed)
    })
}

/// Runs a client in a setup that has exponential backoff and nothing else ([`peers::backoff`]).
///
/// # Panics
///
/// Where no runtime can be had.
#[must_use]
pub fn run_backoff(setup: &Setup, seed: u64) -> Figures {
    // Its random waits are the thread's.
    fastrand::seed(seed);
    let window = setup.provider.window;
    run_with(setup, seed, &|transport, _| {
        peers::backoff(transport, window)
    })
}

fn run_with(setup: &Setup, seed: u64, client: &dyn Fn(Client, u64) -> Client) -> Figures {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without input and output needs nothing");
    runtime.block_on(within(setup, client, seed))
}

async fn within(setup: &Setup, client: &dyn Fn(Client, u64) -> Client, seed: u64) -> Figures {
    let provider = Provider::new(&setup.provider, setup.times, setup.processes, seed);
    let clients: Vec<_> = (0..setup.processes)
        .map(|process| {
            let provider = provider.clone();
            let transport = tower::service_fn(move |request| {
                let provider = provider.clone();
                async move { Ok::<_, BoxError>(provider.answer(request).await) }
            });
            // No two processes wait the same random times.
            client(Client::new(transport), seed + 1_000 * process as u64)
        })
        .collect();
    let work = Work {
        base: "http://provider".into(),
        jobs: Arc::new(Mutex::new(Jobs::new(seed, setup.size, setup.provider.tpm))),
        record: provider.record().clone(),
        times: setup.times,
    };
    let callers = work.start(setup, &clients);
    let whole = setup.provider.window * setup.windows;
    let changes = setup.schedule.keep(&setup.provider, provider.mock());
    let (_, ()) = tokio::join!(tokio::time::sleep(whole), changes);
    drop(callers);
    Figures::new(setup, provider.record().seen())
}
