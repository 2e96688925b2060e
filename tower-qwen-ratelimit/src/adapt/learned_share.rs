use crate::units::{Fraction, Nanos};

/// All of the quota that was told. Finer than a [`Fraction`], so that growth in steps loses nothing.
const WHOLE: u64 = 1 << 32;
/// The least that is ever believed of a quota, and the most of one that is not a ceiling.
// A sixty-five-thousandth either way: a told quota can hardly be further off, and products with an
// amount fit 128 bits.
const LEAST: u64 = WHOLE >> 16;
const MOST: u64 = WHOLE << 16;
/// What is believed of what was measured, in thousandths.
// A window holds 990 of them: 985 of what was accepted when the provider refused. Calls do not reach
// it in the order and at the distances of their sends.
const OF_MEASURED: u64 = 995;
/// From this part of what may be held on, a refusal is what was to be expected. Percent.
const EXPLAINED: u64 = 97;
/// A fall to less than this part of what was believed needs a second proof: an outage looks alike, and
/// so does one call that is refused for what it is. Percent.
const SMALL_FALL: u64 = 75;
/// The second proof comes within so many windows,
const PROOF_WINDOWS: u64 = 2;
/// and finds the limit within this part of the first.
const ALIKE: u64 = 2;
/// One refusal leaves at least this part of what was believed.
// What an idle process has sent says little: others may have used up the quota.
const LEFT: u64 = 16;
/// Growth goes in this many steps a window: about one a second, so that the rate does not jump.
const STEPS: u32 = 64;
/// By what each step grows, in 65,536ths, in the first window after the limit was met, the second
/// and so on; the last entry holds for all later ones.
// The shape of CUBIC: a limit that stays is met seldom and gently, one that went is left behind
// within four windows. 0, 4, 40 and 100 percent a window (docs/design.md, "Feedback").
const GROWTH: [u64; 4] = [0, 40, 345, 714];
/// From here on growth is at its fastest.
const FASTEST: u32 = (GROWTH.len() as u32 - 1) * STEPS;

/// What the provider is believed to grant of a quota, as a multiple of what was told.
///
/// What was accepted within the latest window when the provider refuses *is* its limit. It is held
/// for a window, and then looked for anew, faster and faster: up to what was told, or beyond it
/// where the quota was told as a beginning.
#[derive(Debug)]
pub(crate) struct LearnedShare {
    share: u64,
    most: u64,
    /// Steps since the limit was last met.
    steps: u32,
    /// Growth is counted up to here.
    at: Nanos,
    step: u64,
    window: u64,
    /// When a refusal was last one that was to be expected.
    explained_at: Option<Nanos>,
    /// The last refusal that claims a large fall.
    claim: Option<Claim>,
}

/// A limit that is far below what is believed.
#[derive(Debug, Clone, Copy)]
struct Claim {
    measured: u64,
    at: Nanos,
    refusal: Refusal,
}

/// Which call was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// When it arrived, which all its attempts have in common.
    pub(crate) arrived: Nanos,
    /// The number of the refusals in a row to which it belongs.
    pub(crate) streak: u32,
}

/// What was accepted within the latest window when a call was refused, the call itself included, and
/// what might have been.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) before: u64,
    pub(crate) with_it: u64,
    pub(crate) allowed: u64,
    /// The quota that was told.
    pub(crate) told: u64,
}

impl Held {
    /// Whether our own count says that there was no room left.
    pub(crate) fn is_full(self) -> bool {
        u128::from(self.with_it) * 100 >= u128::from(self.allowed) * u128::from(EXPLAINED)
    }

    /// How full the window was, in 65,536ths.
    pub(crate) fn fill(self) -> u64 {
        let fill = (u128::from(self.with_it) << 16) / u128::from(self.allowed.max(1));
        u64::try_from(fill).unwrap_or(u64::MAX)
    }

    /// The limit that the provider shows, as a multiple of what was told.
    fn measured(self) -> u64 {
        let held = u128::from(self.before) * u128::from(WHOLE) / u128::from(self.told.max(1));
        u64::try_from(held * u128::from(OF_MEASURED) / 1_000).unwrap_or(MOST)
    }
}

impl LearnedShare {
    /// The whole of what was told, which is a ceiling unless `is_start`.
    pub(crate) fn new(is_start: bool, window: u64, now: Nanos) -> Self {
        Self {
            share: WHOLE,
            most: if is_start { MOST } else { WHOLE },
            steps: FASTEST,
            at: now,
            step: (window / u64::from(STEPS)).max(1),
            window,
            explained_at: None,
            claim: None,
        }
    }

    /// Goes on to `now`. Beyond what was told it grows only where all of it is used. Returns whether
    /// it changed.
    #[inline]
    pub(crate) fn advance(&mut self, now: Nanos, is_used: bool) -> bool {
        if self.share >= self.most {
            self.at = self.at.max(now);
            return false;
        }
        let elapsed = now.saturating_sub(self.at) / self.step;
        elapsed > 0 && self.grow(elapsed, is_used)
    }

    fn grow(&mut self, elapsed: u64, is_used: bool) -> bool {
        let before = self.share;
        self.at = self.at.saturating_add(elapsed.saturating_mul(self.step));
        for _ in 0..elapsed {
            let most = if is_used { self.most } else { WHOLE };
            if self.share >= most {
                break;
            }
            let window = usize::try_from(self.steps / STEPS).unwrap_or(usize::MAX);
            let gain = (self.share >> 16) * GROWTH[window.min(GROWTH.len() - 1)];
            self.share = self.share.saturating_add(gain).min(most);
            self.steps = self.steps.saturating_add(1);
        }
        self.share != before
    }

    /// As if the provider had just refused at `amount`.
    pub(crate) fn believe(&mut self, amount: u64, told: u64, now: Nanos) {
        let share = (u128::from(amount) * u128::from(WHOLE)).div_ceil(u128::from(told.max(1)));
        let share = u64::try_from(share).unwrap_or(MOST);
        self.share = share.clamp(LEAST, self.most);
        self.steps = 0;
        self.at = now;
    }

    /// A call was refused, and none before it since another was accepted. Returns whether the limit is
    /// known now.
    pub(crate) fn on_refusal(&mut self, held: Held, refusal: Refusal, now: Nanos) -> bool {
        self.hold(now);
        // Calls arrive a little sooner or later than they should; twice in a window is no accident.
        let is_recent = |at: Nanos| now.saturating_sub(at) <= self.window;
        if held.is_full() && !self.explained_at.replace(now).is_some_and(is_recent) {
            return true;
        }
        self.lower_to(held.measured(), refusal, now)
    }

    /// A call was accepted after several refusals in a row, the last of which found this much.
    pub(crate) fn on_drained(&mut self, held: Held, refusal: Refusal, now: Nanos) {
        self.hold(now);
        self.lower_to(held.measured(), refusal, now);
    }

    fn hold(&mut self, now: Nanos) {
        self.steps = 0;
        self.at = now;
    }

    fn lower_to(&mut self, measured: u64, refusal: Refusal, now: Nanos) -> bool {
        let before = self.share;
        if measured < before / 100 * SMALL_FALL && !self.is_proven(measured, refusal, now) {
            return false;
        }
        self.share = before.min(measured).max(before / LEFT).max(LEAST);
        true
    }

    /// Whether another call, in other refusals in a row, has just met about the same limit.
    fn is_proven(&mut self, measured: u64, refusal: Refusal, now: Nanos) -> bool {
        let claim = Claim {
            measured,
            at: now,
            refusal,
        };
        let first = match self.claim {
            // The first claim of these refusals stays: later ones are of what had drained.
            Some(first) if first.refusal.streak == refusal.streak => return false,
            first => first,
        };
        self.claim = Some(claim);
        first.is_some_and(|first| {
            let (least, most) = (first.measured.min(measured), first.measured.max(measured));
            now.saturating_sub(first.at) <= self.window.saturating_mul(PROOF_WINDOWS)
                && first.refusal.arrived != refusal.arrived
                && most / ALIKE <= least
        })
    }

    /// This multiple of `amount`, at least 1 of anything.
    #[inline]
    pub(crate) fn of(&self, amount: u64) -> u64 {
        // By far the most frequent case.
        if self.share == WHOLE {
            return amount;
        }
        let part = u128::from(amount) * u128::from(self.share) / u128::from(WHOLE);
        u64::try_from(part).unwrap_or(u64::MAX).max(amount.min(1))
    }

    /// The same, at most the whole.
    pub(crate) fn fraction(&self) -> Fraction {
        u32::try_from(self.share >> 16).map_or(Fraction::WHOLE, Fraction::from_parts)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Of a second for each step.
    const WINDOW: u64 = STEPS as u64 * SECOND;
    const SECOND: u64 = 1_000_000_000;
    const TOLD: u64 = 1_000_000;

    /// A refusal of a call that found `before` in the window, which was not full.
    fn refused_at(before: u64) -> Held {
        Held {
            before,
            with_it: before + 1,
            allowed: 2 * before + 2,
            told: TOLD,
        }
    }

    /// A refusal that our own count explains, at so much.
    fn full_at(before: u64) -> Held {
        Held {
            allowed: before,
            ..refused_at(before)
        }
    }

    /// What is believed of a limit that was measured.
    fn believed_of(measured: u64) -> u64 {
        measured * OF_MEASURED / 1_000
    }

    /// One of many calls, each in refusals of its own.
    fn call(number: u32) -> Refusal {
        Refusal {
            arrived: number.into(),
            streak: number,
        }
    }

    fn plain() -> LearnedShare {
        LearnedShare::new(false, WINDOW, 0)
    }

    /// One that has just learned that no more than this is granted, by two proofs.
    fn fallen_to(before: u64) -> LearnedShare {
        let mut share = plain();
        assert!(!share.on_refusal(refused_at(before), call(1), 0));
        assert!(share.on_refusal(refused_at(before), call(2), 0));
        assert_is(&share, believed_of(before));
        share
    }

    #[track_caller]
    fn assert_is(share: &LearnedShare, amount: u64) {
        let believed = share.of(TOLD);
        assert!(believed.abs_diff(amount) <= 1, "{believed} is not {amount}");
    }

    #[test]
    fn what_was_accepted_before_a_refusal_is_the_limit() {
        let mut share = plain();
        assert!(share.on_refusal(refused_at(900_000), call(1), 0));
        assert_is(&share, believed_of(900_000));
        assert!(share.on_refusal(refused_at(950_000), call(2), 0));
        assert_is(&share, believed_of(900_000));
        assert!(share.on_refusal(refused_at(800_000), call(3), 0));
        assert_is(&share, believed_of(800_000));
    }

    #[test]
    fn a_large_fall_needs_the_proof_of_another_call_in_other_refusals_soon() {
        let first = call(1);
        let same_call = Refusal { streak: 2, ..first };
        let same_refusals = Refusal {
            arrived: 2,
            ..first
        };
        let too_late = PROOF_WINDOWS * WINDOW + 1;
        for (second, before, now) in [
            (same_call, 200_000, 0),
            (same_refusals, 200_000, 0),
            (call(2), 200_000, too_late),
            (call(2), 200_000 * (ALIKE + 1), 0),
            (call(2), 200_000 / (ALIKE + 1), 0),
        ] {
            let mut share = plain();
            assert!(!share.on_refusal(refused_at(200_000), first, 0));
            assert!(!share.on_refusal(refused_at(before), second, now));
            assert_is(&share, TOLD);
        }
        fallen_to(200_000);
    }

    #[test]
    fn a_limit_is_held_for_a_window_and_then_looked_for_faster_and_faster() {
        let mut share = fallen_to(100_000);
        let mut now = 0;
        for growth in GROWTH {
            let before = share.share as f64;
            for _ in 0..STEPS {
                now += SECOND;
                share.advance(now, false);
            }
            let expected = (1.0 + growth as f64 / 65_536.0).powi(STEPS as i32);
            let grown = share.share as f64 / before;
            assert!((grown / expected - 1.0).abs() < 0.001, "{grown} {expected}");
        }
        assert_eq!(GROWTH[0], 0, "it is held");
        assert!(GROWTH.is_sorted());
        share.advance(now + 10 * WINDOW, false);
        assert_is(&share, TOLD);
    }

    #[test]
    fn it_does_not_matter_how_often_it_is_looked_at() {
        let (mut often, mut once) = (fallen_to(100_000), fallen_to(100_000));
        for now in (0..3 * WINDOW).step_by(300_000_000) {
            often.advance(now, false);
        }
        often.advance(3 * WINDOW, false);
        once.advance(3 * WINDOW, false);
        assert_eq!(often.share, once.share);
    }

    #[test]
    fn a_refusal_that_our_count_explains_cuts_nothing_but_a_second_within_a_window_does() {
        let mut share = plain();
        assert!(share.on_refusal(full_at(800_000), call(1), 0));
        assert!(share.on_refusal(full_at(800_000), call(2), WINDOW + 1));
        assert_is(&share, TOLD);
        assert!(share.on_refusal(full_at(800_000), call(3), 2 * WINDOW));
        assert_is(&share, believed_of(800_000));
    }

    #[test]
    fn one_proof_leaves_a_part_and_many_leave_the_least() {
        let mut share = plain();
        share.on_refusal(refused_at(0), call(0), 0);
        share.on_refusal(refused_at(0), call(1), 0);
        assert_is(&share, TOLD / LEFT);
        for number in 2..20 {
            share.on_refusal(refused_at(0), call(number), number.into());
        }
        assert_eq!(share.share, LEAST);
        assert_eq!(
            (share.of(1), share.of(0)),
            (1, 0),
            "never nothing of something"
        );
        share.advance(30 * WINDOW, false);
        assert_is(&share, TOLD);
    }

    #[test]
    fn what_was_accepted_last_while_a_window_drained_is_the_limit() {
        let mut share = plain();
        share.on_drained(refused_at(900_000), call(1), 0);
        assert_is(&share, believed_of(900_000));
        share.on_drained(refused_at(950_000), call(2), 0);
        assert_is(&share, believed_of(900_000));
        share.on_drained(refused_at(100_000), call(3), 0);
        assert_is(&share, believed_of(900_000));
        share.on_drained(refused_at(110_000), call(4), 0);
        assert_is(&share, believed_of(110_000));
    }

    #[test]
    fn a_start_grows_beyond_what_was_told_only_while_all_of_it_is_used() {
        let mut share = LearnedShare::new(true, WINDOW, 0);
        assert!(!share.advance(WINDOW, false));
        assert_is(&share, TOLD);
        assert!(share.advance(2 * WINDOW, true));
        let grown = share.of(TOLD);
        assert!(
            (19 * TOLD / 10..2 * TOLD + TOLD / 10).contains(&grown),
            "{grown}"
        );
        assert!(
            !share.advance(9 * WINDOW, false),
            "unused, it stays where it is"
        );
        assert_is(&share, grown);
        for number in 0..2 {
            share.on_refusal(refused_at(TOLD / 4), call(number), 9 * WINDOW);
        }
        assert_is(&share, believed_of(TOLD / 4));
        share.advance(20 * WINDOW, false);
        assert_is(&share, TOLD);
        share.advance(100 * WINDOW, true);
        assert_eq!(share.share, MOST);
        assert_eq!(share.fraction(), Fraction::WHOLE);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Advance(u64, bool),
        Refused(Held, Refusal),
        Drained(Held, Refusal),
        Believe(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let held = || {
            (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>()).prop_map(
                |(before, amount, allowed, told)| Held {
                    before,
                    with_it: before.saturating_add(amount),
                    allowed,
                    told,
                },
            )
        };
        let refusal =
            || (0..4u64, 0..4u32).prop_map(|(arrived, streak)| Refusal { arrived, streak });
        let likely = (0..2 * TOLD, refusal())
            .prop_map(|(before, refusal)| Step::Refused(refused_at(before), refusal));
        prop_oneof![
            3 => (0..3 * WINDOW, any::<bool>()).prop_map(|(time, used)| Step::Advance(time, used)),
            2 => (held(), refusal()).prop_map(|(held, refusal)| Step::Refused(held, refusal)),
            4 => likely,
            1 => (held(), refusal()).prop_map(|(held, refusal)| Step::Drained(held, refusal)),
            1 => any::<u64>().prop_map(Step::Believe),
        ]
    }

    proptest! {
        /// A quota that was told is a ceiling, whatever the provider does.
        #[test]
        fn never_above_what_was_told_nor_below_the_least(
            is_start: bool,
            amount: u64,
            steps in prop::collection::vec(step(), 1..60),
        ) {
            let mut share = LearnedShare::new(is_start, WINDOW, 0);
            let mut now = 0;
            for step in steps {
                let before = share.share;
                match step {
                    Step::Advance(time, is_used) => {
                        now += time;
                        let is_changed = share.advance(now, is_used);
                        prop_assert_eq!(is_changed, share.share != before);
                        prop_assert!(share.share >= before, "time takes nothing");
                    }
                    Step::Refused(held, refusal) => {
                        share.on_refusal(held, refusal, now);
                        prop_assert!(share.share <= before);
                        prop_assert!(share.share >= (before / LEFT).max(LEAST));
                    }
                    Step::Drained(held, refusal) => {
                        share.on_drained(held, refusal, now);
                        prop_assert!(share.share <= before);
                    }
                    Step::Believe(amount) => share.believe(amount, TOLD, now),
                }
                let most = if is_start { MOST } else { WHOLE };
                prop_assert!((LEAST..=most).contains(&share.share));
                prop_assert!(is_start || share.of(amount) <= amount);
                prop_assert!(share.of(amount) >= amount.min(1));
            }
        }
    }
}
