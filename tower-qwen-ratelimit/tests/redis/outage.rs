use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::timeout;
use tower_qwen_ratelimit::{
    Cost, Key, Limiter, LimiterEvent, OutputLimit, Pacing, Quota, RejectKind,
    fleet::redis::{OutagePolicy, RedisOptions, RedisStore, Sharing},
};

use tower_qwen_tokens::{
    Deadline,
    internal::clock::{self, WallClock},
    ledger::Day,
};

use crate::{
    server::Server,
    support::{LONG, Process, cost, key, tell},
};

type Told = Arc<Mutex<Vec<&'static str>>>;

/// A process that finds out soon, and what its observers were told.
async fn process(server: &Server, quota: Quota, outage: OutagePolicy) -> (Process, Told) {
    let options = RedisOptions::new(&server.url())
        .unwrap()
        .outage(outage)
        .timeout(Duration::from_millis(300));
    let (store, driver) = RedisStore::with_options(options).await.unwrap();
    let told = Told::default();
    let observer = {
        let told = told.clone();
        move |event: &LimiterEvent<'_>| match event {
            LimiterEvent::StoreAway { .. } => told.lock().unwrap().push("away"),
            LimiterEvent::StoreBack { .. } => told.lock().unwrap().push("back"),
            LimiterEvent::StoreRejected { .. } => told.lock().unwrap().push("refused"),
            _ => {}
        }
    };
    let limiter = Limiter::builder(quota)
        .observe(observer)
        .store(&store)
        .build()
        .unwrap();
    let driver = tokio::spawn(driver);
    (
        Process {
            store,
            limiter,
            driver,
        },
        told,
    )
}

fn quota() -> Quota {
    Quota::per_minute(100, 10_000)
        .headroom(0)
        .pacing(Pacing::Window)
}

async fn until_back(process: &Process) {
    let back = async {
        while process.store.snapshot().is_away {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LONG, back).await.unwrap();
}

/// Calls that go without a wait of more than two seconds.
async fn go_at_once(process: &Process, tokens: u64) -> usize {
    let mut gone = 0;
    loop {
        let call = process
            .limiter
            .acquire(&key(), cost(tokens))
            .max_wait(Duration::from_secs(2));
        match timeout(LONG, call).await.expect("nobody hangs") {
            Ok(call) => call.mark_sent(),
            Err(_) => return gone,
        }
        gone += 1;
        if gone == 500 {
            return gone;
        }
    }
}

#[tokio::test]
async fn killed_the_n_th_part_goes_on_and_is_told_once() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let (one, told) = process(&server, quota(), OutagePolicy::LocalShare).await;
    let (other, _) = process(&server, quota(), OutagePolicy::LocalShare).await;
    for process in [&one, &other] {
        let call = process.limiter.acquire(&key(), cost(10)).await.unwrap();
        call.mark_sent();
        call.settle(10, 0);
        process.store.flush().await;
    }
    // Until both know of each other.
    let members = async {
        while one.limiter.snapshot()[0].fleet.unwrap().members < 2 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(LONG, members).await.unwrap();

    server.kill();
    assert_eq!(
        go_at_once(&one, 100).await,
        49,
        "half of 100, less the one before"
    );
    assert!(one.store.snapshot().is_away);
    assert_eq!(*told.lock().unwrap(), ["away"]);
    assert!(one.limiter.snapshot()[0].fleet.unwrap().is_store_away);

    // Restarted empty: what went out meanwhile is told, each once.
    server.restart();
    until_back(&one).await;
    drop(one.limiter.snapshot());
    timeout(LONG, one.store.flush()).await.unwrap();
    assert_eq!(*told.lock().unwrap(), ["away", "back"]);
    assert_eq!(one.store.snapshot().outages, 1);
    until_back(&other).await;
    assert_eq!(
        go_at_once(&other, 100).await,
        100 - 49,
        "what went out during the outage counts, for everybody, once"
    );
}

#[tokio::test]
async fn closed_refuses_and_opens_again() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let (process, told) = process(&server, quota(), OutagePolicy::Reject).await;
    process.sends(10).await;
    process.store.flush().await;
    server.kill();
    let refused = loop {
        let call = process.limiter.acquire(&key(), cost(10));
        match timeout(LONG, call).await.expect("nobody hangs") {
            Ok(call) => call.mark_sent(),
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused.kind(), RejectKind::StoreAway);
    server.restart();
    until_back(&process).await;
    process.sends(10).await;
    assert_eq!(*told.lock().unwrap(), ["away", "back"]);
}

#[tokio::test]
async fn open_lets_all_go() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let (process, _) = process(&server, quota(), OutagePolicy::Unlimited).await;
    process.sends(10).await;
    server.kill();
    assert_eq!(go_at_once(&process, 1_000).await, 500);
}

#[tokio::test]
async fn a_server_that_stands_still_is_away_and_what_it_booked_counts_once() {
    let Some(server) = Server::start() else {
        return;
    };
    let (process, told) = process(&server, quota(), OutagePolicy::LocalShare).await;
    process.sends(100).await;
    process.store.flush().await;
    server.signal("-STOP");
    // This one's booking arrives and is carried out later; by then it has been given back.
    process.sends(100).await;
    assert!(process.store.snapshot().is_away);
    server.signal("-CONT");
    until_back(&process).await;
    timeout(LONG, process.store.flush()).await.unwrap();
    assert_eq!(*told.lock().unwrap(), ["away", "back"]);
    assert_eq!(go_at_once(&process, 100).await, 98);
}

#[tokio::test]
async fn nobody_waits_for_an_answer_beyond_the_deadline() {
    let Some(server) = Server::start() else {
        return;
    };
    for sharing in [Sharing::Booking, Sharing::Lease] {
        let even = Quota::per_minute(6_000, 600_000);
        // Long after the deadline it would be found out.
        let process = Process::start(&server, even, sharing).await;
        server.signal("-STOP");
        let deadline = Deadline::after(Duration::from_millis(100));
        let key = key();
        let call = process.limiter.acquire(&key, cost(100)).deadline(deadline);
        let refused = timeout(LONG, call)
            .await
            .expect("nobody hangs")
            .unwrap_err();
        assert_eq!(refused.kind(), RejectKind::Deadline);
        assert!(!process.store.snapshot().is_away);
        server.signal("-CONT");
        tell(&server, &["FLUSHALL"]);
    }
}

#[tokio::test]
async fn scripts_that_were_flushed_are_loaded_again() {
    let Some(server) = Server::start() else {
        return;
    };
    let process = Process::start(&server, quota(), Sharing::Booking).await;
    process.sends(100).await;
    tell(&server, &["SCRIPT", "FLUSH"]);
    assert_eq!(go_at_once(&process, 100).await, 99);
    assert_eq!(process.store.snapshot().outages, 0);
}

#[tokio::test]
async fn a_server_that_forgot_everything_learns_what_still_settles() {
    let Some(server) = Server::start() else {
        return;
    };
    let process = Process::start(&server, quota(), Sharing::Booking).await;
    let lost = process.limiter.acquire(&key(), cost(4_000)).await.unwrap();
    lost.mark_sent();
    let settled = process.limiter.acquire(&key(), cost(5_000)).await.unwrap();
    settled.mark_sent();
    tell(&server, &["FLUSHALL"]);
    settled.settle(2_000, 1_000);
    process.store.flush().await;
    assert_eq!(go_at_once(&process, 1_000).await, 7, "10,000 less 3,000");
    assert_eq!(process.store.snapshot().outages, 0);
    drop(lost);
}

fn is_alone(process: &Process, key: &Key) -> bool {
    let snapshot = process.limiter.snapshot();
    let account = snapshot.iter().find(|account| account.key == *key);
    account.unwrap().fleet.unwrap().is_store_away
}

#[tokio::test]
async fn who_has_another_window_is_on_its_own_there_and_told_once() {
    let Some(server) = Server::start() else {
        return;
    };
    let (one, _) = process(&server, quota(), OutagePolicy::LocalShare).await;
    one.sends(100).await;
    let shorter = quota().window(Duration::from_millis(300));
    let (other, told) = process(&server, shorter, OutagePolicy::LocalShare).await;
    // Idle in between, as one is that calls seldom; it goes on trying.
    for _ in 0..3 {
        other.sends(100).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    other.sends(100).await;
    assert_eq!(*told.lock().unwrap(), ["refused"]);
    assert!(is_alone(&other, &key()));
    // Its other accounts are shared.
    let another = Key::new("https://provider", "qwen-max");
    let call = timeout(LONG, other.limiter.acquire(&another, cost(100))).await;
    call.expect("nobody hangs").unwrap().settle(100, 0);
    timeout(LONG, other.store.flush()).await.unwrap();
    assert!(!is_alone(&other, &another));
    let snapshot = other.store.snapshot();
    assert_eq!((snapshot.is_away, snapshot.outages), (false, 0));

    assert_eq!(go_at_once(&one, 1_000).await, 9);
    assert!(!is_alone(&one, &key()));
}

#[tokio::test]
async fn who_shares_otherwise_is_on_its_own_and_harms_nobody() {
    let Some(server) = Server::start() else {
        return;
    };
    // Heartbeats come every 50 ms.
    let even = Quota::per_minute(6_000, 600_000).window(Duration::from_millis(400));
    for (first, second) in [
        (Sharing::Booking, Sharing::Lease),
        (Sharing::Lease, Sharing::Booking),
    ] {
        let one = Process::start(&server, even, first).await;
        let other = Process::start(&server, even, second).await;
        for _ in 0..10 {
            for process in [&one, &other] {
                let key = key();
                let call = process.limiter.acquire(&key, cost(100));
                let call = timeout(LONG, call).await.expect("nobody hangs").unwrap();
                call.mark_sent();
                call.settle(100, 0);
                timeout(LONG, process.store.flush()).await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(!is_alone(&one, &key()), "{first:?}");
        for process in [one, other] {
            assert_eq!(process.store.snapshot().outages, 0, "{first:?}");
            process.die();
        }
        tell(&server, &["FLUSHALL"]);
    }
}

#[tokio::test]
async fn without_a_driver_the_store_is_away() {
    let Some(server) = Server::start() else {
        return;
    };
    let (mut process, told) = process(&server, quota(), OutagePolicy::LocalShare).await;
    process.sends(100).await;
    process.driver.abort();
    let _ = (&mut process.driver).await;
    assert!(process.store.snapshot().is_away);
    assert_eq!(*told.lock().unwrap(), ["away"]);
    timeout(LONG, process.store.flush())
        .await
        .expect("nobody tells");
    process.sends(100).await;
}

#[tokio::test]
async fn a_driver_that_was_never_run_is_missed_when_it_is_dropped() {
    let Some(server) = Server::start() else {
        return;
    };
    let (store, driver) = RedisStore::connect(&server.url()).await.unwrap();
    drop(driver);
    let limiter = Limiter::builder(quota()).store(&store).build().unwrap();
    assert!(store.snapshot().is_away);
    let key = key();
    let call = timeout(LONG, limiter.acquire(&key, cost(10))).await;
    let call = call.expect("nobody hangs").unwrap();
    call.mark_sent();
    call.settle(10, 0);
    timeout(LONG, store.flush()).await.expect("nobody tells");
    let today = Day::of(WallClock::new().now());
    let usage = timeout(LONG, store.usage(today)).await;
    assert!(usage.expect("nobody answers").is_err());
}

#[tokio::test]
async fn a_driver_that_is_not_run_holds_nobody_up() {
    let Some(server) = Server::start() else {
        return;
    };
    let options = RedisOptions::new(&server.url())
        .unwrap()
        .timeout(Duration::from_millis(100));
    let (store, driver) = RedisStore::with_options(options).await.unwrap();
    let limiter = Limiter::builder(quota()).store(&store).build().unwrap();
    let key = key();
    let call = limiter.acquire(&key, cost(100));
    timeout(LONG, call)
        .await
        .expect("nobody hangs")
        .unwrap()
        .mark_sent();
    drop(driver);
}

#[tokio::test]
async fn the_driver_ends_when_nobody_needs_it() {
    let Some(server) = Server::start() else {
        return;
    };
    let process = Process::start(&server, quota(), Sharing::Booking).await;
    process.sends(100).await;
    let Process {
        store,
        limiter,
        driver,
    } = process;
    drop((store, limiter));
    timeout(LONG, driver).await.expect("it ends").unwrap();
}

#[tokio::test]
async fn answers_that_ended_in_an_outage_hold_nobody_up_after_it() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let window = Duration::from_secs(1);
    let quota = Quota::per_minute(1_000, 10_000).window(window).headroom(0);
    let (process, _) = process(&server, quota, OutagePolicy::LocalShare).await;
    process.sends(10).await;
    server.kill();
    for _ in 0..20 {
        let call = process
            .limiter
            .acquire(&key(), Cost::new(10, OutputLimit::AtMost(990)));
        let call = timeout(LONG, call).await.expect("nobody hangs").unwrap();
        call.mark_sent();
        call.settle(10, 990);
    }
    tokio::time::sleep(window * 5 / 4).await;
    server.restart();
    until_back(&process).await;
    timeout(LONG, process.store.flush()).await.unwrap();
    let asked = clock::now();
    process.sends(10).await;
    let waited = clock::now() - asked;
    assert!(waited < window / 2, "{waited:?}");
}
