use std::{
    fmt,
    hash::RandomState,
    sync::{
        Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use hashbrown::HashTable;
use tower_qwen_tokens::internal::clock::Instant;

use crate::{
    account::{Account, Idle},
    key::KeyRef,
};

/// Locks, so that those who come in masses seldom meet those who come again.
const SHARDS: usize = 64;
/// How many accounts each newcomer looks at to make room.
const LOOKS: usize = 2;
/// A shard with fewer accounts than this takes so little that none is looked at while there is room.
const FEW: usize = 16;

/// What a table holds: shared, with a key, and able to say what would be lost with it.
pub(super) trait Entry: Clone {
    fn key_ref(&self) -> KeyRef<'_>;

    /// What would be lost with it; in use by others, it is busy.
    fn idle(&self, now: Instant) -> Idle;
}

/// Accounts by key, at most so many.
///
/// Every newcomer moves its shard's hand on by a few accounts and drops those that are level and were not used since the
/// hand last came by. Where there is no room left, accounts go that have only learned something; where there is still
/// none, the newcomer shares the overflow's account.
pub(super) struct Table<V> {
    shards: Box<[RwLock<Shard<V>>]>,
    hasher: RandomState,
    len: AtomicUsize,
    max_keys: usize,
    /// The shard that is looked into next where there is no room.
    turn: AtomicUsize,
    overflow: OnceLock<V>,
}

struct Shard<V> {
    slots: HashTable<Slot<V>>,
    /// The bucket at which the next look begins.
    hand: usize,
}

struct Slot<V> {
    entry: V,
    /// Used since the hand last came by.
    used: AtomicBool,
}

impl<V: Entry> Table<V> {
    pub(super) fn new(max_keys: usize) -> Self {
        let shard = || {
            RwLock::new(Shard {
                slots: HashTable::new(),
                hand: 0,
            })
        };
        Self {
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            hasher: RandomState::new(),
            len: AtomicUsize::new(0),
            max_keys,
            turn: AtomicUsize::new(0),
            overflow: OnceLock::new(),
        }
    }

    /// The entry of a key, made where there is none. Who is known costs no look at the clock.
    pub(super) fn get(
        &self,
        key: KeyRef<'_>,
        now: impl FnOnce() -> Instant,
        make: impl FnOnce(KeyRef<'_>, Instant) -> V,
    ) -> V {
        let hash = key.hash_with(&self.hasher);
        // The table goes by other bits of the hash than these.
        let shard = &self.shards[(hash >> 32) as usize % SHARDS];
        if let Some(slot) = read(shard)
            .slots
            .find(hash, |slot| slot.entry.key_ref() == key)
        {
            slot.used.store(true, Ordering::Relaxed);
            return slot.entry.clone();
        }
        let now = now();
        if self.is_full() {
            self.make_room_elsewhere(now);
        }
        let mut shard = write(shard);
        if let Some(slot) = shard.slots.find(hash, |slot| slot.entry.key_ref() == key) {
            return slot.entry.clone();
        }
        self.make_room(&mut shard, now);
        if !self.enter() {
            return self
                .overflow
                .get_or_init(|| make(KeyRef::OVERFLOW, now))
                .clone();
        }
        let entry = make(key, now);
        let slot = Slot {
            entry: entry.clone(),
            used: AtomicBool::new(false),
        };
        shard.slots.insert_unique(hash, slot, |slot| {
            slot.entry.key_ref().hash_with(&self.hasher)
        });
        entry
    }

    /// Looks at all entries, the overflow's too.
    pub(super) fn for_each(&self, mut look: impl FnMut(&V)) {
        for shard in &self.shards {
            for slot in read(shard).slots.iter() {
                look(&slot.entry);
            }
        }
        if let Some(entry) = self.overflow.get() {
            look(entry);
        }
    }

    /// Whether there was room for one more.
    fn enter(&self) -> bool {
        let more = |len| (len < self.max_keys).then_some(len + 1);
        self.len
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok()
    }

    fn is_full(&self) -> bool {
        self.len.load(Ordering::Relaxed) >= self.max_keys
    }

    /// Looks into one shard after the other, since the newcomer's own may have nothing that can go.
    fn make_room_elsewhere(&self, now: Instant) {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % SHARDS;
        if let Ok(mut shard) = self.shards[turn].try_write() {
            self.make_room(&mut shard, now);
        }
    }

    fn make_room(&self, shard: &mut Shard<V>, now: Instant) {
        let is_full = self.is_full();
        if !is_full && shard.slots.len() < FEW {
            return;
        }
        let buckets = shard.slots.num_buckets();
        let mut looks = 0;
        for _ in 0..buckets {
            if looks == LOOKS {
                return;
            }
            shard.hand = (shard.hand + 1) % buckets;
            let Ok(slot) = shard.slots.get_bucket_entry(shard.hand) else {
                continue;
            };
            looks += 1;
            if slot.get().used.swap(false, Ordering::Relaxed) {
                continue;
            }
            let goes = match slot.get().entry.idle(now) {
                Idle::Level => true,
                Idle::Learned => is_full,
                Idle::Busy => false,
            };
            if goes {
                slot.remove();
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
        if Arc::strong_count(self) > 1 {
            return Idle::Busy;
        }
        Account::idle(self, now)
    }
}

fn read<V>(shard: &RwLock<Shard<V>>) -> RwLockReadGuard<'_, Shard<V>> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<V>(shard: &RwLock<Shard<V>>) -> RwLockWriteGuard<'_, Shard<V>> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}

impl<V> fmt::Debug for Table<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("len", &self.len.load(Ordering::Relaxed))
            .field("max_keys", &self.max_keys)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
