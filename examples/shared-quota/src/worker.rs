//! One of the processes.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anyhow::Context;
use batch::{
    stack::{Stack, transport},
    tally::Tally,
};
use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tower::{Service, ServiceExt};
use tower_qwen_ratelimit::{
    Limiter, Sharing,
    store::redis::{RedisOptions, RedisStore},
};
use tower_qwen_retry::RetryPolicy;
use tower_qwen_tokens::{Ledger, PriceBook, clock};

use crate::args::WorkerArgs;

const LONGEST_END: Duration = Duration::from_secs(5);

/// What a worker got.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(crate) struct Got {
    pub(crate) worker: u32,
    pub(crate) calls: u64,
    pub(crate) failed: u64,
    pub(crate) attempts: u64,
    pub(crate) throttled: u64,
    pub(crate) tokens: u64,
    pub(crate) admitted: u64,
    pub(crate) round_trips: u64,
    pub(crate) outages: u64,
}

/// Calls until its time is over, and writes what it got to the standard output.
pub(crate) async fn run(args: WorkerArgs) -> anyhow::Result<()> {
    let sharing = if args.share.lease {
        Sharing::Lease
    } else {
        Sharing::Booking
    };
    let mut options = RedisOptions::new(&args.redis)?.sharing(sharing);
    if args.share.cluster {
        options = options.cluster();
    }
    if let Some(path) = &args.share.authorities {
        options = options.authorities(&std::fs::read(path)?)?;
    }
    let (store, driver) = RedisStore::with_options(options).await?;
    let driver = tokio::spawn(driver);
    let stack = Stack {
        limiter: Limiter::builder(args.share.quota()).store(&store).build()?,
        ledger: Ledger::new(PriceBook::builtin()),
        tally: Tally::default(),
        policy: RetryPolicy::default(),
    };
    let client = stack.client(transport(args.share.concurrency));
    let end = clock::now() + args.time;
    let (calls, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let callers = (0..args.share.concurrency).map(|caller| {
        let mut client = client.clone();
        let (args, calls, failed) = (&args, &calls, &failed);
        async move {
            for number in 0_u64.. {
                let request = request(args, caller, number)?;
                let answered = async {
                    let response = client.ready().await?.call(request).await?;
                    let is_success = response.status().is_success();
                    response.into_body().collect().await.map_err(Into::into)?;
                    Ok::<_, tower_qwen_ratelimit::BoxError>(is_success)
                };
                let left = end.saturating_duration_since(clock::now());
                // Who still waits for the quota at the end gives up.
                let Ok(answer) = timeout(left, answered).await else {
                    break;
                };
                match answer {
                    Ok(true) => calls.fetch_add(1, Ordering::Relaxed),
                    _ => failed.fetch_add(1, Ordering::Relaxed),
                };
            }
            anyhow::Ok(())
        }
    });
    for ended in join_all(callers).await {
        ended?;
    }
    let attempts = stack.tally.attempts();
    let admitted = stack.limiter.snapshot().iter().map(|a| a.admitted).sum();
    let snapshot = store.snapshot();
    let total = stack.ledger.snapshot().total;
    let got = Got {
        worker: args.number,
        calls: calls.into_inner(),
        failed: failed.into_inner(),
        attempts: attempts.sent,
        throttled: attempts.throttled(),
        tokens: total.input_tokens + total.output_tokens,
        admitted,
        round_trips: snapshot.round_trips,
        outages: snapshot.outages,
    };
    println!("{}", serde_json::to_string(&got)?);
    timeout(LONGEST_END, store.flush()).await.ok();
    drop((stack, client, store));
    timeout(LONGEST_END, driver).await.ok();
    Ok(())
}

fn request(args: &WorkerArgs, caller: usize, number: u64) -> anyhow::Result<Request<Full<Bytes>>> {
    let question = format!(
        "Worker {}, caller {caller}, question {number}: how far is it to the river?",
        args.number
    );
    let body = serde_json::json!({
        "model": "qwen-plus",
        "max_tokens": 400,
        "messages": [{ "role": "user", "content": question }],
    });
    Request::post(format!("{}/compatible-mode/v1/chat/completions", args.base))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body.to_string())))
        .context("a request")
}
