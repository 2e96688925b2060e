use std::time::{Duration, SystemTime};

use tower_qwen_tokens::PlanUsedUp;

use crate::units::{NEVER, Nanos, nanos};

/// Where neither probes go nor an end is stated, the account opens by itself after this time.
// The default time between two probes: it is as good a guess as any, and costs one call.
const UNSTATED: Duration = Duration::from_secs(30 * 60);
/// A probe that says nothing of the plan is followed by the next after this part of the time between
/// two: half a minute of half an hour.
// Its answer was lost, so less is known than was to be learned; and a server that fails whatever is
// sent must not be sent a probe for each call.
const AGAIN: u64 = 60;
/// A closure lasts for this part of the quota's window at least.
// Else a stated end that has just gone by would let each waiting call find out for itself.
const SHORTEST: u64 = 60;

/// Whether a window of the account's plan is used up, and until when.
///
/// It closes the account until the end that the provider states. While it is closed, calls are rejected
/// at once, but for a probe now and then: limits flap, and plans are renewed by hand. A probe that is
/// accepted opens the account; one that is rejected for the plan begins a closure anew; one that says
/// nothing of the plan is followed by another soon.
///
/// At its end, calls go one by one at first, as after throttles in a row ([`Breaker`](super::Breaker)).
#[derive(Debug)]
pub(crate) struct Plan {
    /// Nothing: the account is open.
    closure: Option<Closure>,
    /// The latest closure has answered for all calls sent before this instant.
    news_from: Nanos,
    /// `NEVER`: no probes.
    probe_interval: Nanos,
}

#[derive(Debug)]
struct Closure {
    stated: Option<PlanEnd>,
    /// `NEVER` where only a probe can end it.
    ends_at: Nanos,
    next_probe: Nanos,
    is_probing: bool,
}

/// When the provider says that the window ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlanEnd {
    pub(crate) at: Nanos,
    pub(crate) until: SystemTime,
}

impl Plan {
    /// Of an open account.
    pub(crate) fn new(probe_interval: Option<Duration>) -> Self {
        Self {
            closure: None,
            news_from: 0,
            probe_interval: probe_interval.map_or(NEVER, nanos),
        }
    }

    /// Lets the time pass. Returns whether a closure has come to its end.
    #[inline]
    pub(crate) fn advance(&mut self, now: Nanos) -> bool {
        self.closure.is_some() && self.take_ended(now)
    }

    // Apart, as all that an open account does not need: every call passes here three times.
    #[cold]
    fn take_ended(&mut self, now: Nanos) -> bool {
        self.closure.take_if(|it| now >= it.ends_at).is_some()
    }

    /// Whether calls are rejected now.
    #[inline]
    pub(crate) fn is_closed(&self, now: Nanos) -> bool {
        let closure = self.closure.as_ref();
        closure.is_some_and(|it| it.is_closed(now))
    }

    /// When the account opens again, as far as is known: else when the next probe goes.
    pub(crate) fn opens_at(&self) -> Nanos {
        self.closure.as_ref().map_or(0, |it| match it.ends_at {
            NEVER => it.next_probe,
            ends_at => ends_at,
        })
    }

    /// The closure, as callers see it, and when it ends where the provider says so.
    pub(crate) fn used_up(&self) -> Option<(PlanUsedUp, Option<Nanos>)> {
        let stated = self.closure.as_ref()?.stated;
        let until = stated.map(|end| end.until);
        Some((PlanUsedUp::new(until), stated.map(|end| end.at)))
    }

    /// A call goes out. Returns whether it is a probe.
    #[inline]
    pub(crate) fn on_send(&mut self, now: Nanos) -> bool {
        let Some(closure) = &mut self.closure else {
            return false;
        };
        closure.send_probe(now.saturating_add(self.probe_interval));
        true
    }

    /// A call sent at `sent_at` was rejected, since a window of the plan is used up. Returns whether
    /// that is news: calls that were under way when the account was closed add nothing but a later
    /// end.
    pub(crate) fn on_used_up(
        &mut self,
        sent_at: Nanos,
        now: Nanos,
        window: u64,
        stated: Option<PlanEnd>,
    ) -> bool {
        let former = self.closure.as_ref().and_then(|it| it.stated);
        let is_news = sent_at >= self.news_from;
        // The latest word of the provider counts, but of calls sent together the longest window.
        let stated = match (is_news, stated, former) {
            (false, Some(end), Some(former)) if end.at < former.at => Some(former),
            (_, stated, former) => stated.or(former),
        };
        if !is_news {
            if let Some(closure) = &mut self.closure {
                closure.end_at(stated, now, window);
            }
            return false;
        }
        let mut closure = Closure {
            stated,
            ends_at: match self.probe_interval {
                NEVER => now.saturating_add(nanos(UNSTATED)),
                _ => NEVER,
            },
            next_probe: now.saturating_add(self.probe_interval),
            is_probing: false,
        };
        closure.end_at(stated, now, window);
        self.closure = Some(closure);
        // A call sent in this very nanosecond was under way too.
        self.news_from = now.saturating_add(1);
        true
    }

    /// A call sent at `sent_at` was accepted. Returns whether that opens the account.
    pub(crate) fn on_accept(&mut self, sent_at: Nanos) -> bool {
        sent_at >= self.news_from && self.closure.take().is_some()
    }

    /// A probe that was sent at `sent_at` has ended. One that has said something of the plan has
    /// changed the closure before.
    #[cold]
    pub(crate) fn on_probe_end(&mut self, sent_at: Nanos, now: Nanos) {
        if sent_at >= self.news_from
            && let Some(closure) = &mut self.closure
        {
            closure.is_probing = false;
            closure.next_probe = now.saturating_add(self.probe_interval / AGAIN);
        }
    }
}

impl Closure {
    #[cold]
    fn is_closed(&self, now: Nanos) -> bool {
        self.is_probing || now < self.next_probe
    }

    #[cold]
    fn send_probe(&mut self, next: Nanos) {
        (self.is_probing, self.next_probe) = (true, next);
    }

    fn end_at(&mut self, stated: Option<PlanEnd>, now: Nanos, window: u64) {
        if let Some(end) = stated {
            let soonest = now.saturating_add((window / SHORTEST).max(1));
            (self.stated, self.ends_at) = (stated, end.at.max(soonest));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const WINDOW: u64 = 60_000_000_000;
    const MINUTE: u64 = WINDOW;
    const HOUR: u64 = 60 * MINUTE;

    fn plan(minutes: Option<u64>) -> Plan {
        Plan::new(minutes.map(|minutes| Duration::from_secs(minutes * 60)))
    }

    fn end(at: Nanos) -> Option<PlanEnd> {
        let until = UNIX_EPOCH + Duration::from_nanos(at);
        Some(PlanEnd { at, until })
    }

    #[test]
    fn it_is_closed_until_its_end_but_for_probes() {
        let mut plan = plan(Some(30));
        assert!(!plan.on_send(0), "of an open account none is a probe");
        assert!(plan.on_used_up(0, 1, WINDOW, end(5 * HOUR)));
        assert!(plan.is_closed(1) && plan.is_closed(30 * MINUTE));
        let probe = 30 * MINUTE + 1;
        assert!(!plan.is_closed(probe));
        assert!(plan.on_send(probe) && plan.is_closed(probe), "one alone");
        assert!(plan.on_used_up(probe, probe + 9, WINDOW, end(4 * HOUR)));
        plan.on_probe_end(probe, probe + 9);
        assert_eq!(plan.opens_at(), 4 * HOUR, "the latest word counts");
        assert!(plan.is_closed(probe + 30 * MINUTE) && !plan.is_closed(probe + 30 * MINUTE + 9));
        assert!(!plan.advance(4 * HOUR - 1) && plan.advance(4 * HOUR));
        assert!(!plan.is_closed(4 * HOUR) && plan.used_up().is_none());
    }

    #[test]
    fn calls_under_way_add_nothing_but_a_later_end() {
        let mut plan = plan(Some(30));
        assert!(plan.on_used_up(0, 10, WINDOW, None));
        assert_eq!(
            plan.opens_at(),
            10 + 30 * MINUTE,
            "when the next probe goes"
        );
        for (stated, expected) in [(end(HOUR), HOUR), (end(9), HOUR), (end(2 * HOUR), 2 * HOUR)] {
            assert!(!plan.on_used_up(5, 11, WINDOW, stated));
            assert_eq!(plan.opens_at(), expected);
        }
        assert!(!plan.on_accept(5), "sent before: says nothing of now");
        assert!(plan.on_accept(11) && !plan.is_closed(11));
        assert!(
            !plan.on_used_up(5, 12, WINDOW, end(HOUR)),
            "an old call does not close it again"
        );
        assert!(!plan.is_closed(12));
    }

    #[test]
    fn a_probe_that_says_nothing_is_followed_by_another_soon() {
        let mut plan = plan(Some(30));
        plan.on_used_up(0, 0, WINDOW, None);
        let probe = 30 * MINUTE;
        assert!(plan.on_send(probe));
        plan.on_probe_end(probe, probe);
        assert!(plan.is_closed(probe + MINUTE / 2 - 1) && !plan.is_closed(probe + MINUTE / 2));
        assert!(plan.on_used_up(probe, probe + 1, WINDOW, None));
        assert!(plan.used_up().is_some_and(|(_, end)| end.is_none()));
    }

    #[test]
    fn without_probes_it_opens_at_its_end_or_after_half_an_hour() {
        let mut plan = plan(None);
        plan.on_used_up(0, 0, WINDOW, end(5 * HOUR));
        assert!(plan.is_closed(5 * HOUR - 1) && plan.advance(5 * HOUR));
        plan.on_used_up(5 * HOUR, 5 * HOUR, WINDOW, None);
        assert!(!plan.advance(5 * HOUR + 30 * MINUTE - 1) && plan.advance(5 * HOUR + 30 * MINUTE));
    }

    #[test]
    fn an_end_that_has_gone_by_closes_it_for_a_moment_all_the_same() {
        let mut plan = plan(Some(30));
        plan.on_used_up(100, 100, WINDOW, end(50));
        assert!(plan.is_closed(100) && !plan.advance(99 + WINDOW / 60));
        assert!(plan.advance(100 + WINDOW / 60));
        let mut plan = Plan::new(Some(Duration::MAX));
        plan.on_used_up(NEVER - 1, NEVER - 1, u64::MAX, end(NEVER));
        assert!(plan.is_closed(NEVER - 1));
    }
}
