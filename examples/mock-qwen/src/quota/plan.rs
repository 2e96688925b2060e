//! The window of a plan.

use std::time::{Duration, SystemTime};

use crate::config::{Plan, PlanWindow};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

#[derive(Debug)]
pub(crate) struct PlanGate {
    plan: Plan,
    /// How far the first window had come when the server began.
    into: Duration,
    /// When the present window began, less `into`. `None`: none has.
    opened: Option<Duration>,
    tokens: u64,
    requests: u64,
}

impl PlanGate {
    /// `wall` is the wall time of the server's start.
    pub(crate) fn new(plan: Plan, wall: SystemTime) -> Self {
        let since = wall
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let into = match plan.window {
            PlanWindow::Day => rest(since, DAY),
            // 1970 began on a Thursday, so 72 hours after a Monday; UTC+8 is 8 hours ahead.
            PlanWindow::Week => rest(since + 80 * HOUR, WEEK),
            PlanWindow::FiveHours | PlanWindow::Month => Duration::ZERO,
        };
        Self {
            plan,
            into,
            opened: None,
            tokens: 0,
            requests: 0,
        }
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Requests and tokens of the present window.
    pub(crate) fn used(&self) -> (u64, u64) {
        (self.requests, self.tokens)
    }

    /// How long until the window ends, if it is used up.
    pub(crate) fn refusal(&mut self, now: Duration) -> Option<Duration> {
        let opened = self.window(now)?;
        let used_up = |used: u64, limit: Option<u64>| limit.is_some_and(|limit| used >= limit);
        let refused =
            used_up(self.tokens, self.plan.tokens) || used_up(self.requests, self.plan.requests);
        refused.then(|| opened + self.length() - (now + self.into))
    }

    pub(crate) fn add(&mut self, now: Duration, requests: u64, tokens: u64) {
        if self.window(now).is_none() {
            self.opened = Some(match self.plan.window {
                PlanWindow::FiveHours => now,
                PlanWindow::Day | PlanWindow::Week | PlanWindow::Month => {
                    let at = now + self.into;
                    at - rest(at, self.length())
                }
            });
        }
        self.requests += requests;
        self.tokens += tokens;
    }

    /// When the present window began, after one that is over is forgotten.
    fn window(&mut self, now: Duration) -> Option<Duration> {
        let opened = self.opened?;
        if now + self.into < opened + self.length() {
            return Some(opened);
        }
        (self.opened, self.tokens, self.requests) = (None, 0, 0);
        None
    }

    fn length(&self) -> Duration {
        match self.plan.window {
            PlanWindow::FiveHours => 5 * HOUR,
            PlanWindow::Day => DAY,
            PlanWindow::Week => WEEK,
            PlanWindow::Month => 30 * DAY,
        }
    }
}

/// What is left of a time after as many whole lengths as fit.
fn rest(time: Duration, length: Duration) -> Duration {
    Duration::from_nanos((time.as_nanos() % length.as_nanos()) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(window: PlanWindow, at: u64) -> PlanGate {
        let plan = Plan {
            window,
            requests: Some(2),
            tokens: Some(100),
            ..Plan::default()
        };
        PlanGate::new(plan, SystemTime::UNIX_EPOCH + Duration::from_secs(at))
    }

    #[test]
    fn five_hours_begin_with_the_first_call() {
        let mut gate = gate(PlanWindow::FiveHours, 0);
        let hours = |count| count * HOUR;
        assert_eq!(gate.refusal(hours(9)), None);
        gate.add(hours(9), 1, 10);
        assert_eq!(gate.refusal(hours(10)), None);
        gate.add(hours(10), 1, 10);
        assert_eq!(gate.refusal(hours(10)), Some(hours(4)));
        assert_eq!(gate.refusal(hours(14)), None);
        gate.add(hours(20), 1, 0);
        gate.add(hours(20), 0, 100);
        assert_eq!(gate.refusal(hours(21)), Some(hours(4)), "by its tokens");
    }

    #[test]
    fn a_week_begins_on_monday_in_utc_8() {
        // 2026-11-29 12:00:00 UTC is Sunday 20:00 there.
        let mut gate = gate(PlanWindow::Week, 1_795_953_600);
        gate.add(HOUR, 2, 0);
        assert_eq!(gate.refusal(HOUR), Some(3 * HOUR));
        assert_eq!(gate.refusal(4 * HOUR), None);
        gate.add(5 * HOUR, 2, 0);
        assert_eq!(gate.refusal(5 * HOUR), Some(WEEK - HOUR));
    }

    #[test]
    fn a_month_begins_with_the_server() {
        let mut gate = gate(PlanWindow::Month, 1_795_953_600);
        gate.add(HOUR, 2, 0);
        assert_eq!(gate.refusal(2 * HOUR), Some((30 * 24 - 2) * HOUR));
        assert_eq!(gate.refusal(30 * 24 * HOUR), None);
    }
}
