//! What a reservation holds from its admission to its end.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

use super::Charge;
use crate::units::Nanos;

/// The charge of one admitted call, and how far the call has come.
///
/// It has no lock of its own, which would be taken twice a call beside the account's. Who settles, or dates anew, holds the account's
/// lock; without it a call becomes a sent one.
// Relaxed: the account's lock orders what is written under it, and the rest is one value at a time.
#[derive(Debug)]
pub(crate) struct Life {
    /// As it was admitted; its date is in the next three.
    charge: Charge,
    at: AtomicU64,
    slot: AtomicU64,
    day: AtomicU64,
    phase: AtomicU8,
}

/// How far an admitted call has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    Admitted,
    Sent,
    Settled,
}

impl Life {
    pub(crate) fn new(charge: Charge) -> Self {
        Self {
            at: AtomicU64::new(charge.at),
            slot: AtomicU64::new(charge.slot),
            day: AtomicU64::new(charge.day),
            phase: AtomicU8::new(Phase::Admitted as u8),
            charge,
        }
    }

    #[inline]
    pub(crate) fn charge(&self) -> Charge {
        Charge {
            at: self.at.load(Relaxed),
            slot: self.slot.load(Relaxed),
            day: self.day.load(Relaxed),
            ..self.charge
        }
    }

    /// From this instant on it would be charged elsewhere.
    #[inline]
    pub(super) fn dated_until(&self) -> Nanos {
        self.charge.dated_until
    }

    #[inline]
    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) {
            sent if sent == Phase::Sent as u8 => Phase::Sent,
            settled if settled == Phase::Settled as u8 => Phase::Settled,
            _ => Phase::Admitted,
        }
    }

    /// The call goes out. Returns whether this is the first time.
    #[inline]
    pub(crate) fn begin_send(&self) -> bool {
        let (from, to) = (Phase::Admitted as u8, Phase::Sent as u8);
        let phase = &self.phase;
        phase.compare_exchange(from, to, Relaxed, Relaxed).is_ok()
    }

    /// The call is settled. Returns whether this is the first time. Under the account's lock.
    // No exchange, which is as dear as half a lock: under the lock nobody else settles, and a call that is sent in between
    // is settled all the same.
    #[inline]
    pub(super) fn begin_settlement(&self) -> bool {
        let is_first = self.phase() != Phase::Settled;
        self.phase.store(Phase::Settled as u8, Relaxed);
        is_first
    }

    /// The instant of a send that changes no slot.
    #[inline]
    pub(super) fn set_sent_at(&self, at: Nanos) {
        self.at.store(at.max(self.charge.at), Relaxed);
    }

    /// The charge has another date. Under the account's lock.
    pub(super) fn set_date(&self, charge: Charge) {
        self.at.store(charge.at, Relaxed);
        self.slot.store(charge.slot, Relaxed);
        self.day.store(charge.day, Relaxed);
    }
}
