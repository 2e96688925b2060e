use crate::units::{NEVER, Nanos};

/// Slots of the ring: an amount leaves up to a 127th of the window late. A power of two, so that
/// `index` is a mask.
const SLOTS: usize = 128;

/// The slot in which an amount was charged: its number since one ring before the epoch.
pub(crate) type SlotNumber = u64;

/// What was charged during the last window, in a ring of 128 slots.
///
/// A slot counts until a whole window has passed since its *end*: an amount leaves up to one slot
/// late, never early.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Window {
    slots: Box<[u64; SLOTS]>,
    sum: u128,
    newest: SlotNumber,
    /// No slot before it holds anything.
    first: SlotNumber,
    /// When the newest slot ends.
    ends: Nanos,
    /// Nanoseconds of one slot: 127 slots are at least one window, and one more is being filled.
    width: u64,
    length: u64,
    /// Whether its length was changed: what was charged before lies a little later than it was charged.
    is_moved: bool,
}

impl Window {
    pub(crate) fn new(length: u64) -> Self {
        let length = length.max(1);
        let width = length.div_ceil(SLOTS as u64 - 1);
        Self {
            slots: Box::new([0; SLOTS]),
            sum: 0,
            newest: SLOTS as u64,
            first: SLOTS as u64,
            ends: width,
            width,
            length,
            is_moved: false,
        }
    }

    /// Goes on with another length. What is held stays, each part until its whole new window has passed
    /// since the end of its old slot.
    #[cold]
    pub(crate) fn set_length(&mut self, length: u64, now: Nanos) {
        if length.max(1) == self.length {
            return;
        }
        self.advance(now);
        let before = std::mem::replace(self, Self::new(length));
        self.is_moved = true;
        self.advance(now);
        for slot in before.oldest()..=before.newest {
            let ends = before
                .leaves_at(slot)
                .saturating_sub(SLOTS as u64 * before.width);
            let ends = ends.saturating_add(before.width).saturating_sub(1);
            self.add(self.slot_of(ends.min(now)), before.slots[index(slot)]);
        }
    }

    /// Drops what has left the window by `now`.
    #[inline]
    pub(crate) fn advance(&mut self, now: Nanos) {
        if now >= self.ends {
            self.rotate(now);
        }
    }

    // Once a slot, and apart, so that it takes no registers from the calls in between.
    #[cold]
    fn rotate(&mut self, now: Nanos) {
        let newest = self.slot_of(now);
        let elapsed = newest.saturating_sub(self.newest);
        // A whole ring has gone by: nothing that is counted is left.
        if elapsed >= SLOTS as u64 {
            self.slots.fill(0);
            self.sum = 0;
        } else {
            for slot in self.newest + 1..=self.newest + elapsed {
                let left = std::mem::take(&mut self.slots[index(slot)]);
                self.sum -= u128::from(left);
            }
        }
        self.newest = self.newest.max(newest);
        self.ends = (self.newest - SLOTS as u64 + 1).saturating_mul(self.width);
    }

    /// The slot that leaves the window at `at`, or the nearest that there is.
    pub(crate) fn leaving_at(&self, at: Nanos) -> SlotNumber {
        (at / self.width).clamp(self.oldest(), self.newest)
    }

    /// The slot of what was charged at an instant.
    pub(crate) fn slot_of(&self, at: Nanos) -> SlotNumber {
        (at / self.width).saturating_add(SLOTS as u64)
    }

    /// The slot that is being filled.
    pub(crate) fn newest(&self) -> SlotNumber {
        self.newest
    }

    /// The first instant that belongs to another slot.
    pub(crate) fn newest_ends(&self) -> Nanos {
        self.ends
    }

    /// Charges `amount` now and says where.
    #[inline]
    pub(crate) fn charge(&mut self, amount: u64) -> SlotNumber {
        self.add(self.newest, amount);
        self.newest
    }

    /// Charges `amount` to an earlier slot; nothing once that slot has left.
    #[inline]
    pub(crate) fn add(&mut self, slot: SlotNumber, amount: u64) {
        if self.holds(slot) {
            self.first = match self.sum {
                0 => slot,
                _ => self.first.min(slot),
            };
            let value = &mut self.slots[index(slot)];
            let before = *value;
            *value = before.saturating_add(amount);
            self.sum += u128::from(*value - before);
        }
    }

    /// Gives `amount` back to the slot of its charge; nothing once that slot has left.
    #[inline]
    pub(crate) fn refund(&mut self, slot: SlotNumber, amount: u64) {
        if self.holds(slot) {
            let value = &mut self.slots[index(slot)];
            let before = *value;
            *value = before.saturating_sub(amount);
            let refund = before - *value;
            self.sum -= u128::from(refund);
            if self.is_moved && refund < amount {
                self.refund_later(slot, amount - refund);
            }
        }
    }

    /// What was charged to a slot has been moved to a later one.
    #[cold]
    fn refund_later(&mut self, slot: SlotNumber, mut amount: u64) {
        for slot in slot + 1..=self.newest {
            let value = &mut self.slots[index(slot)];
            let refund = amount.min(*value);
            *value -= refund;
            self.sum -= u128::from(refund);
            amount -= refund;
        }
    }

    /// What was charged as `charged` turned out to be `actual`.
    #[inline]
    pub(crate) fn correct(&mut self, slot: SlotNumber, charged: u64, actual: u64) {
        match charged.checked_sub(actual) {
            Some(refund) => self.refund(slot, refund),
            None => self.add(slot, actual - charged),
        }
    }

    /// The first instant, not before `now`, at which `amount` more keeps the sum within `quota`.
    #[inline]
    pub(crate) fn ready_at(&self, now: Nanos, amount: u64, quota: u64) -> Nanos {
        let Some(room) = quota.checked_sub(amount) else {
            return NEVER;
        };
        let room = u128::from(room);
        match self.sum <= room {
            true => now,
            false => self.falls_to(room).max(now),
        }
    }

    /// The first instant at which the sum, which is above `room`, has fallen to it.
    // Apart, as `rotate`.
    #[cold]
    fn falls_to(&self, room: u128) -> Nanos {
        // The ring is walked from the end that is nearer to where the sum falls to `room`.
        let last = if room < self.sum / 2 {
            self.last_to_leave_from_the_newest(room)
        } else {
            self.last_to_leave_from_the_oldest(room)
        };
        self.leaves_at(last)
    }

    /// The slot with which the sum falls to `room`, which it is above. Quick where little stays.
    fn last_to_leave_from_the_newest(&self, room: u128) -> SlotNumber {
        let mut stays = 0;
        let mut slot = self.newest;
        loop {
            stays += u128::from(self.slots[index(slot)]);
            if stays > room || slot == self.oldest() {
                return slot;
            }
            slot -= 1;
        }
    }

    /// The same, counted from the other end. Quick where much stays.
    fn last_to_leave_from_the_oldest(&self, room: u128) -> SlotNumber {
        let mut sum = self.sum;
        // A caller that has just come would walk a whole ring of nothing.
        let mut slot = self.oldest().max(self.first);
        loop {
            sum -= u128::from(self.slots[index(slot)]);
            if sum <= room || slot == self.newest {
                return slot;
            }
            slot += 1;
        }
    }

    /// Nanoseconds of a slot.
    #[cfg(feature = "redis")]
    pub(crate) fn width(&self) -> u64 {
        self.width
    }

    /// Nanoseconds of the window.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// What the window holds.
    pub(crate) fn sum(&self) -> u64 {
        u64::try_from(self.sum).unwrap_or(u64::MAX)
    }

    /// The slot that leaves next.
    fn oldest(&self) -> SlotNumber {
        self.newest.saturating_sub(SLOTS as u64 - 1)
    }

    fn holds(&self, slot: SlotNumber) -> bool {
        slot <= self.newest && self.newest - slot < SLOTS as u64
    }

    /// The first instant at which [`Window::advance`] drops the slot.
    fn leaves_at(&self, slot: SlotNumber) -> Nanos {
        slot.saturating_mul(self.width)
    }
}

fn index(slot: SlotNumber) -> usize {
    (slot % SLOTS as u64) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_amount_counts_for_a_whole_window_and_at_most_a_slot_longer() {
        let mut window = Window::new(127_000);
        window.advance(500);
        window.charge(7);
        window.advance(127_500);
        assert_eq!(window.sum(), 7);
        window.advance(128_000);
        assert_eq!(window.sum(), 0);
    }

    proptest! {
        /// Nothing is lost or counted twice where the length changes, and nothing leaves early.
        #[test]
        fn another_length_keeps_what_is_held(
            charges in prop::collection::vec((0_u64..3_000, 1_u64..100), 1..50),
            before in 1_000_u64..200_000,
            after in 1_000_u64..200_000,
        ) {
            let mut window = Window::new(before);
            let (mut now, mut held) = (0, Vec::new());
            for (pause, amount) in charges {
                now += pause;
                window.advance(now);
                window.charge(amount);
                held.push((now, amount));
            }
            let sum = window.sum();
            window.set_length(after, now);
            // What has left the shorter window already, slot by slot, is gone.
            let within: u64 = held.iter().filter(|(at, _)| at + before.min(after) > now).map(|(_, amount)| amount).sum();
            prop_assert!(within <= window.sum() && window.sum() <= sum);
            let kept: Vec<_> = held.iter().filter(|(at, _)| at + before.min(after) > now).collect();
            let rest = window.sum() - within;
            for &&(at, amount) in &kept {
                window.refund(window.slot_of(at), amount);
            }
            prop_assert!(window.sum() <= rest);
            window.advance(now + after + window.width);
            prop_assert_eq!(window.sum(), 0);
        }
    }

    #[test]
    fn a_refund_goes_to_the_slot_of_its_charge_and_nothing_once_it_left() {
        let mut window = Window::new(127_000);
        let slot = window.charge(10);
        window.advance(5_000);
        window.charge(1);
        window.refund(slot, 4);
        assert_eq!(window.sum(), 7);
        window.advance(128_000);
        window.refund(slot, 6);
        assert_eq!(window.sum(), 1);
    }

    #[test]
    fn an_amount_above_the_quota_never_fits() {
        let window = Window::new(1_000);
        assert_eq!(window.ready_at(0, 11, 10), NEVER);
        assert_eq!(window.ready_at(0, 10, 10), 0);
    }

    proptest! {
        /// Law 2: calls that go only at the stated instant never exceed the quota within any
        /// window.
        #[test]
        fn no_window_holds_more_than_the_quota(
            length in 1..1_000_000u64,
            quota in 1..1_000u64,
            requests in prop::collection::vec((1..1_000u64, 0..300_000u64), 1..200),
        ) {
            let mut window = Window::new(length);
            let mut now = 0;
            let mut log: Vec<(u64, u64)> = Vec::new();
            for (amount, pause) in requests {
                now += pause;
                window.advance(now);
                let amount = amount.min(quota);
                now = window.ready_at(now, amount, quota);
                window.advance(now);
                window.charge(amount);
                log.push((now, amount));
                let within: u64 = log.iter().filter(|(at, _)| now - at < length).map(|(_, n)| n).sum();
                prop_assert!(within <= quota);
            }
        }

        #[test]
        fn the_stated_instant_is_the_first_that_fits(
            length in 128..1_000_000u64,
            quota in 100..1_000u64,
            charges in prop::collection::vec((0..20_000u64, 1..50u64), 1..100),
            amount in 1..100u64,
        ) {
            let mut window = Window::new(length);
            let mut now = 0;
            for (pause, amount) in charges {
                now += pause;
                window.advance(now);
                window.charge(amount);
            }
            let at = window.ready_at(now, amount, quota);
            if at > now {
                window.advance(at - 1);
                prop_assert!(window.sum() + amount > quota);
            }
            window.advance(at);
            prop_assert!(window.sum() + amount <= quota);
        }

        #[test]
        fn no_input_overflows(
            length: u64, steps in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u64>(), 0..3u8), 0..30)
        ) {
            let mut window = Window::new(length);
            let mut now = 0;
            for (at, slot, amount, action) in steps {
                now = now.max(at);
                window.advance(now);
                match action {
                    0 => { window.charge(amount); }
                    1 => window.add(slot, amount),
                    _ => window.refund(slot, amount),
                }
                prop_assert!(window.ready_at(now, amount, u64::MAX) >= now);
                let total: u128 = window.slots.iter().map(|n| u128::from(*n)).sum();
                prop_assert_eq!(total, window.sum);
                let before = window.oldest()..window.first;
                prop_assert!(before.into_iter().all(|slot| window.slots[index(slot)] == 0));
            }
        }
    }
}
