//! One of the processes.

use std::time::Duration;
use tokio::time::Instant;

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
use tokio::time::{sleep, timeout};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_qwen_ratelimit::{
    Limiter, LimiterEvent, Sharing,
    fleet::redis::{RedisOptions, RedisStore},
};
use tower_qwen_retry::RetryPolicy;
use tower_qwen_tokens::{Deadline, Ledger, PriceBook};

use crate::{
    args::WorkerArgs,
    outcome::{Outcomes, Watch},
};

const LONGEST_END: Duration = Duration::from_secs(5);
/// After which a caller that was refused comes again.
const PAUSE: Duration = Duration::from_millis(50);

/// What a worker got.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(crate) struct Got {
    pub(crate) worker: u32,
    #[serde(flatten)]
    pub(crate) outcomes: Outcomes,
    pub(crate) attempts: u64,
    pub(crate) throttled: u64,
    pub(crate) tokens: u64,
    pub(crate) cost: String,
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
    let mut options = RedisOptions::new(&args.redis)?
        .sharing(sharing)
        .outage(args.share.outage.into());
    if args.share.cluster {
        options = options.cluster();
    }
    if let Some(path) = &args.share.authorities {
        options = options.authorities(&std::fs::read(path)?)?;
    }
    let (store, driver) = RedisStore::with_options(options).await?;
    let driver = tokio::spawn(driver);
    let end = Instant::now() + args.time;
    let watch = Watch::new(end - args.share.window);
    let observer = watch.clone();
    let stack = Stack {
        limiter: Limiter::builder(args.share.quota())
            .observe(move |event: &LimiterEvent<'_>| observer.see(event))
            .store(&store)
            .build()?,
        ledger: Ledger::new(PriceBook::builtin()),
        accounts: None,
        tally: Tally::default(),
        policy: RetryPolicy::default(),
        budgets: None,
    };
    let sent = watch.clone();
    let transport = ServiceBuilder::new()
        .map_request(move |request: Request<Full<Bytes>>| {
            sent.reaches(request.extensions().get());
            request
        })
        .service(transport(args.share.concurrency));
    let client = stack.client(transport);
    let callers = (0..args.share.concurrency).map(|caller| {
        let mut client = client.clone();
        let (args, watch) = (&args, &watch);
        async move {
            for number in 0_u64.. {
                let mut request = request(args, caller, number)?;
                let time = args.share.deadline.filter(|_| caller % 4 != 0);
                let deadline = time.map(Deadline::after);
                if let Some(deadline) = deadline {
                    request.extensions_mut().insert(deadline);
                }
                let answered = async {
                    let response = client.ready().await?.call(request).await?;
                    let status = response.status();
                    response.into_body().collect().await.map_err(Into::into)?;
                    Ok(status)
                };
                let left = end.saturating_duration_since(Instant::now());
                // Who still waits for the quota at the end gives up.
                let Ok(answer) = timeout(left, answered).await else {
                    break;
                };
                if !watch.ended(&answer, deadline.as_ref()) {
                    sleep(PAUSE).await;
                }
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
    let cost: Vec<String> = total.cost.iter().map(ToString::to_string).collect();
    let got = Got {
        worker: args.number,
        outcomes: watch.outcomes(),
        attempts: attempts.sent,
        throttled: attempts.throttled(),
        tokens: total.input_tokens + total.output_tokens,
        cost: cost.join(" + "),
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
