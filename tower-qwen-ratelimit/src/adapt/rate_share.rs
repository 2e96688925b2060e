use super::Recurrence;
use crate::units::{Fraction, Nanos};

// The shape is that of CUBIC; the figures are from the study of a quota that halves unannounced and
// doubles again (docs/design.md, "Feedback"; it stays in CI as
// examples/batch/tests/quota/change.rs): they use 0.91 of what a sliding window allows with the
// fewest throttles. A *first* cut to 70 with a tenth added a window used 0.83, a first cut to 80 with
// a recovery that pauses at 97 used 0.89.

/// What a throttle leaves, in percent.
const CUT: u32 = 85;
/// What one leaves that follows another without an accepted call in between: the limit is far off.
// Of the same study.
const CUT_AGAIN: u32 = 70;
/// Where the recovery pauses, in percent of what was cut: just below the rate that was too high.
const NEAR: u32 = 95;
/// How far above the cut the recovery pauses at most, in percent: after a second throttle the old
/// rate is no guide.
const NEAR_ABOVE_CUT: u32 = 10;
/// The part of the quota that each window after the cut gives back, from the first window on; the
/// last entry holds for all later ones.
// The first window goes to `near` instead; its entry counts only where `LEAST` has kept the share
// above `near`.
const CLIMB: [Fraction; 5] = [
    Fraction::from_percent(1),
    Fraction::from_percent(1),
    Fraction::from_percent(2),
    Fraction::from_percent(12),
    Fraction::from_percent(30),
];
/// Recovery goes in this many steps a window: about one a second, so that the rate does not jump.
const STEPS: u32 = 64;
/// A gate never slows below this: below it too few calls go to notice that the limit is gone.
const LEAST: Fraction = Fraction::one_of(64);

/// The share of its quota that a gate uses at present.
///
/// A throttle cuts it to 85 percent. Within a window it comes back near to where it was cut, stays
/// there, and then climbs faster and faster, as CUBIC does: a limit that stays is touched seldom,
/// one that went is left behind soon.
#[derive(Debug)]
pub(crate) struct RateShare {
    share: Fraction,
    /// What the recovery aims at in its first window.
    near: Fraction,
    /// Steps since the cut.
    steps: u32,
    /// Recovery is counted up to here.
    at: Nanos,
    step: u64,
}

impl RateShare {
    pub(crate) fn whole(window: u64, now: Nanos) -> Self {
        Self {
            share: Fraction::WHOLE,
            near: Fraction::WHOLE,
            steps: 0,
            at: now,
            step: (window / u64::from(STEPS)).max(1),
        }
    }

    /// Recovers up to `now`. Returns whether the share changed.
    pub(crate) fn advance(&mut self, now: Nanos) -> bool {
        if self.share == Fraction::WHOLE {
            self.at = self.at.max(now);
            return false;
        }
        let before = self.share;
        let elapsed = now.saturating_sub(self.at) / self.step;
        self.at = self.at.saturating_add(elapsed.saturating_mul(self.step));
        for _ in 0..elapsed {
            self.recover();
            // An account may come back after days: steps that change nothing are not taken.
            if self.share == Fraction::WHOLE {
                break;
            }
        }
        self.share != before
    }

    fn recover(&mut self) {
        self.steps = self.steps.saturating_add(1);
        let window = usize::try_from(self.steps / STEPS).unwrap_or(usize::MAX);
        let (near, share) = (self.near.parts(), self.share.parts());
        let gain = match near.checked_sub(share) {
            Some(missing) if window == 0 => missing / (STEPS - self.steps),
            _ => CLIMB[window.min(CLIMB.len() - 1)].parts() / STEPS,
        };
        self.share = Fraction::from_parts(share.saturating_add(gain));
    }

    /// A throttle.
    pub(crate) fn cut(&mut self, recurrence: Recurrence) {
        let left = match recurrence {
            Recurrence::First => CUT,
            Recurrence::Repeated => CUT_AGAIN,
        };
        self.near = self.share.hundredths(NEAR.min(left + NEAR_ABOVE_CUT));
        self.share = self.share.hundredths(left).max(LEAST);
        self.steps = 0;
    }

    /// The share of `amount`, at least 1 of anything.
    #[inline]
    pub(crate) fn of(&self, amount: u64) -> u64 {
        self.share.of_at_least_one(amount)
    }

    pub(crate) fn fraction(&self) -> Fraction {
        self.share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: u64 = 60_000_000_000;

    #[test]
    fn a_cut_recovers_soon_to_near_where_it_was_and_then_ever_faster() {
        let mut share = RateShare::whole(WINDOW, 0);
        assert_eq!((share.of(1_000), share.fraction().percent()), (1_000, 100));
        share.cut(Recurrence::First);
        assert_eq!(share.of(1_000), 849);
        let mut after = Vec::new();
        for window in 1..=7 {
            share.advance(window * WINDOW);
            after.push(share.of(1_000));
        }
        assert!((945..=950).contains(&after[0]), "{after:?}");
        assert!(after[1] - after[0] <= 12, "it stays there: {after:?}");
        assert!(after[1] > after[0]);
        assert_eq!(after[6], 1_000, "{after:?}");

        share.cut(Recurrence::First);
        share.cut(Recurrence::First);
        share.cut(Recurrence::First);
        let lowest = share.of(1_000);
        assert!((600..620).contains(&lowest), "{lowest}");
        share.advance(12 * WINDOW);
        assert!(
            (675..690).contains(
                &share
                    .near
                    .parts()
                    .div_euclid(Fraction::WHOLE.parts() / 1_000)
            ),
            "the last cut counts"
        );
        assert!(share.of(1_000) > 900);
    }

    #[test]
    fn cuts_leave_something() {
        let mut share = RateShare::whole(WINDOW, 0);
        for _ in 0..100 {
            share.cut(Recurrence::First);
        }
        assert_eq!(share.of(6_400), 100);
        assert_eq!(share.of(1), 1);
        assert_eq!(share.of(0), 0);
        share.advance(u64::MAX);
        assert_eq!(share.fraction().percent(), 100);
    }
}
