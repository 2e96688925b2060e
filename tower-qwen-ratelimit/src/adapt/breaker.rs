use std::time::Duration;

use crate::units::{Nanos, nanos};

/// From this many throttles on, without an accepted call in between, the provider may be away for all
/// calls, which says nothing of any one of them.
const OUTAGE_FROM: u32 = 3;
/// The first throttles for growth in a row, up to this one, slow the gates; later ones do not.
// Later ones met a probe, a single call: what it meets says nothing of the rate (docs/design.md,
// "Feedback").
const SLOWING_UP_TO: u32 = 3;
/// The provider is away if it was unavailable this often in a row,
// One such answer is an accident of a single server, and Retry alone deals with it: with 2 of 100
// calls answered so, four in a row come once in six million.
const UNAVAILABLE: u32 = 4;
/// or for this many of the latest 32 answers.
// Half of them: an outage of every second server is not helped by more calls.
const MANY_UNAVAILABLE: u32 = 16;
/// The longest pause that one answer of the provider can impose on an account.
// A hint that is a mistake, or given in the wrong unit, must not stop an account for a day.
const LONGEST_HINT: Duration = Duration::from_secs(600);
/// A longer hint than this counts from the second throttle in a row on.
// An hour, of limits that are mostly of a minute: one answer with a mistake in it must not stop an
// account even for [`LONGEST_HINT`]. A plan that is used up has words of its own (`plan.rs`).
const LONGEST_HINT_OF_ONE: Duration = Duration::from_secs(3_600);
/// The first pause, and the time between two probes: this part of the window.
const PAUSE: u64 = 60;
/// The longest pause without a hint: this part of the window, so that a return is noticed soon.
const LONGEST_PAUSE: u64 = 20;
/// A pause doubles this often at most. Far above [`LONGEST_PAUSE`]; it only bounds the shift.
const DOUBLINGS: u32 = 5;
/// While a window drains, probes come after so many times as long as the latest throttle took, where
/// that is sooner.
// Each may find that there is room again, and what a window of a known limit holds leaves it evenly.
// By sixtieths of the window alone 0.005 to 0.009 less of a falling quota is used (`falls-by-tenths`).
const PROBE_ANSWERS: u64 = 4;

/// For how long throttles close an account, and which of them are news.
///
/// From the first throttle on the account probes, since what is in its way is not known: after the
/// pause one call goes, and twice as many in each sixtieth of the window that brings no throttle, until one is
/// accepted. So an outage meets a handful of calls, however many wait, and a slow answer does not
/// hold up the others.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    closed_until: Nanos,
    /// While it probes: when the next call may go.
    next_probe: Nanos,
    /// How many probes go in this sixtieth of the window, and how many of them are left.
    probes: u32,
    probes_left: u32,
    /// How long the answer of the latest throttle took. Unit: nanoseconds.
    answered_in: u64,
    /// The latest throttle has answered for all calls sent before this instant.
    news_from: Nanos,
    /// Whether calls go one by one: not where the first throttle has shown the limit.
    is_probing: bool,
    /// Whether the first of the latest throttles in a row has shown the limit.
    is_by_quota: bool,
    /// Throttles in a row, and how often there were any.
    streak: u32,
    streaks: u32,
    /// Which of the latest 32 answers said that the provider is not available: the latest is bit 0.
    unavailable: u32,
}

impl Breaker {
    /// When the account opens again.
    pub(crate) fn opens_at(&self) -> Nanos {
        self.closed_until.max(self.next_probe)
    }

    /// Whether the latest answer was a throttle.
    pub(crate) fn is_throttled(&self) -> bool {
        self.streak > 0
    }

    /// The number of the latest throttles in a row.
    pub(crate) fn streaks(&self) -> u32 {
        self.streaks
    }

    /// Whether the latest throttle followed another one without an accepted call in between.
    pub(crate) fn is_repeated(&self) -> bool {
        self.streak > 1
    }

    /// Whether throttles follow each other, which says nothing of any one call.
    pub(crate) fn is_outage(&self) -> bool {
        self.streak >= OUTAGE_FROM
    }

    /// Whether the latest throttle says something of how fast calls were sent.
    pub(crate) fn slows(&self) -> bool {
        self.streak <= SLOWING_UP_TO
    }

    /// Nothing has to be found out by single calls.
    pub(crate) fn skip_probing(&mut self) {
        self.is_probing = false;
    }

    /// The latest throttle, the first in a row, has shown what the limit is, and the gates keep to it.
    pub(crate) fn on_limit_shown(&mut self) {
        self.skip_probing();
        self.is_by_quota = true;
    }

    /// Whether the latest throttles are of a limit that is known.
    pub(crate) fn is_by_quota(&self) -> bool {
        self.is_by_quota
    }

    /// The end of a long closure: calls probe one by one, until one is accepted.
    #[cold]
    pub(crate) fn begin_probing(&mut self) {
        self.streak = self.streak.max(1);
        self.is_probing = true;
        (self.next_probe, self.probes, self.probes_left) = (0, 1, 1);
    }

    /// Whether throttles follow each other after the first has shown the limit: the provider's window
    /// holds more than that, and is draining.
    pub(crate) fn is_draining(&self) -> bool {
        self.is_by_quota && self.is_repeated()
    }

    /// Closes until `until`, if it opens earlier so far.
    pub(crate) fn close_until(&mut self, until: Nanos) {
        self.closed_until = self.closed_until.max(until);
    }

    /// A call goes out. Returns whether that closes the account for a moment.
    #[inline]
    pub(crate) fn on_send(&mut self, now: Nanos, window: u64) -> bool {
        self.is_probing && self.on_probe(now, window)
    }

    #[cold]
    fn on_probe(&mut self, now: Nanos, window: u64) -> bool {
        self.probes_left = self.probes_left.saturating_sub(1);
        let is_last = self.probes_left == 0;
        if is_last {
            self.next_probe = now.saturating_add(self.probe_step(window));
            self.probes = self.probes.saturating_mul(2);
            self.probes_left = self.probes;
        }
        is_last
    }

    /// The time between two rounds of probes.
    fn probe_step(&self, window: u64) -> u64 {
        let step = window / PAUSE;
        let step = match self.is_by_quota {
            true => step.min(self.answered_in.saturating_mul(PROBE_ANSWERS)),
            false => step,
        };
        step.max(1)
    }

    /// A call sent at `sent_at` was throttled. Returns whether that is news: calls that were under
    /// way at the latest throttle add nothing to it.
    ///
    /// Without a hint of the provider the pause is a sixtieth of the window and doubles with every
    /// throttle that follows without an accepted call in between, up to a twentieth of it, unless the
    /// first of them has shown the limit. It is never above the provider's `ceiling`. With a hint it is the hint that counts, and a sixtieth of the
    /// window at least; one of more than an hour counts if the throttle before it has brought no
    /// accepted call.
    pub(crate) fn on_throttle(
        &mut self,
        sent_at: Nanos,
        now: Nanos,
        window: u64,
        hint: Option<Duration>,
        ceiling: Option<Duration>,
    ) -> bool {
        let is_news = sent_at >= self.news_from;
        let is_repeated = self.streak > u32::from(!is_news);
        let hint = hint.filter(|hint| is_repeated || *hint <= LONGEST_HINT_OF_ONE);
        if is_news {
            self.answered_in = now.saturating_sub(sent_at);
            // How long the window of a known limit drains is known, and so is what the provider names.
            let doublings = match hint.is_some() || self.is_by_quota {
                true => 0,
                false => self.streak.min(DOUBLINGS),
            };
            let pause = ((window / PAUSE).max(1) << doublings).min(window / LONGEST_PAUSE);
            let pause = ceiling.map_or(pause, |ceiling| pause.min(nanos(ceiling)));
            self.close_until(now.saturating_add(pause));
            self.streaks = self.streaks.wrapping_add(u32::from(self.streak == 0));
            self.streak = self.streak.saturating_add(1);
            // A call sent in this very nanosecond was under way too.
            self.news_from = now.saturating_add(1);
            self.is_probing = true;
            (self.probes, self.probes_left) = (1, 1);
        }
        // Even an old call's hint is the provider's word on when to come back.
        if let Some(hint) = hint {
            self.close_until(now.saturating_add(nanos(hint.min(LONGEST_HINT))));
        }
        is_news
    }

    /// The provider was not available for a call sent at `sent_at`. Returns whether that counts as
    /// a throttle: where it happens again and again, and while calls probe.
    pub(crate) fn on_unavailable(&mut self, sent_at: Nanos) -> bool {
        if sent_at >= self.news_from {
            self.unavailable = self.unavailable << 1 | 1;
        }
        self.unavailable.trailing_ones() >= UNAVAILABLE
            || self.unavailable.count_ones() >= MANY_UNAVAILABLE
            || self.streak > 0
    }

    /// A call sent at `sent_at` was accepted. Returns whether that lets others go.
    pub(crate) fn on_accept(&mut self, sent_at: Nanos) -> bool {
        // Sent before the throttle: says nothing of how the provider is now.
        if sent_at < self.news_from {
            return false;
        }
        // After an outage, what it left in the latest answers says nothing any more.
        self.unavailable = match self.streak {
            0 => self.unavailable << 1,
            _ => 0,
        };
        self.streak = 0;
        self.is_probing = false;
        self.is_by_quota = false;
        std::mem::take(&mut self.next_probe) > self.closed_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: u64 = 60_000_000_000;

    fn throttle(breaker: &mut Breaker, sent_at: Nanos, now: Nanos) -> bool {
        breaker.on_throttle(sent_at, now, WINDOW, None, None)
    }

    #[test]
    fn throttles_of_calls_already_under_way_are_no_news() {
        let mut breaker = Breaker::default();
        assert!(throttle(&mut breaker, 5, 10));
        assert!(!throttle(&mut breaker, 7, 11));
        assert_eq!(breaker.opens_at(), 10 + WINDOW / 60);
        let sent = breaker.opens_at();
        assert!(throttle(&mut breaker, sent, sent));
        assert_eq!(breaker.opens_at(), sent + WINDOW / 30);
        breaker.on_accept(sent);
        assert_eq!(breaker.streak, 2);
        breaker.on_accept(breaker.opens_at());
        assert_eq!(breaker.streak, 0);
    }

    #[test]
    fn while_a_window_drains_pauses_do_not_double_and_probes_follow_the_answers() {
        let mut breaker = Breaker::default();
        assert!(throttle(&mut breaker, 0, 10));
        breaker.on_limit_shown();
        assert!(!breaker.is_draining(), "it may have been room for one");
        let mut now = breaker.opens_at();
        for _ in 0..5 {
            assert!(throttle(&mut breaker, now, now + 10));
            assert!(breaker.is_draining());
            assert_eq!(breaker.opens_at(), now + 10 + WINDOW / 60);
            now = breaker.opens_at();
        }
        breaker.on_send(now, WINDOW);
        assert_eq!(breaker.opens_at(), now + 10 * PROBE_ANSWERS);
        // A slow answer does not hold up the others for longer than before.
        assert!(throttle(&mut breaker, now, now + WINDOW));
        now = breaker.opens_at();
        breaker.on_send(now, WINDOW);
        assert_eq!(breaker.opens_at(), now + WINDOW / 60);
        breaker.on_accept(now);
        assert!(!breaker.is_draining());
    }

    #[test]
    fn a_pause_that_the_provider_names_does_not_double_and_is_bounded() {
        let mut breaker = Breaker::default();
        let mut now = 0;
        for _ in 0..5 {
            breaker.on_throttle(now, now, WINDOW, Some(Duration::ZERO), None);
            assert_eq!(breaker.opens_at(), now + WINDOW / 60);
            now = breaker.opens_at();
        }
        let day = Some(Duration::from_secs(86_400));
        breaker.on_throttle(now, now, WINDOW, day, None);
        assert_eq!(breaker.opens_at(), now + nanos(LONGEST_HINT));
    }

    #[test]
    fn a_hint_of_more_than_an_hour_counts_the_second_time() {
        let long = Some(LONGEST_HINT_OF_ONE + Duration::from_nanos(1));
        let mut breaker = Breaker::default();
        for (sent_at, now) in [(5, 10), (6, 11)] {
            // The second was under way at the first.
            breaker.on_throttle(sent_at, now, WINDOW, long, None);
            assert_eq!(breaker.opens_at(), 10 + WINDOW / 60);
        }
        let now = breaker.opens_at();
        breaker.on_throttle(now, now, WINDOW, long, None);
        assert_eq!(breaker.opens_at(), now + nanos(LONGEST_HINT));
        let mut breaker = Breaker::default();
        breaker.on_throttle(0, 0, WINDOW, Some(LONGEST_HINT_OF_ONE), None);
        assert_eq!(breaker.opens_at(), nanos(LONGEST_HINT));
    }

    #[test]
    fn a_hint_counts_even_of_a_call_that_is_no_news() {
        let mut breaker = Breaker::default();
        throttle(&mut breaker, 5, 10);
        let hint = Duration::from_secs(30);
        assert!(!breaker.on_throttle(5, 11, WINDOW, Some(hint), None));
        assert_eq!(breaker.opens_at(), 11 + nanos(hint));
    }

    #[test]
    fn a_ceiling_shortens_the_pause_and_never_lengthens_it() {
        for (ceiling, expected) in [(500_000_000, 500_000_000), (20 * WINDOW, WINDOW / 60)] {
            let mut breaker = Breaker::default();
            let ceiling = Some(Duration::from_nanos(ceiling));
            breaker.on_throttle(0, 0, WINDOW, None, ceiling);
            assert_eq!(breaker.opens_at(), expected);
        }
    }

    #[test]
    fn the_end_of_a_long_closure_is_probed() {
        let mut breaker = Breaker::default();
        breaker.begin_probing();
        assert_eq!(breaker.opens_at(), 0);
        breaker.on_send(7, WINDOW);
        assert_eq!(breaker.opens_at(), 7 + WINDOW / 60, "one alone");
        assert!(breaker.on_accept(7) && breaker.opens_at() == 0);
    }

    #[test]
    fn the_pause_is_bounded() {
        let mut breaker = Breaker::default();
        let mut now = 0;
        for _ in 0..50 {
            throttle(&mut breaker, now, now);
            assert!(breaker.opens_at() <= now + WINDOW / 20);
            now = breaker.opens_at();
        }
    }

    #[test]
    fn an_account_whose_provider_is_away_probes() {
        let second = WINDOW / 60;
        let mut breaker = Breaker::default();
        breaker.on_send(0, WINDOW);
        assert!(throttle(&mut breaker, 0, 0));
        assert!(!breaker.is_outage() && !breaker.is_repeated());
        let mut now = breaker.opens_at();
        assert_eq!(now, second);
        // One, then two, then four, as long as none is throttled.
        let mut sent = Vec::new();
        while now < 8 * second {
            breaker.on_send(now, WINDOW);
            sent.push(now / second);
            now = now.max(breaker.opens_at());
        }
        assert_eq!(sent[..7], [1, 2, 2, 3, 3, 3, 3]);
        assert!(throttle(&mut breaker, now, 10 * second));
        assert!(breaker.is_repeated() && !breaker.is_outage());
        now = breaker.opens_at();
        assert_eq!(now, 12 * second);
        assert!(throttle(&mut breaker, now, now));
        assert!(breaker.is_outage() && breaker.slows());
        let open = breaker.opens_at();
        breaker.on_send(open, WINDOW);
        assert_eq!(breaker.opens_at(), open + second, "one again");
        assert!(
            breaker.on_accept(open),
            "and all, once that one is accepted"
        );
        assert!(breaker.opens_at() <= open && !breaker.is_outage());
        assert!(!breaker.on_accept(open));
    }

    #[test]
    fn a_provider_that_is_unavailable_four_times_in_a_row_is_away() {
        let mut breaker = Breaker::default();
        for at in 1..4 {
            assert!(!breaker.on_unavailable(at));
        }
        breaker.on_accept(4);
        for at in 5..8 {
            assert!(!breaker.on_unavailable(at));
        }
        assert!(breaker.on_unavailable(8));
        throttle(&mut breaker, 8, 8);
        assert!(breaker.on_unavailable(9), "it has just throttled a call");
        breaker.on_accept(10);
        assert!(!breaker.on_unavailable(11), "from the beginning");
    }

    #[test]
    fn one_of_two_unavailable_is_away_and_two_of_a_hundred_are_not() {
        let mut breaker = Breaker::default();
        let mut answered = 0;
        while answered < 15 {
            answered += 1;
            breaker.on_accept(answered);
            assert!(!breaker.on_unavailable(answered), "{answered}");
        }
        breaker.on_accept(answered);
        assert!(breaker.on_unavailable(answered));

        let mut breaker = Breaker::default();
        for at in 0..100_000 {
            match at % 50 {
                0 => assert!(!breaker.on_unavailable(at)),
                _ => assert!(!breaker.on_accept(at)),
            }
        }
    }
}
