use std::{collections::VecDeque, sync::Mutex};

use crate::{macros::opaque_debug, shared::lock};

use super::{LedgerSink, Record};

/// Keeps the last attempts in memory.
pub struct MemorySink {
    capacity: usize,
    records: Mutex<VecDeque<Record<'static>>>,
}

impl MemorySink {
    /// A sink of at most this many attempts; a new one replaces the oldest.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            records: Mutex::default(),
        }
    }

    /// The attempts, the oldest first.
    #[must_use]
    pub fn records(&self) -> Vec<Record<'static>> {
        lock(&self.records).iter().cloned().collect()
    }
}

impl LedgerSink for MemorySink {
    fn record(&self, record: &Record<'_>) {
        // `pop_front` of an empty list would let it grow to one.
        if self.capacity == 0 {
            return;
        }
        // Copied before the lock is taken.
        let record = record.clone().into_owned();
        let mut records = lock(&self.records);
        if records.len() >= self.capacity {
            records.pop_front();
        }
        records.push_back(record);
    }
}

opaque_debug!(MemorySink { capacity }, impl std::fmt::Debug for MemorySink);
