//! How a gate answers a throttle: it closes for a while, slows down, and recovers additively.

use tower_qwen_tokens::Cause;

use crate::gate::Nanos;

const FULL: u32 = 1 << 16;
/// A gate never slows below this share of its quota.
const LEAST: u32 = FULL / 64;
/// A window without throttles gives back a tenth of the configured rate.
const WINDOWS_TO_FULL: u64 = 10;

/// What the provider's throttle says about our gates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    Requests,
    Tokens,
    /// Too fast a growth, or a throttle that names no dimension.
    Both,
    /// The provider is short of capacity, or too many calls run at once: a pause, no slowing.
    Neither,
}

impl Blame {
    pub(crate) fn of(cause: Cause) -> Self {
        match cause {
            Cause::RequestRate => Self::Requests,
            Cause::TokenRate => Self::Tokens,
            Cause::Capacity | Cause::Concurrency => Self::Neither,
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
#[derive(Debug)]
pub(crate) struct Share {
    share: u32,
    /// Recovery is counted up to here.
    at: Nanos,
    window: u64,
}

impl Share {
    pub(crate) fn full(window: u64, now: Nanos) -> Self {
        Self {
            share: FULL,
            at: now,
            window: window.max(1),
        }
    }

    /// Recovers up to `now`; says whether the share changed.
    pub(crate) fn advance(&mut self, now: Nanos) -> bool {
        if self.share == FULL {
            self.at = self.at.max(now);
            return false;
        }
        let step = (self.window.saturating_mul(WINDOWS_TO_FULL) / u64::from(FULL)).max(1);
        let steps = now.saturating_sub(self.at) / step;
        self.at = self.at.saturating_add(steps.saturating_mul(step));
        let gained = u32::try_from(steps).unwrap_or(FULL).min(FULL - self.share);
        self.share += gained;
        gained > 0
    }

    /// Falls to seven tenths.
    pub(crate) fn cut(&mut self) {
        self.share = (self.share / 10 * 7).max(LEAST);
    }

    /// The share of `amount`, at least 1 of anything.
    pub(crate) fn of(&self, amount: u64) -> u64 {
        let part = u128::from(amount) * u128::from(self.share) / u128::from(FULL);
        u64::try_from(part).unwrap_or(amount).max(amount.min(1))
    }

    /// The share in percent, rounded down.
    pub(crate) fn percent(&self) -> u8 {
        u8::try_from(u64::from(self.share) * 100 / u64::from(FULL)).unwrap_or(100)
    }
}

/// For how long throttles close an account, and which of them say something new.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    until: Nanos,
    /// What was sent before this instant has been answered for by the latest cut.
    heard_at: Nanos,
    streak: u32,
}

impl Pause {
    /// When the account opens again.
    pub(crate) fn until(&self) -> Nanos {
        self.until
    }

    /// Closes until `until`, if that is later than what stands.
    pub(crate) fn extend(&mut self, until: Nanos) {
        self.until = self.until.max(until);
    }

    /// Hears a throttle of a call sent at `sent`. Says whether it is news: calls that were under way when the latest
    /// throttle was heard say nothing new.
    ///
    /// Without a hint of the provider the pause starts at a sixtieth of the window and doubles with every throttle that
    /// follows without an accepted call in between, up to half a window.
    pub(crate) fn throttled(&mut self, sent: Nanos, now: Nanos, window: u64) -> bool {
        if sent < self.heard_at {
            return false;
        }
        let doubled = (window / 60).max(1) << self.streak.min(5);
        self.extend(now.saturating_add(doubled.min(window / 2)));
        self.streak = self.streak.saturating_add(1);
        self.heard_at = now.saturating_add(1);
        true
    }

    /// Hears that a call sent at `sent` was accepted.
    pub(crate) fn accepted(&mut self, sent: Nanos) {
        if sent >= self.heard_at {
            self.streak = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: u64 = 60_000_000_000;

    #[test]
    fn a_cut_recovers_by_a_tenth_per_window() {
        let mut share = Share::full(WINDOW, 0);
        assert_eq!(share.of(1_000), 1_000);
        share.cut();
        assert!(
            (699..=700).contains(&share.of(1_000)),
            "{}",
            share.of(1_000)
        );
        assert!(share.advance(WINDOW));
        assert!(
            (799..=801).contains(&share.of(1_000)),
            "{}",
            share.of(1_000)
        );
        share.advance(10 * WINDOW);
        assert_eq!((share.of(1_000), share.percent()), (1_000, 100));
    }

    #[test]
    fn cuts_leave_something() {
        let mut share = Share::full(WINDOW, 0);
        for _ in 0..100 {
            share.cut();
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
        assert!(pause.throttled(5, 10, WINDOW));
        assert!(!pause.throttled(7, 11, WINDOW));
        assert_eq!(pause.until(), 10 + WINDOW / 60);
        let sent = pause.until();
        assert!(pause.throttled(sent, sent, WINDOW));
        assert_eq!(pause.until(), sent + WINDOW / 30);
        pause.accepted(sent);
        assert_eq!(pause.streak, 2);
        pause.accepted(pause.until());
        assert_eq!(pause.streak, 0);
    }

    #[test]
    fn the_pause_is_bounded() {
        let mut pause = Pause::default();
        let mut now = 0;
        for _ in 0..50 {
            pause.throttled(now, now, WINDOW);
            assert!(pause.until() <= now + WINDOW / 2);
            now = pause.until();
        }
    }

    #[test]
    fn causes_name_their_gates() {
        assert_eq!(Blame::of(Cause::RequestRate), Blame::Requests);
        assert_eq!(Blame::of(Cause::TokenRate), Blame::Tokens);
        assert_eq!(Blame::of(Cause::Growth), Blame::Both);
        assert_eq!(Blame::of(Cause::Capacity), Blame::Neither);
        assert!(!Blame::Requests.tokens() && Blame::Both.tokens() && !Blame::Neither.requests());
    }
}
