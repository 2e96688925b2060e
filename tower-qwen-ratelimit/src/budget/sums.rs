use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{
    period::{Period, PeriodKind},
    units::{NEVER, Nanos, nanos},
};

/// Slots of a rolling period: an amount leaves up to a 63rd of the period late. Half of what a quota's
/// window has, since a budget's periods are long and 64 slots of two sums take 2 KiB.
const SLOTS: usize = 64;

/// What was reserved and what was spent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) reserved: u128,
    pub(super) spent: u128,
}

/// The sums of one limit's current period. Instants are nanoseconds since 1970, by the wall clock.
#[derive(Debug)]
pub(super) struct PeriodSums {
    total: Sums,
    kind: SumsKind,
}

#[derive(Debug)]
enum SumsKind {
    Calendar {
        period: Period,
        start: Nanos,
        end: Nanos,
    },
    /// A slot counts until a whole period has passed since its end: late rather than early.
    Rolling {
        slots: Box<[Sums; SLOTS]>,
        newest: u64,
        width: Nanos,
        length: Nanos,
    },
}

impl Sums {
    pub(super) fn all(self) -> u128 {
        self.reserved.saturating_add(self.spent)
    }

    fn settle(&mut self, reserved: u128, actual: u128) {
        self.reserved = self.reserved.saturating_sub(reserved);
        self.spent = self.spent.saturating_add(actual);
    }

    fn without(self, other: Self) -> Self {
        Self {
            reserved: self.reserved.saturating_sub(other.reserved),
            spent: self.spent.saturating_sub(other.spent),
        }
    }
}

impl PeriodSums {
    pub(super) fn new(period: Period, now: Nanos) -> Self {
        let kind = match period.kind() {
            PeriodKind::Rolling(length) => {
                // At least 1 ms, as `Period::check` has seen to.
                let length = nanos(length).max(1);
                let width = length.div_ceil(SLOTS as u64 - 1);
                SumsKind::Rolling {
                    slots: Box::new([Sums::default(); SLOTS]),
                    newest: now / width,
                    width,
                    length,
                }
            }
            _ => {
                let (start, end) = span(period, now);
                SumsKind::Calendar { period, start, end }
            }
        };
        Self {
            total: Sums::default(),
            kind,
        }
    }

    /// Lets go of what is over by `now`.
    #[inline]
    pub(super) fn advance(&mut self, now: Nanos) {
        match &mut self.kind {
            SumsKind::Calendar { period, start, end } => {
                if now >= *end {
                    self.total = Sums::default();
                    (*start, *end) = span(*period, now);
                }
            }
            SumsKind::Rolling {
                slots,
                newest,
                width,
                ..
            } => {
                let slot = now / *width;
                if slot > *newest {
                    rotate(slots, &mut self.total, *newest, slot);
                    *newest = slot;
                }
            }
        }
    }

    pub(super) fn total(&self) -> Sums {
        self.total
    }

    pub(super) fn reserve(&mut self, at: Nanos, amount: u128) {
        self.change(at, |sums| {
            sums.reserved = sums.reserved.saturating_add(amount);
        });
    }

    /// What was reserved at this instant has cost so much. Nothing where its period is over.
    pub(super) fn settle(&mut self, at: Nanos, reserved: u128, actual: u128) {
        self.change(at, |sums| sums.settle(reserved, actual));
    }

    fn change(&mut self, at: Nanos, change: impl Fn(&mut Sums)) {
        match &mut self.kind {
            SumsKind::Calendar { start, .. } if at < *start => return,
            SumsKind::Calendar { .. } => {}
            SumsKind::Rolling {
                slots,
                newest,
                width,
                ..
            } => {
                // An instant ahead of the clock (a ledger of another machine) counts as now.
                let slot = (at / *width).min(*newest);
                if *newest - slot >= SLOTS as u64 {
                    return;
                }
                change(&mut slots[index(slot)]);
            }
        }
        change(&mut self.total);
    }

    /// When the period began; of a rolling one the instant from which on amounts count.
    pub(super) fn since(&self, now: Nanos) -> Nanos {
        match &self.kind {
            SumsKind::Calendar { start, .. } => *start,
            SumsKind::Rolling { length, .. } => now.saturating_sub(*length),
        }
    }

    /// When something comes free: the end of a calendar period; of a rolling one the instant at which
    /// `excess` has left it. `None`: never.
    pub(super) fn frees(&self, excess: u128) -> Option<Nanos> {
        match &self.kind {
            SumsKind::Calendar { end, .. } => (*end != NEVER).then_some(*end),
            SumsKind::Rolling {
                slots,
                newest,
                width,
                ..
            } => {
                let mut left = 0_u128;
                let oldest = newest.saturating_sub(SLOTS as u64 - 1);
                (oldest..=*newest).find_map(|slot| {
                    left = left.saturating_add(slots[index(slot)].all());
                    (left > 0 && left >= excess)
                        .then(|| (slot + SLOTS as u64).saturating_mul(*width))
                })
            }
        }
    }

    /// The end of a calendar period; `None`: it never ends, or it is a rolling one.
    #[cfg(feature = "redis")]
    pub(super) fn end(&self) -> Option<Nanos> {
        match &self.kind {
            SumsKind::Calendar { end, .. } if *end != NEVER => Some(*end),
            _ => None,
        }
    }

    /// The length of a rolling period.
    pub(super) fn length(&self) -> Option<Nanos> {
        match &self.kind {
            SumsKind::Calendar { .. } => None,
            SumsKind::Rolling { length, .. } => Some(*length),
        }
    }

    /// When a line that is reached now may be reported again.
    pub(super) fn next_period(&self, now: Nanos) -> Nanos {
        match &self.kind {
            SumsKind::Calendar { end, .. } => *end,
            SumsKind::Rolling { length, .. } => now.saturating_add(*length),
        }
    }

    /// What was charged, and when: one part of a calendar period, one of each slot otherwise.
    pub(super) fn parts(&self) -> Vec<(Nanos, u128)> {
        let parts = match &self.kind {
            SumsKind::Calendar { start, .. } => vec![(*start, self.total.all())],
            SumsKind::Rolling {
                slots,
                newest,
                width,
                ..
            } => {
                let oldest = newest.saturating_sub(SLOTS as u64 - 1);
                let part = |slot: u64| (slot.saturating_mul(*width), slots[index(slot)].all());
                (oldest..=*newest).map(part).collect()
            }
        };
        parts.into_iter().filter(|(_, sum)| *sum > 0).collect()
    }
}

/// Empties the slots that have left.
// Once a slot, and apart from the path of every call.
#[cold]
fn rotate(slots: &mut [Sums; SLOTS], total: &mut Sums, from: u64, to: u64) {
    if to - from >= SLOTS as u64 {
        slots.fill(Sums::default());
        *total = Sums::default();
        return;
    }
    for slot in from + 1..=to {
        let left = std::mem::take(&mut slots[index(slot)]);
        *total = total.without(left);
    }
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "the rest of a division by 64"
)]
fn index(slot: u64) -> usize {
    (slot % SLOTS as u64) as usize
}

/// The first instant of the calendar period around `now`, and the first behind it.
fn span(period: Period, now: Nanos) -> (Nanos, Nanos) {
    // Only rolling periods have no span, and they do not come here.
    period.span_at(time(now)).map_or((0, NEVER), |span| {
        (since_1970(span.start), span.end.map_or(NEVER, since_1970))
    })
}

/// Nanoseconds since 1970; what is before counts as its first instant.
pub(super) fn since_1970(at: SystemTime) -> Nanos {
    nanos(at.duration_since(UNIX_EPOCH).unwrap_or_default())
}

pub(super) fn time(at: Nanos) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(at)
}
