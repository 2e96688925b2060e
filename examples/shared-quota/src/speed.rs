//! How many calls a process admits in a second: in memory, leased, and booked one by one.

use std::time::Duration;
use tokio::time::Instant;

use anyhow::Context;
use futures_util::future::join_all;
use serde::Serialize;
use tower_qwen_ratelimit::{
    Cost, Key, Limiter, OutputLimit, Quota, Sharing,
    fleet::redis::{RedisOptions, RedisStore},
};

use crate::args::SpeedArgs;

/// Calls a second.
#[derive(Debug, Serialize)]
struct Speed {
    memory: f64,
    leased: f64,
    leased_of_memory: f64,
    booked_one_by_one: f64,
    booked_by_64_callers: f64,
}

const ROUNDS: usize = 9;

pub(crate) async fn run(args: SpeedArgs) -> anyhow::Result<()> {
    // So much that nobody ever waits for it.
    let quota = Quota::per_minute(1 << 42, 1 << 50);
    let memory = Limiter::new(quota);
    let leased = shared(&args.redis, quota, Sharing::Lease).await?;
    let booked = shared(&args.redis, quota, Sharing::Booking).await?;
    for limiter in [&memory, &leased, &booked] {
        admit(limiter, 1_000).await?;
    }
    // A lease grows with what is used.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (mut of_memory, mut of_lease) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        of_memory.push(admit(&memory, 50_000).await?);
        of_lease.push(admit(&leased, 50_000).await?);
    }
    let (memory, leased) = (median(of_memory)?, median(of_lease)?);
    let one_by_one = admit(&booked, 5_000).await?;
    let began = Instant::now();
    for admitted in join_all((0..64).map(|_| admit(&booked, 200))).await {
        admitted?;
    }
    let by_64_callers = 64.0 * 200.0 / began.elapsed().as_secs_f64();
    let speed = Speed {
        memory,
        leased,
        leased_of_memory: leased / memory,
        booked_one_by_one: one_by_one,
        booked_by_64_callers: by_64_callers,
    };
    println!("{}", serde_json::to_string(&speed)?);
    Ok(())
}

async fn shared(redis: &str, quota: Quota, sharing: Sharing) -> anyhow::Result<Limiter> {
    let options = RedisOptions::new(redis)?
        .sharing(sharing)
        .namespace(&format!("speed-{sharing:?}"));
    let (store, driver) = RedisStore::with_options(options).await?;
    tokio::spawn(driver);
    Ok(Limiter::builder(quota).store(&store).build()?)
}

/// Admits and settles so many calls, one after the other; says how many a second.
async fn admit(limiter: &Limiter, calls: u32) -> anyhow::Result<f64> {
    let key = Key::new("https://provider", "qwen-plus");
    let began = Instant::now();
    for _ in 0..calls {
        let call = limiter.acquire(&key, Cost::new(100, OutputLimit::AtMost(100)));
        let call = call.await?;
        call.mark_sent();
        call.settle(100, 50);
    }
    Ok(f64::from(calls) / began.elapsed().as_secs_f64())
}

fn median(mut rates: Vec<f64>) -> anyhow::Result<f64> {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().context("a rate")
}
