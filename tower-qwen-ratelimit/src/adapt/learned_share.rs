#[cfg(feature = "redis")]
use super::belief::{Belief, Since};
use super::{
    claim::{Claim, ThrottledCall},
    held::{Held, MOST, WHOLE},
};
use crate::units::{Fraction, Nanos};

/// The least that is ever believed of a quota.
// As far off as MOST.
const LEAST: u64 = WHOLE >> 16;
/// A fall to less than this part of what was believed needs a second proof: an outage looks alike, and
/// so does one call that is throttled for what it is. Percent.
const SMALL_FALL: u64 = 75;
/// A fall to at least this part of it is followed all the same until then, and grown out of at once if
/// no proof comes. Percent.
// Below, it is more likely an outage, after which all calls are to go at once.
const LIKELY_FALL: u64 = 25;
/// One throttle leaves at least this part of what was believed.
// What an idle process has sent says little: others may have used up the quota.
const LEFT: u64 = 16;
/// Growth goes in this many steps a window: about one a second, so that the rate does not jump.
const STEPS: u32 = 64;
/// For so many windows a measured limit is held: one of a quota that is a ceiling longer, since
/// nothing beyond that is looked for.
const HELD_WINDOWS: u32 = 3;
const HELD_WINDOWS_OF_A_START: u32 = 2;
/// By what each step grows, in 65,536ths, in the first half window after that, the second and so on;
/// the last entry holds for all later ones.
// The shape of CUBIC: a limit that stays is met seldom and gently, one that went is left behind
// within four windows. At 2, 40 and 100 percent a window (docs/design.md, "Feedback"). In whole
// windows a start that was halved and restored used 0.91 from the fourth window on, in halves 0.96.
const GROWTH: [u64; 3] = [20, 345, 714];
/// So long is each part of the growth.
const GROWTH_STEPS: u32 = STEPS / 2;
/// From here on growth is at its fastest.
const FASTEST: u32 = HELD_WINDOWS * STEPS + (GROWTH.len() as u32 - 1) * GROWTH_STEPS;
/// By what each step grows out of a fall that has not been proven: twofold in a window.
const UNPROVEN_GROWTH: u64 = 714;

/// What the provider is believed to grant of a quota, as a multiple of the figure that was given.
///
/// What was accepted within the latest window when the provider throttles *is* its limit. It is held
/// for some windows, and then looked for anew, faster and faster: up to the figure, or beyond it where
/// the figure is a start.
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
    /// When a throttle was last one that was to be expected.
    explained_at: Option<Nanos>,
    /// The call that was throttled last: if it is throttled again and again, it is the cause itself.
    last_call: Option<Nanos>,
    /// The last throttle that claims a large fall.
    claim: Option<Claim>,
    /// What was believed before a fall that is not proven yet.
    unproven_from: Option<u64>,
    /// What was believed before a fall that was cut short by [`LEFT`]: more is accepted now than was proven.
    cut_short_from: Option<u64>,
    #[cfg(feature = "redis")]
    met: Met,
}

/// When the limit was last met, by this process or by another one of its fleet.
#[cfg(feature = "redis")]
#[derive(Debug, Clone, Copy)]
enum Met {
    /// By this process, and the store has not said when that was by its clock.
    Here(Nanos),
    /// By the store's clock, in microseconds; 0: never.
    Store(u64),
}

impl LearnedShare {
    /// The whole of what was given, which is a ceiling unless `is_start`.
    pub(crate) fn new(is_start: bool, window: u64, now: Nanos) -> Self {
        Self {
            share: WHOLE,
            most: if is_start { MOST } else { WHOLE },
            // It has never been met, so there is nothing to hold.
            steps: FASTEST,
            at: now,
            step: (window / u64::from(STEPS)).max(1),
            window,
            explained_at: None,
            last_call: None,
            claim: None,
            unproven_from: None,
            cut_short_from: None,
            #[cfg(feature = "redis")]
            met: Met::Store(0),
        }
    }

    /// Goes on to `now`. Beyond what was given it grows only where all of it is used. Returns whether
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
            let most = match is_used {
                true => self.most,
                false => WHOLE,
            };
            if self.share >= most {
                break;
            }
            self.share = match self.unproven_from {
                Some(from) if self.grown_by(UNPROVEN_GROWTH) >= from => {
                    self.unproven_from = None;
                    from.min(self.most)
                }
                Some(_) => self.grown_by(UNPROVEN_GROWTH),
                None => self.grown_by(self.growth()).min(most),
            };
            self.steps = self.steps.saturating_add(1);
        }
        self.share != before
    }

    /// By what the next step grows.
    fn growth(&self) -> u64 {
        let held = match self.most {
            WHOLE => HELD_WINDOWS,
            _ => HELD_WINDOWS_OF_A_START,
        };
        let Some(steps) = self.steps.checked_sub(held * STEPS) else {
            return 0;
        };
        let part = usize::try_from(steps / GROWTH_STEPS).unwrap_or(usize::MAX);
        GROWTH[part.min(GROWTH.len() - 1)]
    }

    fn grown_by(&self, growth: u64) -> u64 {
        self.share.saturating_add((self.share >> 16) * growth)
    }

    /// The figure is another one from now on. What was found beyond the old one stays, as an amount,
    /// where the new one is a start too; a ceiling holds at once.
    pub(crate) fn set_quota(&mut self, before: u64, quota: u64, is_start: bool) {
        self.most = if is_start { MOST } else { WHOLE };
        if self.share > WHOLE {
            let found = u128::from(self.share) * u128::from(before) / u128::from(quota.max(1));
            self.share = u64::try_from(found).unwrap_or(MOST).max(WHOLE);
        }
        self.share = self.share.min(self.most);
        self.unproven_from = self.unproven_from.map(|from| from.min(self.most));
        self.cut_short_from = self.cut_short_from.map(|from| from.min(self.most));
    }

    /// The window has another length from now on.
    pub(crate) fn set_window(&mut self, window: u64, now: Nanos) {
        self.window = window;
        self.step = (window / u64::from(STEPS)).max(1);
        self.at = now;
    }

    /// As if the provider had just throttled at `amount` of this quota.
    pub(crate) fn believe(&mut self, amount: u64, quota: u64, now: Nanos) {
        let share = (u128::from(amount) * u128::from(WHOLE)).div_ceil(u128::from(quota.max(1)));
        let share = u64::try_from(share).unwrap_or(MOST);
        self.share = share.clamp(LEAST, self.most);
        self.unproven_from = None;
        self.meet(now);
    }

    /// A call was throttled, and none before it since another was accepted. Returns whether the limit
    /// is known now.
    pub(crate) fn on_throttle(&mut self, held: Held, call: ThrottledCall, now: Nanos) -> bool {
        if self.last_call.replace(call.arrived) == Some(call.arrived) {
            return false;
        }
        self.meet(now);
        // Calls arrive a little sooner or later than they should; twice in a window is no accident.
        let is_recent = |at: Nanos| now.saturating_sub(at) <= self.window;
        if held.is_full() && !self.explained_at.replace(now).is_some_and(is_recent) {
            return true;
        }
        self.lower_to(held.measured(), call, now)
    }

    /// A call was accepted after several throttles in a row, the last of which found this much.
    pub(crate) fn on_drained(&mut self, held: Held, call: ThrottledCall, now: Nanos) {
        self.meet(now);
        self.lower_to(held.measured(), call, now);
    }

    /// Whether a throttle claims a limit that no other one has proven: then what is accepted counts.
    #[inline]
    pub(crate) fn has_claim(&self) -> bool {
        self.claim.is_some()
    }

    /// A call that was sent at `sent_at` was accepted, and this was held with it. Returns whether that
    /// changes what is believed.
    #[cold]
    pub(crate) fn on_accept(&mut self, held: Held, sent_at: Nanos, now: Nanos) -> bool {
        let Some(claim) = self.claim.filter(|claim| !claim.is_over(now, self.window)) else {
            self.claim = None;
            return false;
        };
        // Nobody believes less than it proves, but where it was cut short.
        match self.cut_short_from {
            Some(before) if claim.is_far_below(held, sent_at) => {
                self.claim = None;
                self.meet(now);
                self.share = before;
                true
            }
            Some(_) => false,
            None => {
                self.claim = Some(claim).filter(|claim| !claim.is_below(held, sent_at));
                false
            }
        }
    }

    /// Whether it has been proven to have fallen by much.
    pub(crate) fn has_fallen(&self) -> bool {
        self.share < WHOLE / 100 * SMALL_FALL && self.unproven_from.is_none()
    }

    /// Growth begins anew.
    fn meet(&mut self, now: Nanos) {
        self.steps = 0;
        self.cut_short_from = None;
        self.at = now;
        #[cfg(feature = "redis")]
        {
            self.met = Met::Here(now);
        }
    }

    /// Returns whether that is proven.
    fn lower_to(&mut self, measured: u64, call: ThrottledCall, now: Nanos) -> bool {
        // Against what was believed before a fall that is not proven: else the next throttle of the
        // same call would prove it.
        let before = self.unproven_from.unwrap_or(self.share);
        let is_small = measured >= before / 100 * SMALL_FALL;
        let is_proven = is_small || call.has_other_fallen || self.is_proven(measured, call, now);
        if is_small && self.unproven_from.is_some() {
            // What was claimed is not so: it grows back, but not beyond this.
            let limit = before.min(measured);
            self.share = self.share.min(limit);
            self.unproven_from = (self.share < limit).then_some(limit);
        } else if is_proven {
            self.unproven_from = None;
            let least = (before / LEFT).max(LEAST);
            self.cut_short_from = (measured < least).then_some(before);
            self.share = self.share.min(measured).max(least);
        } else if measured >= before / 100 * LIKELY_FALL {
            self.unproven_from = Some(before);
            self.share = self.share.min(measured).max(LEAST);
        }
        is_proven
    }

    /// Whether another call, in other throttles in a row, has just met about the same limit.
    fn is_proven(&mut self, measured: u64, call: ThrottledCall, now: Nanos) -> bool {
        let claim = Claim {
            measured,
            at: now,
            call,
        };
        let first = match self.claim {
            // The first claim of these throttles stays: later ones are of what had drained.
            Some(first) if first.call.streak == call.streak => return false,
            first => first,
        };
        self.claim = Some(claim);
        first.is_some_and(|first| first.is_proven_by(&claim, self.window))
    }

    /// What this process reports to its fleet.
    #[cfg(feature = "redis")]
    pub(crate) fn belief(&self, now: Nanos) -> Belief {
        Belief {
            since: match self.met {
                Met::Here(at) => Since::Ago(now.saturating_sub(at)),
                Met::Store(micros) => Since::Store(micros),
            },
            steps: self.steps,
            share: self.share,
        }
    }

    /// Takes over what the fleet believes, as the answer to what was sent at `sent_at`, and grows on
    /// from there. Returns whether the share changed.
    // From the steps of the others and not from an instant: clocks are not compared, and who is a step
    // behind is put right by the next heartbeat.
    #[cfg(feature = "redis")]
    pub(crate) fn take_over(&mut self, belief: Belief, sent_at: Nanos, now: Nanos) -> bool {
        let Since::Store(micros) = belief.since else {
            return false;
        };
        let is_known = match self.met {
            // The store has still to learn of it.
            Met::Here(at) => at > sent_at,
            Met::Store(own) => (micros, belief.steps) <= (own, self.steps),
        };
        if is_known {
            return false;
        }
        let before = self.share;
        self.met = Met::Store(micros);
        self.share = belief.share.clamp(LEAST, self.most);
        self.unproven_from = None;
        self.cut_short_from = None;
        self.steps = belief.steps;
        self.at = now;
        self.share != before
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
    use crate::adapt::{
        claim::{ALIKE, PROOF_WINDOWS},
        held::OF_MEASURED,
    };

    /// Of a second for each step.
    const WINDOW: u64 = STEPS as u64 * SECOND;
    const SECOND: u64 = 1_000_000_000;
    const QUOTA: u64 = 1_000_000;

    /// A throttle at so much, with the call itself, in a window that was not full.
    fn throttled_at(with_it: u64) -> Held {
        Held {
            with_it,
            allowed: 2 * with_it + 2,
            quota: QUOTA,
        }
    }

    /// A throttle that our own count explains, at so much.
    fn full_at(with_it: u64) -> Held {
        Held {
            allowed: with_it,
            ..throttled_at(with_it)
        }
    }

    /// What is believed of a limit that was measured.
    fn believed_of(measured: u64) -> u64 {
        measured * OF_MEASURED / 1_000
    }

    /// One of many calls, each in throttles of its own.
    fn call(number: u32) -> ThrottledCall {
        ThrottledCall {
            arrived: number.into(),
            streak: number,
            has_other_fallen: false,
        }
    }

    fn plain() -> LearnedShare {
        LearnedShare::new(false, WINDOW, 0)
    }

    /// One that has just learned that no more than this is granted, by two proofs.
    fn fallen_to(before: u64) -> LearnedShare {
        let mut share = plain();
        assert!(!share.on_throttle(throttled_at(before), call(1), 0));
        assert!(share.on_throttle(throttled_at(before), call(2), 0));
        assert_is(&share, believed_of(before).max(QUOTA / LEFT));
        share
    }

    #[track_caller]
    fn assert_is(share: &LearnedShare, amount: u64) {
        let believed = share.of(QUOTA);
        assert!(believed.abs_diff(amount) <= 1, "{believed} is not {amount}");
    }

    #[test]
    fn what_was_accepted_when_a_call_was_throttled_is_the_limit() {
        let mut share = plain();
        assert!(share.on_throttle(throttled_at(900_000), call(1), 0));
        assert_is(&share, believed_of(900_000));
        assert!(share.on_throttle(throttled_at(950_000), call(2), 0));
        assert_is(&share, believed_of(900_000));
        assert!(share.on_throttle(throttled_at(800_000), call(3), 0));
        assert_is(&share, believed_of(800_000));
    }

    #[test]
    fn a_large_fall_needs_the_proof_of_another_call_in_other_throttles_soon() {
        // So far down that nothing is followed before it is proven, not even what is far above it.
        let low = QUOTA / 100 * LIKELY_FALL / (ALIKE + 2);
        let first = call(1);
        let same_call = ThrottledCall { streak: 2, ..first };
        let same_streak = ThrottledCall {
            arrived: 2,
            ..first
        };
        let too_late = PROOF_WINDOWS * WINDOW + 1;
        for (second, before, now) in [
            (same_call, low, 0),
            (same_streak, low, 0),
            (call(2), low, too_late),
            (call(2), low * (ALIKE + 1), 0),
            (call(2), low / (ALIKE + 1), 0),
        ] {
            let mut share = plain();
            assert!(!share.on_throttle(throttled_at(low), first, 0));
            assert!(!share.on_throttle(throttled_at(before), second, now));
            assert_is(&share, QUOTA);
            assert!(!share.has_fallen());
        }
        assert!(fallen_to(low).has_fallen());
    }

    #[test]
    fn that_the_other_dimension_has_fallen_is_a_proof() {
        let mut share = plain();
        let proven = ThrottledCall {
            has_other_fallen: true,
            ..call(1)
        };
        assert!(share.on_throttle(throttled_at(QUOTA / 10), proven, 0));
        assert_is(&share, believed_of(QUOTA / 10));
        assert!(share.has_fallen());
    }

    #[test]
    fn a_likely_fall_is_followed_at_once_and_grown_out_of() {
        for likely in [LIKELY_FALL + 5, SMALL_FALL - 5] {
            let mut share = plain();
            let found = QUOTA / 100 * likely;
            assert!(!share.on_throttle(throttled_at(found), call(1), 0));
            assert_is(&share, believed_of(found));
            assert!(!share.has_fallen(), "it is not proven");
            let followed = share.share as f64;
            share.advance(10 * SECOND, false);
            let grown = share.share as f64 / followed;
            let expected = (1.0 + UNPROVEN_GROWTH as f64 / 65_536.0).powi(10);
            assert!((grown / expected - 1.0).abs() < 0.001, "{grown} {expected}");
            share.advance(2 * WINDOW, false);
            assert_is(&share, QUOTA);
        }
        let mut share = plain();
        share.on_throttle(throttled_at(QUOTA / 100 * (LIKELY_FALL - 5)), call(1), 0);
        assert_is(&share, QUOTA);
    }

    #[test]
    fn it_grows_out_of_an_unproven_fall_only_up_to_where_it_was() {
        let mut share = LearnedShare::new(true, WINDOW, 0);
        share.on_throttle(throttled_at(QUOTA * 9 / 10), call(1), 0);
        share.on_throttle(throttled_at(QUOTA / 2), call(2), 0);
        // Further apart than two proofs of one limit.
        share.on_throttle(throttled_at(QUOTA / 100 * 24), call(3), 0);
        assert_is(&share, believed_of(QUOTA / 100 * 24));
        let mut now = 0;
        while share.unproven_from.is_some() {
            now += SECOND;
            share.advance(now, true);
            assert!(now < 4 * WINDOW);
        }
        assert_is(&share, believed_of(QUOTA * 9 / 10));
    }

    #[test]
    fn a_likely_fall_that_is_proven_is_held() {
        let (mut share, found) = (plain(), QUOTA / 2);
        assert!(!share.on_throttle(throttled_at(found), call(1), 0));
        let now = 15 * SECOND;
        share.advance(now, false);
        assert!(share.on_throttle(throttled_at(found), call(2), now));
        assert!(share.has_fallen());
        share.advance(now + HELD_WINDOWS as u64 * WINDOW, false);
        assert_is(&share, believed_of(found));
    }

    #[test]
    fn a_limit_is_held_for_windows_and_then_looked_for_faster_and_faster() {
        let mut share = fallen_to(100_000);
        let mut now = HELD_WINDOWS as u64 * WINDOW;
        assert!(!share.advance(now, false), "it is held");
        assert_is(&share, believed_of(100_000));
        for growth in GROWTH {
            let before = share.share as f64;
            for _ in 0..GROWTH_STEPS {
                now += SECOND;
                share.advance(now, false);
            }
            let expected = (1.0 + growth as f64 / 65_536.0).powi(GROWTH_STEPS as i32);
            let grown = share.share as f64 / before;
            assert!((grown / expected - 1.0).abs() < 0.001, "{grown} {expected}");
        }
        assert!(GROWTH.is_sorted());
        share.advance(now + 10 * WINDOW, false);
        assert_is(&share, QUOTA);
    }

    #[test]
    fn one_call_that_is_throttled_again_proves_no_fall() {
        let mut share = plain();
        for streak in 0..5 {
            let same = ThrottledCall { streak, ..call(1) };
            assert!(!share.on_throttle(throttled_at(QUOTA / 2), same, 0));
        }
        share.advance(WINDOW, false);
        assert_is(&share, QUOTA);
        // Nor does another one that shows a higher limit.
        let mut share = plain();
        share.on_throttle(throttled_at(QUOTA / 2), call(1), 0);
        share.on_throttle(throttled_at(QUOTA / 10 * 9), call(2), 0);
        assert!(!share.has_fallen());
        share.advance(WINDOW, false);
        assert_is(&share, believed_of(QUOTA / 10 * 9));
    }

    #[test]
    fn a_limit_is_held_longer_for_a_ceiling_than_for_a_start() {
        let hold = HELD_WINDOWS_OF_A_START as u64 * WINDOW;
        let (mut ceiling, mut start) = (plain(), LearnedShare::new(true, WINDOW, 0));
        for share in [&mut ceiling, &mut start] {
            assert!(share.on_throttle(throttled_at(900_000), call(1), 0));
            assert!(!share.advance(hold, true));
        }
        assert!(start.advance(hold + SECOND, true));
        assert!(!ceiling.advance(hold + SECOND, true));
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
    fn a_throttle_that_our_count_explains_cuts_nothing_but_a_second_within_a_window_does() {
        let mut share = plain();
        assert!(share.on_throttle(full_at(800_000), call(1), 0));
        assert!(share.on_throttle(full_at(800_000), call(2), WINDOW + 1));
        assert_is(&share, QUOTA);
        assert!(share.on_throttle(full_at(800_000), call(3), 2 * WINDOW));
        assert_is(&share, believed_of(800_000));
    }

    #[test]
    fn one_proof_leaves_a_part_and_many_leave_the_least() {
        let mut share = plain();
        share.on_throttle(throttled_at(0), call(0), 0);
        share.on_throttle(throttled_at(0), call(1), 0);
        assert_is(&share, QUOTA / LEFT);
        for number in 2..20 {
            share.on_throttle(throttled_at(0), call(number), number.into());
        }
        assert_eq!(share.share, LEAST);
        assert_eq!(
            (share.of(1), share.of(0)),
            (1, 0),
            "never nothing of something"
        );
        share.advance(30 * WINDOW, false);
        assert_is(&share, QUOTA);
    }

    #[test]
    fn what_was_accepted_last_while_a_window_drained_is_the_limit() {
        let mut share = plain();
        share.on_drained(throttled_at(900_000), call(1), 0);
        assert_is(&share, believed_of(900_000));
        share.on_drained(throttled_at(950_000), call(2), 0);
        assert_is(&share, believed_of(900_000));
        share.on_drained(throttled_at(100_000), call(3), 0);
        assert_is(&share, believed_of(900_000));
        share.on_drained(throttled_at(110_000), call(4), 0);
        assert_is(&share, believed_of(110_000));
    }

    #[test]
    fn a_start_grows_beyond_its_figure_only_while_all_of_it_is_used() {
        let mut share = LearnedShare::new(true, WINDOW, 0);
        assert!(!share.advance(WINDOW, false));
        assert_is(&share, QUOTA);
        assert!(share.advance(2 * WINDOW, true));
        let grown = share.of(QUOTA);
        assert!(
            (19 * QUOTA / 10..2 * QUOTA + QUOTA / 10).contains(&grown),
            "{grown}"
        );
        assert!(
            !share.advance(9 * WINDOW, false),
            "unused, it stays where it is"
        );
        assert_is(&share, grown);
        for number in 0..2 {
            share.on_throttle(throttled_at(QUOTA / 4), call(number), 9 * WINDOW);
        }
        assert_is(&share, believed_of(QUOTA / 4));
        share.advance(20 * WINDOW, false);
        assert_is(&share, QUOTA);
        share.advance(100 * WINDOW, true);
        assert_eq!(share.share, MOST);
        assert_eq!(share.fraction(), Fraction::WHOLE);
    }

    #[test]
    fn another_figure_keeps_the_amount_that_was_found_and_a_ceiling_holds_at_once() {
        let grown = || {
            let mut share = LearnedShare::new(true, WINDOW, 0);
            share.advance(3 * WINDOW, true);
            share
        };
        let found = grown().of(QUOTA);
        assert!(found > 4 * QUOTA);
        for (quota, is_start, expected) in [
            (2 * QUOTA, true, found),
            (QUOTA, true, found),
            (10 * QUOTA, true, 10 * QUOTA.max(found / 10)),
            (QUOTA, false, QUOTA),
        ] {
            let mut share = grown();
            share.set_quota(QUOTA, quota, is_start);
            let believed = share.of(quota);
            assert!(
                believed.abs_diff(expected) <= 2,
                "{quota} {is_start}: {believed}"
            );
        }
        // A plain quota that was lowered stays a share of the new one.
        let mut share = fallen_to(200_000);
        share.set_quota(QUOTA, 2 * QUOTA, false);
        assert_is(&share, believed_of(200_000));
    }

    #[test]
    fn what_is_accepted_beyond_a_claim_takes_it_back() {
        let low = QUOTA / 10;
        for (accepted, is_taken_back) in [(low * 33 / 32 - 1, false), (low * 21 / 20, true)] {
            let mut share = plain();
            assert!(!share.on_throttle(throttled_at(low), call(1), 0));
            assert!(!share.on_accept(throttled_at(accepted), 1, 1));
            assert_eq!(share.has_claim(), !is_taken_back);
            let is_proven = share.on_throttle(throttled_at(low), call(2), 2);
            assert_eq!(is_proven, !is_taken_back, "{accepted}");
        }
        let mut share = plain();
        share.on_throttle(throttled_at(low), call(1), 0);
        share.on_accept(throttled_at(0), 1, PROOF_WINDOWS * WINDOW + 1);
        assert!(!share.has_claim(), "it is over");
    }

    #[test]
    fn what_is_accepted_far_beyond_a_fall_that_was_cut_short_takes_it_back() {
        // Two throttles leave more than they prove.
        let low = QUOTA / LEFT / 2;
        let mut share = fallen_to(QUOTA / LEFT / 2);
        assert!(!share.on_accept(throttled_at(low * 5 / 4), 1, 1));
        assert!(share.on_accept(throttled_at(low * 4 / 3), 1, 1));
        assert_is(&share, QUOTA);
        // What is proven and held is not.
        let mut share = fallen_to(QUOTA / 2);
        assert!(!share.on_accept(throttled_at(QUOTA * 3 / 4), 1, 1));
        assert_is(&share, believed_of(QUOTA / 2));
        // Nor where another throttle or another belief came after it.
        for later in [
            |share: &mut LearnedShare| share.believe(QUOTA / 8, QUOTA, 1),
            |share: &mut LearnedShare| _ = share.on_throttle(throttled_at(QUOTA / 17), call(3), 1),
        ] {
            let mut share = fallen_to(QUOTA / LEFT / 2);
            later(&mut share);
            let before = share.of(QUOTA);
            assert!(!share.on_accept(throttled_at(QUOTA), 2, 2));
            assert_is(&share, before);
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Advance(u64, bool),
        Throttled(Held, ThrottledCall),
        Drained(Held, ThrottledCall),
        Accepted(u64, u64),
        Believe(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let held = || {
            (any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(with_it, allowed, quota)| Held {
                with_it,
                allowed,
                quota,
            })
        };
        let call_of_four = || {
            (0..4u64, 0..4u32).prop_map(|(arrived, streak)| ThrottledCall {
                arrived,
                streak,
                has_other_fallen: false,
            })
        };
        let likely = (0..2 * QUOTA, call_of_four())
            .prop_map(|(before, call)| Step::Throttled(throttled_at(before), call));
        prop_oneof![
            3 => (0..3 * WINDOW, any::<bool>()).prop_map(|(time, used)| Step::Advance(time, used)),
            2 => (held(), call_of_four()).prop_map(|(held, call)| Step::Throttled(held, call)),
            4 => likely,
            1 => (held(), call_of_four()).prop_map(|(held, call)| Step::Drained(held, call)),
            2 => (0..2 * QUOTA, 0..WINDOW).prop_map(|(held, ago)| Step::Accepted(held, ago)),
            1 => any::<u64>().prop_map(Step::Believe),
        ]
    }

    proptest! {
        /// A plain quota is a ceiling, under all answers of the provider.
        #[test]
        fn never_above_what_was_given_nor_below_the_least(
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
                    Step::Throttled(held, call) => {
                        share.on_throttle(held, call, now);
                        prop_assert!(share.share <= before);
                        prop_assert!(share.share >= (before / LEFT).max(LEAST));
                    }
                    Step::Drained(held, call) => {
                        share.on_drained(held, call, now);
                        prop_assert!(share.share <= before);
                    }
                    Step::Accepted(held, ago) => {
                        let held = throttled_at(held);
                        let is_changed = share.on_accept(held, now.saturating_sub(ago), now);
                        prop_assert_eq!(is_changed, share.share != before);
                        prop_assert!(share.share >= before, "what is accepted takes nothing");
                    }
                    Step::Believe(amount) => share.believe(amount, QUOTA, now),
                }
                let most = if is_start { MOST } else { WHOLE };
                prop_assert!((LEAST..=most).contains(&share.share));
                prop_assert!(is_start || share.of(amount) <= amount);
                prop_assert!(share.of(amount) >= amount.min(1));
            }
        }
    }
}
