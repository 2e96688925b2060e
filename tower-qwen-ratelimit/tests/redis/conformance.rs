//! What holds for every store: in memory, booked at a server, and leased.
//!
//! Time is real, so the laws are one-sided: a call that is late breaks none of them.

use std::{
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::join_all;
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use tokio::task::LocalSet;
use tower_qwen_ratelimit::{Cost, Limiter, OutputLimit, Quota, RejectKind, fleet::redis::Sharing};
use tower_qwen_tokens::{
    Deadline,
    internal::clock::{self, Instant},
};

use crate::{
    server::Server,
    support::{Process, cost, key},
};

const SECOND: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(60);

enum Store {
    Memory(Limiter),
    Redis(Server, Box<Quota>, Sharing),
}

/// A process, or what stands for one in memory.
struct Member {
    limiter: Limiter,
    process: Option<Process>,
}

impl Store {
    fn memory(quota: Quota) -> Option<Self> {
        Some(Self::Memory(Limiter::new(quota)))
    }

    fn booking(quota: Quota) -> Option<Self> {
        Some(Self::Redis(
            Server::start()?,
            Box::new(quota),
            Sharing::Booking,
        ))
    }

    fn lease(quota: Quota) -> Option<Self> {
        Some(Self::Redis(
            Server::start()?,
            Box::new(quota),
            Sharing::Lease,
        ))
    }

    async fn member(&self) -> Member {
        match self {
            Self::Memory(limiter) => Member {
                limiter: limiter.clone(),
                process: None,
            },
            Self::Redis(server, quota, sharing) => {
                let process = Process::start(server, **quota, *sharing).await;
                Member {
                    limiter: process.limiter.clone(),
                    process: Some(process),
                }
            }
        }
    }

    /// What may go of [`even`], by members and their largest call.
    fn most(&self, members: u64, largest: u64) -> Most {
        let rate = 40_000;
        let (saved, owed) = match self {
            Self::Redis(_, _, Sharing::Lease) => (rate / 30, members * largest),
            _ => (rate / 3, largest),
        };
        Most {
            rate,
            window: 2 * SECOND,
            burst: rate / 120,
            saved,
            saved_at_first: rate / 120,
            owed,
        }
    }
}

impl Member {
    fn die(self) {
        if let Some(process) = self.process {
            process.die();
        }
    }

    async fn flush(&self) {
        if let Some(process) = &self.process {
            process.store.flush().await;
        }
    }
}

/// Tokens that went out, and when.
#[derive(Debug, Default, Clone)]
struct Log(Arc<Mutex<Vec<(Duration, u64)>>>);

/// What flows in, and how much more may go.
struct Most {
    rate: u64,
    window: Duration,
    /// At once.
    burst: u64,
    /// After a time in which nothing was used.
    saved: u64,
    /// Before anything has flowed in.
    saved_at_first: u64,
    /// Beyond what was there.
    owed: u64,
}

/// By how much a call may go late, beside others that do not.
const LATE: Duration = Duration::from_millis(250);

impl Log {
    fn add(&self, began: Instant, tokens: u64) {
        let at = clock::now() - began;
        self.0.lock().unwrap().push((at, tokens));
    }

    /// No time has seen more than what flowed in during it and was saved before: none from the beginning, however calls
    /// are late; and none that begins with a call. Nor more than the peak rate lets go.
    fn check(&self, most: &Most) {
        let mut log = self.0.lock().unwrap().clone();
        log.sort();
        let flowed = |time: Duration| {
            let flowed = u128::from(most.rate) * time.as_nanos() / most.window.as_nanos();
            u64::try_from(flowed).unwrap()
        };
        let mut before = 0;
        for (first, &(began, tokens)) in log.iter().enumerate() {
            before += tokens;
            let may = flowed(began) + most.saved_at_first + most.owed;
            assert!(before <= may, "{before} of {may} after {began:?}");
            let mut sum = 0;
            for &(at, tokens) in &log[first..] {
                sum += tokens;
                let flowed = flowed(at - began + LATE);
                let may = (flowed + most.saved).min(flowed * 3 / 2 + most.burst) + most.owed;
                assert!(sum <= may, "{sum} of {may} from {began:?} to {at:?}");
            }
        }
    }

    fn sum(&self) -> u64 {
        self.0
            .lock()
            .unwrap()
            .iter()
            .map(|(_, tokens)| tokens)
            .sum()
    }
}

fn even() -> Quota {
    Quota::per_minute(400, 40_000)
        .window(2 * SECOND)
        .headroom(0)
}

async fn a_fleet_never_sends_more_than_flows_in(store: Store) {
    let began = clock::now();
    let log = Log::default();
    let mut members = Vec::new();
    for _ in 0..3 {
        members.push(store.member().await);
    }
    let calls = members.iter().flat_map(|member| {
        (0..100).map(|_| async {
            let call = member.limiter.acquire(&key(), cost(200)).await.unwrap();
            log.add(began, 200);
            call.mark_sent();
            call.settle(200, 0);
        })
    });
    let all = tokio::time::timeout(LONG, join_all(calls)).await;
    assert_eq!(all.expect("nobody starves").len(), 300);
    log.check(&store.most(3, 200));
}

async fn what_is_given_back_can_be_used(store: Store) {
    let began = clock::now();
    let log = Log::default();
    let member = store.member().await;
    let other = store.member().await;
    // Ten times as much is set aside as is used: the whole takes as long as what is used.
    let calls = [&member, &other].into_iter().flat_map(|member| {
        (0..100).map(|_| async {
            let cost = Cost::new(100, OutputLimit::AtMost(900));
            let call = member.limiter.acquire(&key(), cost).await.unwrap();
            log.add(began, 100);
            call.mark_sent();
            call.settle(100, 0);
            member.flush().await;
        })
    });
    let all = tokio::time::timeout(LONG, join_all(calls)).await;
    all.expect("nobody starves");
    assert_eq!(log.sum(), 20_000);
    log.check(&store.most(2, 1_000));
    let settled: u64 = {
        let mut limiters = vec![&member.limiter];
        if other.process.is_some() {
            limiters.push(&other.limiter);
        }
        let snapshots = limiters.into_iter().flat_map(Limiter::snapshot);
        snapshots
            .map(|account| {
                assert_eq!((account.in_flight, account.reserved_tokens), (0, 0));
                account.settled_tokens
            })
            .sum()
    };
    assert_eq!(settled, 20_000, "each exactly once");
}

async fn what_can_never_go_is_refused_at_once(store: Store) {
    let member = store.member().await;
    let call = member.limiter.acquire(&key(), cost(40_001));
    let refused = tokio::time::timeout(LONG, call).await.unwrap().unwrap_err();
    assert_eq!(refused.kind(), RejectKind::TooLarge);
}

async fn nobody_waits_beyond_the_deadline(store: Store) {
    let member = store.member().await;
    let limiter = &member.limiter;
    // It owes for nearly a window after this.
    let first = limiter.acquire(&key(), cost(38_000));
    let first = tokio::time::timeout(LONG, first).await.unwrap().unwrap();
    first.mark_sent();
    for _ in 0..3 {
        let deadline = Deadline::after(SECOND / 10);
        let call = limiter.acquire(&key(), cost(10)).deadline(deadline);
        let refused = tokio::time::timeout(LONG, call).await.unwrap().unwrap_err();
        assert_eq!(refused.kind(), RejectKind::Deadline);
    }
    first.settle(38_000, 0);
    let call = limiter.acquire(&key(), cost(10));
    tokio::time::timeout(LONG, call)
        .await
        .unwrap()
        .unwrap()
        .mark_sent();
}

async fn first_come_first_served_within_a_process(store: Store) {
    let member = store.member().await;
    let order = Mutex::new(Vec::new());
    let calls = (0..30).map(|number| {
        let order = &order;
        let limiter = &member.limiter;
        async move {
            // Large and small ones: no small one overtakes.
            let tokens = if number % 5 == 0 { 900 } else { 10 };
            let call = limiter.acquire(&key(), cost(tokens)).await.unwrap();
            order.lock().unwrap().push(number);
            call.mark_sent();
        }
    });
    tokio::time::timeout(LONG, join_all(calls)).await.unwrap();
    let order = order.into_inner().unwrap();
    assert_eq!(order, (0..30).collect::<Vec<_>>());
}

#[derive(Debug, Clone, Copy)]
enum End {
    Settle(u64),
    Keep,
    NeverSent,
}

#[derive(Debug, Clone)]
struct Plan {
    input: u64,
    end: End,
    runs_for: u64,
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let end = prop_oneof![
        5 => (0..=100u64).prop_map(End::Settle),
        1 => Just(End::Keep),
        1 => Just(End::NeverSent),
    ];
    let plan = (1..400u64, end, 0..100u64).prop_map(|(input, end, runs_for)| Plan {
        input,
        end,
        runs_for,
    });
    prop::collection::vec(plan, 30)
}

async fn work(limiter: Limiter, plans: Vec<Plan>, began: Instant, log: Log) {
    let calls = plans.into_iter().map(|plan| {
        let (limiter, log) = (limiter.clone(), log.clone());
        async move {
            let Ok(call) = limiter.acquire(&key(), cost(plan.input)).await else {
                return;
            };
            if matches!(plan.end, End::NeverSent) {
                return drop(call);
            }
            call.mark_sent();
            let used = match plan.end {
                End::Settle(percent) => plan.input * percent / 100,
                _ => plan.input,
            };
            log.add(began, used);
            tokio::time::sleep(Duration::from_millis(plan.runs_for)).await;
            match plan.end {
                End::Settle(_) => call.settle(used, 0),
                _ => drop(call),
            }
        }
    });
    join_all(calls).await;
}

/// Who comes and who dies, before and after a while.
#[derive(Debug, Clone)]
struct Round {
    coming: Vec<Vec<Plan>>,
    lasts: u64,
    /// Which of the living, by turns.
    dying: Vec<usize>,
}

fn rounds() -> impl Strategy<Value = Vec<Round>> {
    let coming = prop::collection::vec(plans(), 1..=3);
    let dying = prop::collection::vec(any::<usize>(), 0..=2);
    let round = (coming, 0..500u64, dying).prop_map(|(coming, lasts, dying)| Round {
        coming,
        lasts,
        dying,
    });
    prop::collection::vec(round, 4)
}

/// Random calls in processes of which some die on the way, and others come.
async fn the_laws_hold_whoever_dies(store: Store) {
    for seed in 1..=3 {
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        let rounds = rounds().new_tree(&mut runner).unwrap().current();
        whoever_dies(&store, rounds).await;
    }
}

async fn whoever_dies(store: &Store, rounds: Vec<Round>) {
    let began = clock::now();
    let log = Log::default();
    let (mut living, mut members) = (Vec::new(), 0);
    for round in rounds {
        for plans in round.coming {
            let member = store.member().await;
            let working = work(member.limiter.clone(), plans, began, log.clone());
            living.push((member, tokio::spawn(working)));
            members += 1;
        }
        tokio::time::sleep(Duration::from_millis(round.lasts)).await;
        for which in round.dying {
            if matches!(store, Store::Redis(..)) && living.len() > 1 {
                // Dead with calls that wait, are booked, run, and have settled unheard.
                let (member, working) = living.swap_remove(which % living.len());
                member.die();
                working.abort();
            }
        }
    }
    for (member, working) in living {
        tokio::time::timeout(LONG, working)
            .await
            .expect("nobody starves")
            .unwrap();
        tokio::time::timeout(LONG, member.flush()).await.unwrap();
    }
    assert!(log.sum() > 4_000, "{}", log.sum());
    let mut most = store.most(members, 400);
    // What the seed before has left.
    most.saved_at_first = most.saved;
    log.check(&most);
}

/// All stores at the same time, since each mostly waits.
async fn for_every_store<F: Future<Output = ()> + 'static>(law: fn(Store) -> F) {
    let stores = [
        ("memory", Store::memory(even())),
        ("booking", Store::booking(even())),
        ("lease", Store::lease(even())),
    ];
    let together = LocalSet::new();
    let laws = stores.map(|(name, store)| {
        let checking = store.map(|store| together.spawn_local(law(store)));
        (name, checking)
    });
    together.await;
    for (name, checking) in laws {
        if let Some(checking) = checking {
            let checked = checking.await;
            checked.unwrap_or_else(|broken| panic!("{name}: {broken}"));
        }
    }
}

macro_rules! conformance {
    ($($law:ident),+ $(,)?) => {
        mod every_store {
            $(
                #[tokio::test]
                async fn $law() {
                    super::for_every_store(super::$law).await;
                }
            )+
        }
    };
}

conformance!(
    a_fleet_never_sends_more_than_flows_in,
    what_is_given_back_can_be_used,
    what_can_never_go_is_refused_at_once,
    nobody_waits_beyond_the_deadline,
    first_come_first_served_within_a_process,
    the_laws_hold_whoever_dies,
);
