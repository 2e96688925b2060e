use std::time::{Duration, UNIX_EPOCH};

use futures_util::FutureExt;
use tower_qwen_ratelimit::{Pacing, Quota, RejectKind, fleet::redis::Sharing};
use tower_qwen_tokens::internal::clock::{self, WallClock};

use crate::{
    server::Server,
    support::{Process, cost, key},
};

const SECOND: Duration = Duration::from_secs(1);

fn at_once(requests: u64, tokens: u64) -> Quota {
    Quota::per_minute(requests, tokens)
        .headroom(0)
        .pacing(Pacing::Window)
}

#[tokio::test]
async fn what_one_process_takes_another_has_not() {
    let Some(server) = Server::start() else {
        return;
    };
    let one = Process::start(&server, at_once(10, 1_000), Sharing::Booking).await;
    let other = Process::start(&server, at_once(10, 1_000), Sharing::Booking).await;
    let first = one.limiter.acquire(&key(), cost(600)).await.unwrap();
    first.mark_sent();
    let refused = other
        .limiter
        .acquire(&key(), cost(600))
        .max_wait(SECOND)
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), RejectKind::MaxWait);
    let second = other.limiter.acquire(&key(), cost(400)).await.unwrap();
    drop(second);
    other.store.flush().await;
    let third = one.limiter.acquire(&key(), cost(300)).await.unwrap();
    third.mark_sent();
    first.settle(100, 0);
    one.store.flush().await;
    other.store.flush().await;
    let fourth = other.limiter.acquire(&key(), cost(600)).await.unwrap();
    drop(fourth);
}

#[tokio::test]
async fn one_round_trip_for_each_call() {
    let Some(server) = Server::start() else {
        return;
    };
    let process = Process::start(&server, at_once(1_000, 1_000_000), Sharing::Booking).await;
    for _ in 0..100 {
        let call = process.limiter.acquire(&key(), cost(10)).await.unwrap();
        call.mark_sent();
        call.settle(5, 5);
    }
    process.store.flush().await;
    let snapshot = process.store.snapshot();
    assert_eq!(snapshot.dropped, 0);
    assert!(snapshot.operations >= 200, "{snapshot:?}");
    assert!(snapshot.round_trips <= 110, "{snapshot:?}");
}

#[tokio::test]
async fn calls_of_many_processes_keep_the_pace() {
    let Some(server) = Server::start() else {
        return;
    };
    let quota = Quota::per_minute(50, 1_000_000).window(SECOND).headroom(0);
    let mut processes = Vec::new();
    for _ in 0..3 {
        processes.push(Process::start(&server, quota, Sharing::Booking).await);
    }
    let began = clock::now();
    let calls = processes.iter().flat_map(|process| {
        (0..25).map(|_| async {
            let call = process.limiter.acquire(&key(), cost(1)).await.unwrap();
            call.mark_sent();
            call.settle(1, 0);
            clock::now() - began
        })
    });
    let mut sent = futures_util::future::join_all(calls).await;
    sent.sort();
    // 75 calls at 50 a second, none of them early: the n-th not before n / 50 s.
    for (at, instant) in sent.iter().enumerate() {
        let earliest = SECOND * u32::try_from(at).unwrap() / 50;
        assert!(*instant >= earliest, "call {at} after {instant:?}");
    }
}

#[tokio::test]
async fn the_booking_of_one_who_leaves_serves_the_next() {
    let Some(server) = Server::start() else {
        return;
    };
    let quota = Quota::per_minute(10, 1_000_000).window(SECOND).headroom(0);
    let process = Process::start(&server, quota, Sharing::Booking).await;
    let limiter = &process.limiter;
    let key = key();
    let mut first = Box::pin(limiter.acquire(&key, cost(10)));
    let mut second = Box::pin(limiter.acquire(&key, cost(10)));
    assert!((&mut first).now_or_never().is_none());
    assert!((&mut second).now_or_never().is_none());
    drop(first);
    let call = second.await.unwrap();
    call.mark_sent();
    call.settle(10, 0);
    process.store.flush().await;
    assert_eq!(limiter.snapshot()[0].admitted, 1);
    let operations = process.store.snapshot().operations;
    // One booking, one settlement, and heartbeats.
    assert!(operations < 20, "{operations}");
}

/// Dropped at every point of its life a call leaves what it cost, to the token.
#[tokio::test]
async fn what_is_dropped_at_any_time_comes_back_or_stands() {
    let Some(server) = Server::start() else {
        return;
    };
    let quota = Quota::per_minute(20_000, 2_000_000)
        .window(2 * SECOND)
        .headroom(0);
    let one = Process::start(&server, quota, Sharing::Booking).await;
    let other = Process::start(&server, quota, Sharing::Booking).await;
    let stood = std::cell::Cell::new(0);
    let calls = (0..600_u64).map(|number| {
        let process = if number % 2 == 0 { &one } else { &other };
        let stood = &stood;
        async move {
            // From not at all to longer than anybody waits.
            let patience = Duration::from_micros(number * number * 2 % 300_007);
            let acquired = process.limiter.acquire(&key(), cost(100 + number));
            let Ok(call) = tokio::time::timeout(patience, acquired).await else {
                return;
            };
            let call = call.unwrap();
            let used = match number % 4 {
                0 => 0,
                1 => {
                    call.mark_sent();
                    100 + number
                }
                of_all => {
                    call.mark_sent();
                    tokio::task::yield_now().await;
                    call.settle(number / of_all, number);
                    number / of_all + number
                }
            };
            stood.set(stood.get() + used);
        }
    });
    futures_util::future::join_all(calls).await;
    for process in [&one, &other] {
        process.store.flush().await;
        assert_eq!(process.store.snapshot().outages, 0);
    }
    assert!(stood.get() > 10_000, "{}", stood.get());
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    let (charged, given_back): (u64, u64) = redis::Script::new(
        "local state = cmsgpack.unpack(redis.call('HGET', KEYS[1], 'state'))
        return { state[4], state[5] }",
    )
    .key("tower-qwen:{https://provider qwen-plus}:2:gates")
    .invoke(&mut connection)
    .unwrap();
    assert_eq!(charged - given_back, stood.get());
}

#[tokio::test]
async fn who_does_not_go_today_goes_tomorrow() {
    let Some(server) = Server::start() else {
        return;
    };
    let today = WallClock::new().now().duration_since(UNIX_EPOCH).unwrap();
    let today = Duration::from_secs(today.as_secs() % 86_400);
    let quota = at_once(1_000, 100_000)
        .tokens_per_day(1_000)
        .day_begins(today + 3 * SECOND);
    let one = Process::start(&server, quota, Sharing::Booking).await;
    let other = Process::start(&server, quota, Sharing::Booking).await;
    one.sends(600).await;
    let limiter = &other.limiter;
    let refused = limiter.acquire(&key(), cost(600)).max_wait(SECOND / 2);
    assert_eq!(refused.await.unwrap_err().kind(), RejectKind::MaxWait);
    let asked = clock::now();
    other.sends(600).await;
    assert!(clock::now() - asked > SECOND / 2);
    let operations = other.store.snapshot().operations;
    assert!(operations < 20, "it does not ask again and again");
    assert_eq!(one.limiter.snapshot()[0].admitted, 1);
}
