use std::time::Duration;

use metrics::with_local_recorder;
use tower_qwen_ratelimit::{
    Limiter, Quota,
    fleet::redis::{RedisOptions, RedisStore, Sharing},
    observe::LimiterMetrics,
};

use crate::{
    figures::Figures,
    server::Server,
    support::{cost, key},
};

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_fleet_and_its_store_are_seen() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let options = RedisOptions::new(&server.url())
        .unwrap()
        .sharing(Sharing::Lease);
    let (store, driver) = RedisStore::with_options(options).await.unwrap();
    let observer = LimiterMetrics::new();
    let quota = Quota::per_minute(6_000, 60_000).headroom(0);
    let limiter = Limiter::builder(quota)
        .observe(observer.clone())
        .store(&store)
        .build()
        .unwrap();
    let driver = tokio::spawn(driver);
    let call = limiter.acquire(&key(), cost(70)).await.unwrap();
    call.mark_sent();

    let figures = Figures::default();
    with_local_recorder(&figures, || observer.record(&limiter.snapshot()));
    let lines = figures.lines();
    for expected in [
        "fleet.members provider qwen-plus = 1",
        "fleet.part provider qwen-plus = 1",
        // What is saved, a thirtieth of the quota, and the largest call.
        "fleet.may_overshoot provider qwen-plus = 2070",
    ] {
        let expected = format!("tower_qwen.ratelimit.{expected}");
        assert!(lines.contains(&expected), "{expected}: {lines:#?}");
    }

    // On one thread the driver's task is heard by the same recorder.
    let figures = Figures::default();
    let _recording = metrics::set_default_local_recorder(&figures);
    let seen = async |what: &str| {
        let line = format!("tower_qwen.ratelimit.store.{what}");
        while !figures.lines().contains(&line) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    server.kill();
    let away = async {
        seen("outages  = 1").await;
        seen("away  = 1").await;
    };
    tokio::time::timeout(LONG, away).await.unwrap();
    server.restart();
    tokio::time::timeout(LONG, seen("away  = 0")).await.unwrap();
    drop(driver);
}
