use std::sync::{
    Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use hashbrown::HashTable;
use tower_qwen_tokens::internal::clock::Instant;

use crate::{
    account::{Account, Idle},
    key::KeyRef,
};

/// The number of shards, each behind its own lock. Far above the cores of a machine, so that a
/// flood of new keys (write locks) seldom blocks a known key (a read lock); 64 of them take 4 KiB.
pub(super) const SHARDS: usize = 64;
/// How many accounts are examined for every new key. Two for one: what leaves keeps up with what
/// comes even when every second account is in use, and the cost of a new key does not depend on the
/// size of the table.
const EXAMINED_PER_NEW_KEY: usize = 2;
/// Shards below this size are not examined while there is room: 1,024 accounts, 4 MiB, are not
/// worth the work.
pub(super) const SMALL_SHARD: usize = 16;

/// What a table holds: shared, with a key, and with a state that decides whether it can be dropped.
pub(super) trait Entry: Clone {
    fn key_ref(&self) -> KeyRef<'_>;

    /// What would be lost if it were dropped. An entry that others hold is busy.
    fn idle(&self, now: Instant) -> Idle;
}

/// Accounts by key, at most `max_keys` of them, dropped by the CLOCK algorithm.
///
/// Every new key moves its shard's hand on by a few accounts and drops those that hold no
/// information and were not used since the hand last passed. A full table also drops accounts that
/// have only learned something. If that makes no room, the new key shares the overflow account.
///
/// # Lock order
///
/// A shard's lock comes first; then an account's (`Entry::idle`), or the limiter's quotas (`make`).
/// A thread locks at most one shard at a time.
pub(super) struct Table<V> {
    shards: Box<[RwLock<Shard<V>>]>,
    /// The accounts in all shards, without the overflow account. It is raised before an insertion
    /// and lowered after a removal, so it never falls below what the shards hold.
    len: AtomicUsize,
    max_keys: usize,
    /// The shard that is examined next while the table is full.
    next_shard: AtomicUsize,
    overflow: OnceLock<V>,
}

struct Shard<V> {
    entries: HashTable<Tracked<V>>,
    /// The bucket that was examined last.
    hand: usize,
}

struct Tracked<V> {
    entry: V,
    /// Used since the hand last passed. Atomic, since a known key holds only the read lock.
    used: AtomicBool,
}

impl<V: Entry> Table<V> {
    pub(super) fn new(max_keys: usize) -> Self {
        let shard = || {
            RwLock::new(Shard {
                entries: HashTable::new(),
                hand: 0,
            })
        };
        Self {
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            len: AtomicUsize::new(0),
            max_keys,
            next_shard: AtomicUsize::new(0),
            overflow: OnceLock::new(),
        }
    }

    /// The entry of a key, made if there is none. A known key does not read the clock.
    pub(super) fn get(
        &self,
        key: KeyRef<'_>,
        now: impl FnOnce() -> Instant,
        make: impl FnOnce(KeyRef<'_>, Instant) -> V,
    ) -> V {
        let hash = key.hash();
        // hashbrown uses the lowest and the highest bits, so the shard is taken from the middle.
        let shard = &self.shards[(hash >> 32) as usize % SHARDS];
        let is_it = |known: &Tracked<V>| known.entry.key_ref() == key;
        if let Some(known) = read(shard).entries.find(hash, is_it) {
            // Relaxed: the flag is a hint for the hand, nothing is published with it.
            known.used.store(true, Ordering::Relaxed);
            return known.entry.clone();
        }
        let now = now();
        if self.is_full() {
            self.make_room_elsewhere(now);
        }
        let mut shard = write(shard);
        // Another thread may have inserted it between the two locks.
        if let Some(known) = shard.entries.find(hash, is_it) {
            return known.entry.clone();
        }
        self.make_room(&mut shard, now);
        if !self.claim_room() {
            return self
                .overflow
                .get_or_init(|| make(KeyRef::OVERFLOW, now))
                .clone();
        }
        let entry = make(key, now);
        let tracked = Tracked {
            entry: entry.clone(),
            // A key that is seen once is dropped at the hand's first pass; one that comes again
            // stays longer.
            used: AtomicBool::new(false),
        };
        let hash_of = |tracked: &Tracked<V>| tracked.entry.key_ref().hash();
        shard.entries.insert_unique(hash, tracked, hash_of);
        entry
    }

    /// Visits all entries, the overflow account too.
    pub(super) fn for_each(&self, mut visit: impl FnMut(&V)) {
        for shard in &self.shards {
            for tracked in read(shard).entries.iter() {
                visit(&tracked.entry);
            }
        }
        if let Some(entry) = self.overflow.get() {
            visit(entry);
        }
    }

    /// Counts one more entry if there is room for it. One atomic step: two shards cannot both take
    /// the last place.
    fn claim_room(&self) -> bool {
        let one_more = |len| (len < self.max_keys).then_some(len + 1);
        self.len
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .is_ok()
    }

    fn is_full(&self) -> bool {
        self.len.load(Ordering::Relaxed) >= self.max_keys
    }

    /// Examines one shard after the other, since the new key's own shard may hold nothing that can
    /// be dropped.
    fn make_room_elsewhere(&self, now: Instant) {
        let next = self.next_shard.fetch_add(1, Ordering::Relaxed) % SHARDS;
        // Never waits: the next new key examines another shard.
        if let Ok(mut shard) = self.shards[next].try_write() {
            self.make_room(&mut shard, now);
        }
    }

    fn make_room(&self, shard: &mut Shard<V>, now: Instant) {
        let is_full = self.is_full();
        if !is_full && shard.entries.len() < SMALL_SHARD {
            return;
        }
        let buckets = shard.entries.num_buckets();
        let mut examined = 0;
        // One round at most: a shard may hold fewer entries than are to be examined.
        for _ in 0..buckets {
            if examined == EXAMINED_PER_NEW_KEY {
                return;
            }
            shard.hand = (shard.hand + 1) % buckets;
            let Ok(tracked) = shard.entries.get_bucket_entry(shard.hand) else {
                continue;
            };
            examined += 1;
            if tracked.get().used.swap(false, Ordering::Relaxed) {
                continue;
            }
            let can_go = match tracked.get().entry.idle(now) {
                Idle::Level => true,
                Idle::Learned => is_full,
                Idle::Busy => false,
            };
            if can_go {
                tracked.remove();
                self.len.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }
}

impl Entry for Arc<Account> {
    fn key_ref(&self) -> KeyRef<'_> {
        Account::key(self).as_ref()
    }

    fn idle(&self, now: Instant) -> Idle {
        // Exact under the shard's write lock: a call's handle is cloned from the table under its
        // lock, or from a handle that is counted here. (The weak handles of a fleet may be upgraded
        // later; they carry no call.)
        if Arc::strong_count(self) > 1 {
            return Idle::Busy;
        }
        Account::idle(self, now)
    }
}

// A poisoned shard is used as it is: no entry is half-inserted, and one panic must not stop all
// calls.
fn read<V>(shard: &RwLock<Shard<V>>) -> RwLockReadGuard<'_, Shard<V>> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<V>(shard: &RwLock<Shard<V>>) -> RwLockWriteGuard<'_, Shard<V>> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}

opaque_debug!(Table { len, max_keys }, impl<V> std::fmt::Debug for Table<V>);
