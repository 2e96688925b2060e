//! Starts everything, and looks on.

use std::{net::Ipv4Addr, process::Stdio, time::Duration};
use tokio::time::Instant;

use anyhow::Context;
use futures_util::future::join_all;
use mock_qwen::{Config, MockQwen};
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    time::{sleep_until, timeout},
};

use crate::{args::FleetArgs, redis_server::RedisServer, report::Report, worker::Got};

/// How long a worker may take for its end.
const LONGEST_END: Duration = Duration::from_secs(20);

pub(crate) async fn run(args: &FleetArgs) -> anyhow::Result<()> {
    let own = match &args.redis {
        Some(_) => None,
        None => Some(RedisServer::start().await?),
    };
    let redis = match (&args.redis, &own) {
        (Some(named), _) => named.as_str(),
        (None, Some(own)) => own.url(),
        (None, None) => anyhow::bail!("no server"),
    };
    let (mock, base) = start_mock(args).await?;
    eprintln!(
        "{} workers for {:?}: provider at {base}, store at {redis}",
        args.workers, args.time
    );

    let began = Instant::now();
    let start = |number: u32, time: Duration| worker(args, &base, redis, number, time);
    let mut workers = (0..args.workers)
        .map(|number| start(number, args.time))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut late = None;
    if args.kill {
        sleep_until(began + args.time / 3).await;
        let mut killed = workers.remove(0);
        killed.kill().await?;
        eprintln!("worker 0 is killed");
        sleep_until(began + args.time / 2).await;
        late = Some(start(args.workers, args.time / 2)?);
        eprintln!("worker {} joins", args.workers);
    }
    let whole = join_all(workers.into_iter().map(|worker| end(worker, args.time)));
    let (whole, late) = tokio::join!(whole, async {
        match late {
            Some(worker) => Some(end(worker, args.time).await),
            None => None,
        }
    });
    let whole = whole.into_iter().collect::<anyhow::Result<Vec<Got>>>()?;
    let report = Report::new(whole, late.transpose()?, mock.stats());
    println!("{report}\n{}", serde_json::to_string(&report)?);
    Ok(())
}

async fn start_mock(args: &FleetArgs) -> anyhow::Result<(MockQwen, String)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let base = format!("http://{}", listener.local_addr()?);
    let mock = MockQwen::new(Config {
        rpm: args.share.rpm,
        tpm: args.share.tpm,
        window: args.share.window,
        output_tokens: args.output_tokens,
        ..Config::default()
    });
    tokio::spawn(mock_qwen::serve(listener, mock.clone()));
    Ok((mock, base))
}

fn worker(
    args: &FleetArgs,
    base: &str,
    redis: &str,
    number: u32,
    time: Duration,
) -> anyhow::Result<Child> {
    Command::new(std::env::current_exe()?)
        .arg("worker")
        .args(["--base", base, "--redis", redis])
        .arg(format!("--number={number}"))
        .arg(format!("--for={}ms", time.as_millis()))
        .args(args.share.to_arguments())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("starting a worker")
}

async fn end(worker: Child, time: Duration) -> anyhow::Result<Got> {
    let output = timeout(time + LONGEST_END, worker.wait_with_output())
        .await
        .context("a worker does not end")??;
    anyhow::ensure!(
        output.status.success(),
        "a worker failed: {}",
        output.status
    );
    serde_json::from_slice(&output.stdout).context("what a worker got")
}
