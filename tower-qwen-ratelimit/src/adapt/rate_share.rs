//! How a gate answers a throttle: it closes for a while, slows down, and recovers additively.

use tower_qwen_tokens::Cause;

use crate::gate::Nanos;

pub(crate) const FULL: u32 = 1 << 16;
/// A gate never slows below this share of its quota.
const LEAST: u32 = FULL / 64;
/// What a throttle leaves, in percent.
const CUT: u32 = 85;
/// What one leaves that follows another without an accepted call in between: the limit is far off.
const CUT_AGAIN: u32 = 70;
/// Where the recovery waits, in percent of what was cut.
const NEAR: u32 = 95;
/// Recovery goes in so many steps a window.
const STEPS: u32 = 64;
/// What each window since the cut gives back; the last stands for all that follow.
const CLIMB: [u32; 5] = [
    FULL / 100,
    FULL / 100,
    FULL / 50,
    FULL * 12 / 100,
    FULL * 30 / 100,
];

/// What the provider's throttle says about our gates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    Requests,
    Tokens,
    /// A throttle that names no dimension.
    Both,
    /// Too fast a growth.
    Growth,
    /// Too many calls run at one time.
    Concurrency,
    /// The provider is short of capacity: a pause, no slowing.
    Neither,
}

impl Blame {
    pub(crate) fn of(cause: Cause) -> Self {
        match cause {
            Cause::RequestRate => Self::Requests,
            Cause::TokenRate => Self::Tokens,
            Cause::Growth => Self::Growth,
            Cause::Concurrency => Self::Concurrency,
            Cause::Capacity | Cause::Unavailable => Self::Neither,
            _ => Self::Both,
        }
    }

    pub(crate) fn requests(self) -> bool {
        matches!(self, Self::Requests | Self::Both)
    }

    pub(crate) fn tokens(self) -> bool {
        matches!(self, Self::Tokens | Self::Both)
    }
}

/// The share of its quota that a gate uses at present.
///
/// A throttle cuts it to [`CUT`]. Within a window it comes back near to where it was cut, waits there, and then climbs
/// faster and faster, as CUBIC does: a limit that stays is touched seldom, one that went is left behind soon.
#[derive(Debug)]
pub(crate) struct Share {
    share: u32,
    /// What the recovery aims at in its first window.
    near: u32,
    /// Steps since the cut.
    steps: u32,
    /// Recovery is counted up to here.
    at: Nanos,
    step: u64,
}

impl Share {
    pub(crate) fn full(window: u64, now: Nanos) -> Self {
        Self {
            share: FULL,
            near: FULL,
            steps: 0,
            at: now,
            step: (window / u64::from(STEPS)).max(1),
        }
    }

    /// Recovers up to `now`; says whether the share changed.
    pub(crate) fn advance(&mut self, now: Nanos) -> bool {
        if self.share == FULL {
            self.at = self.at.max(now);
            return false;
        }
        let before = self.share;
        let passed = now.saturating_sub(self.at) / self.step;
        self.at = self.at.saturating_add(passed.saturating_mul(self.step));
        for _ in 0..passed {
            self.recover();
            if self.share == FULL {
                break;
            }
        }
        self.share != before
    }

    fn recover(&mut self) {
        self.steps = self.steps.saturating_add(1);
        let window = usize::try_from(self.steps / STEPS).unwrap_or(usize::MAX);
        let gain = match self.near.checked_sub(self.share) {
            Some(missing) if window == 0 => missing / (STEPS - self.steps),
            _ => CLIMB[window.min(CLIMB.len() - 1)] / STEPS,
        };
        self.share = self.share.saturating_add(gain).min(FULL);
    }

    /// A throttle, or one that follows another without an accepted call in between.
    pub(crate) fn cut(&mut self, again: bool) {
        let left = if again { CUT_AGAIN } else { CUT };
        self.near = part(self.share, NEAR.min(left + 10));
        self.share = part(self.share, left).max(LEAST);
        self.steps = 0;
    }

    /// The share of `amount`, at least 1 of anything.
    #[inline]
    pub(crate) fn of(&self, amount: u64) -> u64 {
        let part = u128::from(amount) * u128::from(self.share) / u128::from(FULL);
        u64::try_from(part).unwrap_or(amount).max(amount.min(1))
    }

    /// The share, of [`FULL`].
    pub(crate) fn share(&self) -> u32 {
        self.share
    }

    /// The share in percent, rounded down.
    pub(crate) fn percent(&self) -> u8 {
        u8::try_from(u64::from(self.share) * 100 / u64::from(FULL)).unwrap_or(100)
    }
}

/// So many hundredths of a share.
fn part(share: u32, percent: u32) -> u32 {
    share / 100 * percent
}

/// For how long throttles close an account, and which of them say something new.
///
/// Throttles that follow each other without an accepted call in between tell that the provider is away, for whatever is
/// sent. From the second one on the account feels its way: when the pause is over one call goes, and twice as many in each
/// sixtieth of the window that brings no refusal, until one is accepted. So an outage meets a handful of calls, however
/// many wait, and a slow answer does not hold up the others.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    until: Nanos,
    /// Where calls go one by one, when the next one may.
    next: Nanos,
    /// How many calls go in this sixtieth of the window, and how many of them are left.
    step: u32,
    left: u32,
    /// What was sent before this instant has been answered for by the latest cut.
    heard_at: Nanos,
    streak: u32,
    /// How often in a row the provider was not available.
    missed: u32,
}

/// From how many throttles on, without an accepted call in between, the provider is away for all.
const AWAY: u32 = 2;
/// How many throttles in a row slow gates: what a single call meets says no more of how many were sent.
const CUTS: u32 = 3;
/// The same of throttles that name no quota: the second in a row looks like an outage.
const UNNAMED_CUTS: u32 = 1;
/// How often in a row the provider has to be unavailable to count as away.
const MISSES: u32 = 3;

impl Pause {
    /// When the account opens again.
    pub(crate) fn until(&self) -> Nanos {
        self.until.max(self.next)
    }

    /// Whether the latest call that was answered was throttled.
    pub(crate) fn is_unbroken(&self) -> bool {
        self.streak > 0
    }

    /// Whether throttles follow each other, which says nothing of any one call.
    pub(crate) fn is_for_all(&self) -> bool {
        self.streak > AWAY
    }

    /// Whether the latest throttle says something of how many calls were sent.
    pub(crate) fn slows(&self, blame: Blame) -> bool {
        let cuts = match blame {
            Blame::Both => UNNAMED_CUTS,
            _ => CUTS,
        };
        self.streak <= cuts
    }

    /// Closes until `until`, if that is later than what stands.
    pub(crate) fn extend(&mut self, until: Nanos) {
        self.until = self.until.max(until);
    }

    /// Hears that a call goes out.
    pub(crate) fn sent(&mut self, now: Nanos, window: u64) {
        if self.streak < AWAY {
            return;
        }
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            self.next = now.saturating_add((window / 60).max(1));
            self.step = self.step.saturating_mul(2);
            self.left = self.step;
        }
    }

    /// Hears a throttle of a call sent at `sent`. Says whether it is news: calls that were under way when the latest
    /// throttle was heard say nothing new.
    ///
    /// Without a hint of the provider the pause starts at a sixtieth of the window and doubles with every throttle that
    /// follows without an accepted call in between, up to a twentieth of it: so soon it is known that the provider is back.
    /// With one (`hinted`) it is the hint that counts, and a sixtieth of the window at least.
    pub(crate) fn throttled(&mut self, sent: Nanos, now: Nanos, window: u64, hinted: bool) -> bool {
        if sent < self.heard_at {
            return false;
        }
        let doublings = if hinted { 0 } else { self.streak.min(5) };
        let pause = (window / 60).max(1) << doublings;
        self.extend(now.saturating_add(pause.min(window / 20)));
        self.streak = self.streak.saturating_add(1);
        self.heard_at = now.saturating_add(1);
        (self.step, self.left) = (1, 1);
        true
    }

    /// Hears that the provider was not available for a call sent at `sent`. Says whether that is to count as a throttle:
    /// where it happens again and again, and where calls feel their way.
    pub(crate) fn missed(&mut self, sent: Nanos) -> bool {
        if sent >= self.heard_at {
            self.missed = self.missed.saturating_add(1);
        }
        self.missed >= MISSES || self.is_unbroken()
    }

    /// Hears that a call sent at `sent` was accepted. Says whether that lets others go.
    pub(crate) fn accepted(&mut self, sent: Nanos) -> bool {
        if sent < self.heard_at {
            return false;
        }
        self.streak = 0;
        self.missed = 0;
        std::mem::take(&mut self.next) > self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: u64 = 60_000_000_000;

    #[test]
    fn a_cut_recovers_soon_to_near_where_it_was_and_then_ever_faster() {
        let mut share = Share::full(WINDOW, 0);
        assert_eq!((share.of(1_000), share.percent()), (1_000, 100));
        share.cut(false);
        assert_eq!(share.of(1_000), 849);
        let mut after = Vec::new();
        for window in 1..=7 {
            share.advance(window * WINDOW);
            after.push(share.of(1_000));
        }
        assert!((945..=950).contains(&after[0]), "{after:?}");
        assert!(after[1] - after[0] <= 12, "it waits: {after:?}");
        assert!(after[1] > after[0]);
        assert_eq!(after[6], 1_000, "{after:?}");

        share.cut(false);
        share.cut(false);
        share.cut(false);
        let lowest = share.of(1_000);
        assert!((600..620).contains(&lowest), "{lowest}");
        share.advance(12 * WINDOW);
        assert!(
            (675..690).contains(&share.near.div_euclid(FULL / 1_000)),
            "the last cut counts"
        );
        assert!(share.of(1_000) > 900);
    }

    #[test]
    fn cuts_leave_something() {
        let mut share = Share::full(WINDOW, 0);
        for _ in 0..100 {
            share.cut(false);
        }
        assert_eq!(share.of(6_400), 100);
        assert_eq!(share.of(1), 1);
        assert_eq!(share.of(0), 0);
        share.advance(u64::MAX);
        assert_eq!(share.percent(), 100);
    }

    #[test]
    fn throttles_of_calls_already_under_way_are_no_news() {
        let mut pause = Pause::default();
        assert!(pause.throttled(5, 10, WINDOW, false));
        assert!(!pause.throttled(7, 11, WINDOW, false));
        assert_eq!(pause.until(), 10 + WINDOW / 60);
        let sent = pause.until();
        assert!(pause.throttled(sent, sent, WINDOW, false));
        assert_eq!(pause.until(), sent + WINDOW / 30);
        pause.accepted(sent);
        assert_eq!(pause.streak, 2);
        pause.accepted(pause.until());
        assert_eq!(pause.streak, 0);
    }

    #[test]
    fn a_pause_that_the_provider_names_does_not_double() {
        let mut pause = Pause::default();
        let mut now = 0;
        for _ in 0..5 {
            pause.throttled(now, now, WINDOW, true);
            assert_eq!(pause.until(), now + WINDOW / 60);
            now = pause.until();
        }
    }

    #[test]
    fn the_pause_is_bounded() {
        let mut pause = Pause::default();
        let mut now = 0;
        for _ in 0..50 {
            pause.throttled(now, now, WINDOW, false);
            assert!(pause.until() <= now + WINDOW / 20);
            now = pause.until();
        }
    }

    #[test]
    fn an_account_whose_provider_is_away_feels_its_way() {
        let second = WINDOW / 60;
        let mut pause = Pause::default();
        pause.sent(0, WINDOW);
        assert!(pause.throttled(0, 0, WINDOW, false));
        assert!(!pause.is_for_all(), "one throttle is about what was sent");
        pause.sent(second, WINDOW);
        assert_eq!(pause.until(), second, "after the first, calls flow again");
        assert!(pause.throttled(second, second, WINDOW, false));
        let mut now = pause.until();
        assert_eq!(now, 3 * second);
        // One, then two, then four, as long as none is refused.
        let mut sent = Vec::new();
        while now < 10 * second {
            pause.sent(now, WINDOW);
            sent.push(now / second);
            now = now.max(pause.until());
        }
        assert_eq!(sent[..7], [3, 4, 4, 5, 5, 5, 5]);
        let refused = 10 * second;
        assert!(pause.throttled(now, refused, WINDOW, false));
        assert!(pause.is_for_all());
        assert!(pause.slows(Blame::Tokens) && !pause.slows(Blame::Both));
        let open = pause.until();
        pause.sent(open, WINDOW);
        assert_eq!(pause.until(), open + second, "one again");
        assert!(pause.accepted(open), "and all, once that is accepted");
        assert!(pause.until() <= open && !pause.is_for_all());
        assert!(!pause.accepted(open));
    }

    #[test]
    fn a_provider_that_is_missed_thrice_is_away() {
        let mut pause = Pause::default();
        assert!(!pause.missed(1));
        assert!(!pause.missed(2));
        pause.accepted(3);
        assert!(!pause.missed(4));
        assert!(!pause.missed(5));
        assert!(pause.missed(6));
        pause.throttled(6, 6, WINDOW, false);
        pause.accepted(8);
        assert!(!pause.missed(9), "from the beginning");
        pause.throttled(10, 10, WINDOW, false);
        assert!(pause.missed(11), "it has just refused");
    }

    #[test]
    fn causes_name_their_gates() {
        assert_eq!(Blame::of(Cause::RequestRate), Blame::Requests);
        assert_eq!(Blame::of(Cause::TokenRate), Blame::Tokens);
        assert_eq!(Blame::of(Cause::Growth), Blame::Growth);
        assert_eq!(Blame::of(Cause::Capacity), Blame::Neither);
        assert!(!Blame::Requests.tokens() && Blame::Both.tokens() && !Blame::Neither.requests());
    }
}
