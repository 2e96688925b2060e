use std::time::Duration;

use tokio::time::timeout;
use tower_qwen_ratelimit::{Limiter, Pacing, Quota, fleet::redis::Sharing};

use crate::{
    server::Server,
    support::{LONG, Process, cost, key, tell},
};

fn quota() -> Quota {
    Quota::per_minute(2_000, 2_000_000)
        .window(Duration::from_secs(2))
        .headroom(0)
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let so = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LONG, so).await.unwrap_or_else(|_| panic!("{what}"));
}

fn part(process: &Process) -> u8 {
    let accounts = process.limiter.snapshot();
    accounts[0].fleet.expect("of a fleet").part_percent
}

/// Calls without a pause, until it is dropped.
fn busy(limiter: &Limiter) -> impl Drop + use<> {
    struct Stop(tokio::task::JoinHandle<()>);
    impl Drop for Stop {
        fn drop(&mut self) {
            self.0.abort();
        }
    }
    let limiter = limiter.clone();
    Stop(tokio::spawn(async move {
        let call = || async {
            loop {
                let call = limiter.acquire(&key(), cost(100)).await.unwrap();
                call.mark_sent();
                call.settle(100, 0);
            }
        };
        futures_util::future::join_all((0..8).map(|_| call())).await;
    }))
}

#[tokio::test]
async fn parts_follow_what_processes_use() {
    let Some(server) = Server::start() else {
        return;
    };
    let one = Process::start(&server, quota(), Sharing::Lease).await;
    let other = Process::start(&server, quota(), Sharing::Lease).await;
    let busy_one = busy(&one.limiter);
    until("who is alone has all", || {
        !one.limiter.snapshot().is_empty() && part(&one) == 100
    })
    .await;
    let busy_other = busy(&other.limiter);
    until("two that are busy have half each", || {
        !other.limiter.snapshot().is_empty()
            && (49..=50).contains(&part(&one))
            && (49..=50).contains(&part(&other))
    })
    .await;
    drop(busy_other);
    until("what is not used returns", || part(&one) > 90).await;
    drop(busy_one);
}

#[tokio::test]
async fn what_the_dead_had_is_free_after_its_term() {
    let Some(server) = Server::start() else {
        return;
    };
    let one = Process::start(&server, quota(), Sharing::Lease).await;
    let other = Process::start(&server, quota(), Sharing::Lease).await;
    let busy_one = busy(&one.limiter);
    let _busy_other = busy(&other.limiter);
    until("both have a part", || {
        !one.limiter.snapshot().is_empty()
            && !other.limiter.snapshot().is_empty()
            && part(&one) == 50
            && part(&other) == 50
    })
    .await;
    drop(busy_one);
    one.die();
    until("the other has all", || part(&other) == 100).await;
    assert_eq!(other.limiter.snapshot()[0].fleet.unwrap().members, 1);
}

#[tokio::test]
async fn the_path_of_a_call_touches_no_network() {
    let Some(server) = Server::start() else {
        return;
    };
    let process = Process::start(&server, quota(), Sharing::Lease).await;
    for _ in 0..1_000 {
        let call = process.limiter.acquire(&key(), cost(100)).await.unwrap();
        call.mark_sent();
        call.settle(50, 50);
    }
    let snapshot = process.store.snapshot();
    assert!(snapshot.round_trips * 20 < 1_000, "{snapshot:?}");
    let fleet = process.limiter.snapshot()[0].fleet.unwrap();
    // What is saved, a thirtieth of the quota, and the largest call.
    assert_eq!(fleet.may_overshoot_tokens, 2_000_000 / 30 + 100);
}

#[tokio::test]
async fn calls_at_one_time_are_counted_for_all() {
    let Some(server) = Server::start() else {
        return;
    };
    for sharing in [Sharing::Lease, Sharing::Booking] {
        let quota = quota().concurrency(4);
        let one = Process::start(&server, quota, sharing).await;
        let other = Process::start(&server, quota, sharing).await;
        let (running, most) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
        let calls = (0..40).map(|number| {
            let process = if number % 2 == 0 { &one } else { &other };
            let (running, most) = (&running, &most);
            async move {
                let call = process.limiter.acquire(&key(), cost(1)).await.unwrap();
                call.mark_sent();
                running.set(running.get() + 1);
                most.set(most.get().max(running.get()));
                tokio::time::sleep(Duration::from_millis(5)).await;
                running.set(running.get() - 1);
                call.settle(1, 0);
            }
        });
        let all = futures_util::future::join_all(calls);
        timeout(LONG, all).await.expect("nobody starves");
        assert!(most.get() <= 4, "{}", most.get());
        tell(&server, &["FLUSHALL"]);
    }
}

#[tokio::test]
async fn what_may_go_at_once_cannot_be_leased() {
    let Some(server) = Server::start() else {
        return;
    };
    let process = Process::start(&server, quota(), Sharing::Lease).await;
    let at_once = quota().pacing(Pacing::Window);
    let refused = Limiter::builder(at_once).store(&process.store).build();
    assert!(refused.is_err());
    let of_model = Limiter::builder(quota())
        .quota_for("qwen-max", at_once)
        .store(&process.store)
        .build();
    assert!(of_model.unwrap_err().to_string().contains("qwen-max"));
}
