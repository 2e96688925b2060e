//! Many threads at one table. Its atomics (the count, the hand's flags) are ours and have no other
//! model.
//!
//! The law, at every instant: no more entries than `max_keys` and the overflow account; an entry
//! that somebody holds is never dropped, so its key always gives the same one; a key never has two
//! entries. At the end the count is what is there.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use tower_qwen_tokens::internal::clock::{self, Instant};

use super::{
    Limiter,
    table::{Entry, Table},
};
use crate::{
    account::Idle,
    cost::{Cost, OutputLimit},
    key::{Key, KeyRef, NameRef},
    quota::{Pacing, Quota},
};

const THREADS: usize = 8;
/// Calls of each thread. All tests of this file take less than 2 s on two cores.
const CALLS: usize = 20_000;

/// An entry that holds no information, so that the table drops it as soon as nobody holds it.
#[derive(Clone)]
struct Idler(Arc<IdlerState>);

struct IdlerState {
    key: Key,
    /// Entries of all keys that have been made and not yet dropped.
    alive: Arc<AtomicUsize>,
}

impl Entry for Idler {
    fn key_ref(&self) -> KeyRef<'_> {
        self.0.key.as_ref()
    }

    fn idle(&self, _: Instant) -> Idle {
        // As accounts say it.
        if Arc::strong_count(&self.0) > 1 {
            Idle::Busy
        } else {
            Idle::Level
        }
    }
}

impl Drop for IdlerState {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Stressed {
    table: Table<Idler>,
    alive: Arc<AtomicUsize>,
}

impl Stressed {
    fn new(max_keys: usize) -> Self {
        Self {
            table: Table::new(max_keys),
            alive: Arc::default(),
        }
    }

    fn get(&self, name: &str) -> Idler {
        let key = KeyRef::new(NameRef::Tenant(name), "");
        self.table.get(key, clock::now, |key, _| {
            self.alive.fetch_add(1, Ordering::SeqCst);
            Idler(Arc::new(IdlerState {
                key: key.to_key(),
                alive: self.alive.clone(),
            }))
        })
    }

    /// The entries by key, and how many there are.
    fn entries(&self) -> (HashSet<String>, usize) {
        let (mut names, mut entries) = (HashSet::new(), 0);
        self.table.for_each(|entry| {
            names.insert(entry.0.key.to_string());
            entries += 1;
        });
        (names, entries)
    }

    /// Checks the law after all threads have ended and nobody holds an entry.
    fn check_at_rest(&self, max_keys: usize) {
        let (names, entries) = self.entries();
        assert_eq!(names.len(), entries, "a key has two entries");
        let overflow = usize::from(names.contains("overflow"));
        assert_eq!(self.table.len() + overflow, entries, "the count is wrong");
        assert!(self.table.len() <= max_keys);
        assert_eq!(self.alive.load(Ordering::SeqCst), entries, "an entry leaks");
    }
}

/// A thread's own sequence of numbers (xorshift), the same in every run.
fn numbers(seed: usize) -> impl FnMut(usize) -> usize {
    let mut state = (seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as usize % below
    }
}

/// Threads of which each holds some entries while all of them flood the table with keys that leave
/// again.
fn stress(max_keys: usize, keys: usize, held_by_each: usize) {
    let stressed = Stressed::new(max_keys);
    let finished = AtomicBool::new(false);
    thread::scope(|scope| {
        let stressed = &stressed;
        let finished = &finished;
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    let mut number = numbers(thread);
                    let mut held: HashMap<String, Idler> = HashMap::new();
                    for _ in 0..CALLS {
                        let name = format!("k{}", number(keys));
                        let entry = stressed.get(&name);
                        let is_own = entry.0.key == Key::tenant(&name);
                        assert!(is_own || entry.0.key.is_overflow());
                        if let Some(earlier) = held.get(&name) {
                            assert!(
                                Arc::ptr_eq(&earlier.0, &entry.0),
                                "{name} in use was dropped"
                            );
                        } else if is_own {
                            if held.len() == held_by_each {
                                held.clear();
                            }
                            held.insert(name, entry);
                        }
                    }
                })
            })
            .collect();
        // What an observer sees in between. It holds nothing, so that the table can drop what it
        // has seen.
        scope.spawn(move || {
            while !finished.load(Ordering::Relaxed) {
                assert!(stressed.table.len() <= max_keys, "above max_keys");
                let alive = stressed.alive.load(Ordering::SeqCst);
                assert!(alive <= max_keys + 1, "{alive} with the overflow account");
                thread::yield_now();
            }
        });
        let results: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        // Set in every case, or a failure would leave the observer running.
        finished.store(true, Ordering::Relaxed);
        assert!(results.iter().all(Result::is_ok), "a thread has failed");
    });
    stressed.check_at_rest(max_keys);
}

#[test]
fn a_full_table_keeps_its_law_under_threads() {
    // Held by all threads together: more than the table has room for, so that keys overflow.
    stress(100, 1_000, 20);
}

#[test]
fn a_table_with_room_drops_what_nobody_holds() {
    stress(100_000, 20_000, 10);
}

#[test]
fn one_key_is_made_once_by_all_threads() {
    for round in 0..200 {
        let stressed = Stressed::new(10);
        let entries: Vec<Idler> = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|_| scope.spawn(|| stressed.get(&format!("k{round}"))))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert!(
            entries
                .iter()
                .all(|entry| Arc::ptr_eq(&entry.0, &entries[0].0))
        );
        assert_eq!(stressed.alive.load(Ordering::SeqCst), 1);
    }
}

/// The same with real accounts: what calls have reserved is charged to accounts that are still
/// there, however many new keys come.
#[test]
fn reservations_keep_their_accounts_under_threads() {
    const MAX_KEYS: usize = 64;
    let quota = Quota::per_minute(1 << 40, 1 << 50)
        .headroom(0)
        .pacing(Pacing::Window);
    let limiter = Limiter::builder(quota).max_keys(MAX_KEYS).build().unwrap();
    // No flood before every regular key has its account: afterwards there may be no room for it.
    let all_known = Barrier::new(THREADS);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (limiter, all_known) = (&limiter, &all_known);
            scope.spawn(move || {
                let mut number = numbers(thread);
                let own = Key::tenant(&format!("regular{thread}"));
                let cost = Cost::new(10, OutputLimit::NoOutput);
                let held = limiter.try_acquire(&own, cost).unwrap();
                held.mark_sent();
                all_known.wait();
                for _ in 0..CALLS / 10 {
                    let stranger = Key::tenant(&format!("stranger{}", number(10_000)));
                    // Never sent, so the account holds no information once this is dropped.
                    drop(limiter.try_acquire(&stranger, cost).unwrap());
                }
                held.settle(7, 0);
            });
        }
    });
    let accounts = limiter.snapshot();
    assert!(accounts.len() <= MAX_KEYS + 1, "{}", accounts.len());
    for thread in 0..THREADS {
        let own = Key::tenant(&format!("regular{thread}"));
        let of_own = accounts.iter().filter(|account| account.key == own);
        let settled: Vec<u64> = of_own.map(|account| account.settled_tokens).collect();
        assert_eq!(settled, [7], "thread {thread}");
    }
    assert!(accounts.iter().all(|account| account.in_flight == 0));
}
