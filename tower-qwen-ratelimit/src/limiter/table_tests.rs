use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tower_qwen_tokens::internal::clock::{self, Instant};

use super::{
    Limiter,
    table::{Entry, SHARDS, SMALL_SHARD, Table},
};
use crate::{
    account::Idle,
    cost::{Cost, OutputLimit},
    key::{Key, KeyRef, NameRef},
    quota::Quota,
};

/// An entry with a fixed state, which counts how often its key is compared.
#[derive(Clone)]
struct FakeEntry(Arc<FakeAccount>);

struct FakeAccount {
    key: Key,
    comparisons: Arc<AtomicU64>,
    idle: Idle,
}

impl Entry for FakeEntry {
    fn key_ref(&self) -> KeyRef<'_> {
        self.0.comparisons.fetch_add(1, Ordering::Relaxed);
        self.0.key.as_ref()
    }

    fn idle(&self, _: Instant) -> Idle {
        self.0.idle
    }
}

struct Made {
    table: Table<FakeEntry>,
    comparisons: Arc<AtomicU64>,
    /// How many entries were made.
    made: AtomicU64,
}

impl Made {
    fn new(max_keys: usize) -> Self {
        Self {
            table: Table::new(max_keys),
            comparisons: Arc::default(),
            made: AtomicU64::new(0),
        }
    }

    /// Whether the key has an entry of its own.
    fn get(&self, name: &str, idle: Idle) -> bool {
        let key = KeyRef::new(NameRef::Tenant(name), "");
        let comparisons = self.comparisons.clone();
        let make = |key: KeyRef<'_>, _| {
            self.made.fetch_add(1, Ordering::Relaxed);
            FakeEntry(Arc::new(FakeAccount {
                key: key.to_key(),
                comparisons,
                idle,
            }))
        };
        self.table.get(key, clock::now, make).0.key.as_ref() == key
    }

    fn names(&self) -> HashSet<String> {
        let mut names = HashSet::new();
        self.table.for_each(|entry| {
            names.insert(entry.0.key.to_string());
        });
        names
    }
}

#[tokio::test(start_paused = true)]
async fn level_entries_leave_by_themselves() {
    let made = Made::new(1_000_000);
    for key in 0..10_000 {
        assert!(made.get(&format!("k{key}"), Idle::Level));
    }
    let small = SMALL_SHARD * SHARDS;
    assert!(made.table.len() <= small + SHARDS, "{}", made.table.len());
    assert_eq!(made.names().len(), made.table.len());
}

#[tokio::test(start_paused = true)]
async fn learned_entries_leave_only_a_full_table() {
    let made = Made::new(500);
    for key in 0..500 {
        assert!(made.get(&format!("k{key}"), Idle::Learned));
    }
    assert_eq!(made.table.len(), 500);
    let new = (0..500).filter(|key| made.get(&format!("n{key}"), Idle::Learned));
    assert!(new.count() > 450, "room was made");
    assert!(made.table.len() <= 500);
}

#[tokio::test(start_paused = true)]
async fn busy_entries_stay_and_new_keys_share() {
    let made = Made::new(100);
    for key in 0..100 {
        assert!(made.get(&format!("k{key}"), Idle::Busy));
    }
    for key in 0..1_000 {
        assert!(!made.get(&format!("n{key}"), Idle::Busy));
    }
    for key in 0..100 {
        assert!(made.get(&format!("k{key}"), Idle::Busy));
    }
    let names = made.names();
    assert_eq!(names.len(), 101);
    assert!(names.contains("overflow"));
}

#[tokio::test(start_paused = true)]
async fn what_is_used_again_outlives_what_was_used_once() {
    let made = Made::new(5_000);
    for stranger in 0..20_000 {
        made.get(&format!("stranger{stranger}"), Idle::Level);
        made.get(&format!("regular{}", stranger % 100), Idle::Level);
    }
    let regulars = made.made.load(Ordering::Relaxed) - 20_000;
    assert!(regulars < 300, "{regulars} times for 100");
}

#[tokio::test(start_paused = true)]
async fn a_million_random_keys_cost_bounded_memory_and_slow_nobody() {
    let made = Made::new(5_000);
    for key in 0..50 {
        assert!(made.get(&format!("regular{key}"), Idle::Busy));
    }
    let comparisons_of = |made: &Made| {
        made.comparisons.store(0, Ordering::Relaxed);
        for key in 0..50 {
            assert!(made.get(&format!("regular{key}"), Idle::Busy));
        }
        made.comparisons.load(Ordering::Relaxed)
    };
    let before = comparisons_of(&made);
    for key in 0..1_000_000u64 {
        made.get(
            &format!("{:016x}", key.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            Idle::Busy,
        );
    }
    assert_eq!(made.table.len(), 5_000);
    let after = comparisons_of(&made);
    assert!(after <= before + 10, "{before} comparisons, then {after}");
}

#[tokio::test(start_paused = true)]
async fn the_flood_leaves_those_who_were_there_their_own_quota() {
    let limiter = Limiter::builder(Quota::per_minute(2, 1_000))
        .max_keys(200)
        .build()
        .unwrap();
    let take = |name: &str| {
        let key = Key::tenant(name);
        let account = limiter.caller_account(key.as_ref());
        let reserved = account
            .try_reserve(Cost::new(1, OutputLimit::NoOutput), None)
            .at_once();
        reserved.is_ok_and(|reservation| {
            reservation.mark_sent();
            !account.key().is_overflow()
        })
    };
    for key in 0..20 {
        assert!(take(&format!("regular{key}")));
    }
    for key in 0..1_000_000 {
        take(&format!("stranger{key}"));
    }
    assert!(limiter.snapshot().len() <= 201);
    for key in 0..20 {
        let name = format!("regular{key}");
        assert!(take(&name), "its second request");
        assert!(!take(&name), "and no third one: it is the same account");
    }
    // A window later the strangers are level and make room.
    tokio::time::advance(Duration::from_secs(120)).await;
    let new = (0..200).filter(|key| take(&format!("new{key}")));
    assert!(new.count() > 150);
    assert!(limiter.snapshot().len() <= 201);
}

#[tokio::test(start_paused = true)]
async fn an_account_in_use_stays() {
    let limiter = Limiter::builder(Quota::per_minute(1_000, 1_000))
        .max_keys(64)
        .build()
        .unwrap();
    let held = limiter.caller_account(Key::tenant("held").as_ref());
    let reservation = limiter
        .caller_account(Key::tenant("reserved").as_ref())
        .try_reserve(Cost::new(7, OutputLimit::NoOutput), None)
        .at_once()
        .unwrap();
    reservation.mark_sent();
    tokio::time::advance(Duration::from_secs(600)).await;
    for key in 0..5_000 {
        limiter.caller_account(Key::tenant(&format!("n{key}")).as_ref());
    }
    assert!(Arc::ptr_eq(
        &held,
        &limiter.caller_account(Key::tenant("held").as_ref())
    ));
    let snapshots = limiter.snapshot();
    let of = |name: &str| snapshots.iter().find(|one| one.key == Key::tenant(name));
    assert_eq!(of("reserved").map(|account| account.in_flight), Some(1));
    drop(reservation);
}
