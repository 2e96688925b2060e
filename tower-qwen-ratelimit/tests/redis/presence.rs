use std::time::Duration;

use tokio::time::{sleep, timeout};
use tower_qwen_ratelimit::{Pacing, Quota, fleet::redis::Sharing};

use crate::{
    server::Server,
    support::{LONG, Process, cost, key},
};

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, waiting).await.expect(what);
}

#[tokio::test]
async fn processes_without_calls_have_their_parts_in_an_outage() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let quota = Quota::per_minute(100, 10_000)
        .headroom(0)
        .pacing(Pacing::Window);
    // It has had a call, and has heard that it shares that account with nobody.
    let mut fleet = vec![Process::start(&server, quota, Sharing::Booking).await];
    fleet[0].sends(10).await;
    fleet[0].store.flush().await;
    for _ in 1..4 {
        fleet.push(Process::start(&server, quota, Sharing::Booking).await);
    }
    let all_know = |count: u64| {
        let members = |process: &Process| process.store.snapshot().members;
        fleet.iter().all(|process| members(process) == count)
    };
    until("all know of each other", || all_know(4)).await;

    server.kill();
    until("all have found out", || {
        fleet.iter().all(|process| process.store.snapshot().is_away)
    })
    .await;
    let mut gone = 0;
    for process in &fleet {
        let key = key();
        let call = || process.limiter.acquire(&key, cost(10));
        while let Ok(call) = call().max_wait(Duration::from_millis(1)).await {
            call.mark_sent();
            gone += 1;
        }
    }
    assert_eq!(gone, 100 - 1);

    server.restart();
    let first = &fleet[0];
    until("it is back", || !first.store.snapshot().is_away).await;
    assert_eq!(first.store.snapshot().members, 4, "who is not back yet");
}

#[tokio::test]
async fn who_leaves_is_counted_no_more() {
    let Some(server) = Server::start() else {
        return;
    };
    let quota = Quota::per_minute(100, 10_000);
    let leaving = Process::start(&server, quota, Sharing::Lease).await;
    until("it is there", || leaving.store.snapshot().members == 1).await;
    let Process {
        store,
        limiter,
        driver,
    } = leaving;
    drop((store, limiter));
    timeout(LONG, driver).await.expect("it ends").unwrap();
    let next = Process::start(&server, quota, Sharing::Lease).await;
    until("it is there", || next.store.snapshot().members > 0).await;
    assert_eq!(next.store.snapshot().members, 1);
}
