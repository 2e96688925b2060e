use super::held::Held;
use crate::units::Nanos;

/// The second proof of a fall comes within so many windows,
pub(super) const PROOF_WINDOWS: u64 = 2;
/// and finds the limit within this part of the first.
pub(super) const ALIKE: u64 = 2;
/// A call that is accepted beyond a claim by this part shows that it is none:
// By more than the order in which calls reach the provider can explain. Less keeps accidents from being
// believed (tests/accidents.rs), more helps processes that share a quota and do not know it: of the
// calls of a hundred such 382 of 1,000 were throttled, with an eighth 330, and where no claim was taken
// back 283 (examples/goodput).
const BEYOND: u64 = 32;
/// by this part, that two of them are none.
// A quarter: at the ends of a fixed window more than its limit can be accepted for a moment.
const FAR_BEYOND: u64 = 4;

/// A limit that is far below what is believed, as one throttle shows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim {
    pub(super) measured: u64,
    pub(super) at: Nanos,
    pub(super) call: ThrottledCall,
}

/// Which call was throttled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ThrottledCall {
    /// When it arrived, which all its attempts have in common.
    pub(crate) arrived: Nanos,
    /// The number of the throttles in a row to which it belongs.
    pub(crate) streak: u32,
    /// Whether the other dimension has been proven to have fallen: then no outage looks alike.
    pub(crate) has_other_fallen: bool,
}

impl Claim {
    /// Whether another call, in other throttles in a row, has just met about the same limit.
    pub(super) fn is_proven_by(&self, second: &Self, window: u64) -> bool {
        let (least, most) = (
            self.measured.min(second.measured),
            self.measured.max(second.measured),
        );
        !self.is_over(second.at, window)
            && self.call.arrived != second.call.arrived
            && most / ALIKE <= least
    }

    /// Whether it is too old to be proven.
    pub(super) fn is_over(&self, now: Nanos, window: u64) -> bool {
        now.saturating_sub(self.at) > window.saturating_mul(PROOF_WINDOWS)
    }

    /// Whether a call that was sent at `sent_at` was accepted beyond it, so that the throttle says nothing
    /// of a limit.
    pub(super) fn is_below(&self, accepted: Held, sent_at: Nanos) -> bool {
        self.is_exceeded(accepted, sent_at, BEYOND)
    }

    /// Whether it was accepted so far beyond it that two throttles were accidents.
    pub(super) fn is_far_below(&self, accepted: Held, sent_at: Nanos) -> bool {
        self.is_exceeded(accepted, sent_at, FAR_BEYOND)
    }

    fn is_exceeded(&self, accepted: Held, sent_at: Nanos, part: u64) -> bool {
        let limit = self.measured.saturating_add(self.measured / part);
        sent_at >= self.at && accepted.measured() > limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: u64 = 60;
    const QUOTA: u64 = 1_000;

    fn held(with_it: u64) -> Held {
        Held {
            with_it,
            allowed: QUOTA,
            quota: QUOTA,
        }
    }

    fn claim(with_it: u64, at: Nanos) -> Claim {
        Claim {
            measured: held(with_it).measured(),
            at,
            call: ThrottledCall {
                arrived: at,
                streak: 0,
                has_other_fallen: false,
            },
        }
    }

    #[test]
    fn what_is_accepted_beyond_a_claim_counts_if_it_was_sent_after_it() {
        for (with_it, sent_at, is_below, is_far_below) in [
            (160, 10, false, false),
            (165, 10, false, false),
            (166, 10, true, false),
            (166, 9, false, false),
            (200, 10, true, false),
            (201, 10, true, true),
            (201, 9, false, false),
        ] {
            let found = (
                claim(160, 10).is_below(held(with_it), sent_at),
                claim(160, 10).is_far_below(held(with_it), sent_at),
            );
            assert_eq!(found, (is_below, is_far_below), "{with_it} {sent_at}");
        }
    }

    #[test]
    fn another_call_proves_it_soon_and_near() {
        let first = claim(160, 10);
        let latest = 10 + PROOF_WINDOWS * WINDOW;
        for (with_it, at, expected) in [
            (160, 11, true),
            (160, 10, false),
            (319, latest, true),
            (319, latest + 1, false),
            (330, 11, false),
            (80, 11, true),
            (70, 11, false),
        ] {
            let is_proven = first.is_proven_by(&claim(with_it, at), WINDOW);
            assert_eq!(is_proven, expected, "{with_it} {at}");
        }
    }
}
