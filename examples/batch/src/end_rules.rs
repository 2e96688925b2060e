//! When a run ends before its input does.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;
use tower_qwen_ratelimit::budget::{Amount, BudgetError};

use crate::fatal::Fatal;

/// So many calls in a row have to fail in one way, after others were answered: one rejection may be a fault of the server.
const IN_A_ROW: u32 = 3;

/// What was there has so long to come back: a server, or a model.
const OUTAGE: Duration = Duration::from_secs(30);

/// Why a run ended before its input.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// No call can succeed.
    Fatal(Fatal),
    /// The cap of cost or tokens has no room, or cannot count the call.
    Cap(BudgetError),
    /// So many calls failed.
    Failures(u64),
}

/// What a run does after a call.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// It goes on.
    GoOn,
    /// It goes on with one call at a time, until one gets through.
    OneByOne,
    /// It goes on without the calls of this model and path.
    CloseRoute(Fatal),
    /// It ends.
    End(Ended),
}

/// What became of a call, as far as it matters for others.
#[derive(Debug, Clone, Copy)]
pub struct Finding<'a> {
    /// Model and path.
    pub route: &'a str,
    /// Whether it was answered with success.
    pub is_success: bool,
    /// Whether the provider answered at all.
    pub is_answered: bool,
    /// Its failure, if others will meet it too.
    pub fatal: Option<&'a Fatal>,
}

/// Decides after each call.
#[derive(Debug, Default)]
pub struct EndRules {
    max_failures: Option<u64>,
    failures: u64,
    all: Streak,
    routes: HashMap<String, Streak>,
}

/// Calls in a row that failed for a reason that is not their own.
#[derive(Debug, Default)]
struct Streak {
    /// A call got through before.
    has_worked: bool,
    length: u32,
    since: Option<Instant>,
}

impl EndRules {
    /// Ends the run when so many calls have failed.
    #[must_use]
    pub fn new(max_failures: Option<u64>) -> Self {
        Self {
            max_failures,
            ..Self::default()
        }
    }

    /// Notes what became of a call.
    pub fn note(&mut self, finding: Finding<'_>) -> Next {
        let now = Instant::now();
        let of_all = finding.fatal.filter(|fatal| fatal.reason.is_of_all());
        if let Some(fatal) = of_all
            && self.all.fails(fatal, now)
        {
            return Next::End(Ended::Fatal(fatal.clone()));
        }
        let is_doubtful = of_all.is_some() && self.all.length >= IN_A_ROW;
        if of_all.is_none() && finding.is_answered {
            self.all.works();
        }
        self.failures += u64::from(!finding.is_success);
        if self.max_failures.is_some_and(|most| self.failures >= most) {
            return Next::End(Ended::Failures(self.failures));
        }
        if is_doubtful {
            return Next::OneByOne;
        }
        let of_route = finding.fatal.filter(|fatal| !fatal.reason.is_of_all());
        if of_route.is_none() && !finding.is_answered {
            return Next::GoOn;
        }
        // Nearly every call finds its route known, and then nothing is copied.
        if !self.routes.contains_key(finding.route) {
            self.routes
                .insert(finding.route.to_owned(), Streak::default());
        }
        let Some(route) = self.routes.get_mut(finding.route) else {
            return Next::GoOn;
        };
        match of_route {
            Some(fatal) if route.fails(fatal, now) => return Next::CloseRoute(fatal.clone()),
            Some(_) => {}
            None => route.works(),
        }
        Next::GoOn
    }
}

impl Streak {
    fn works(&mut self) {
        *self = Self {
            has_worked: true,
            ..Self::default()
        };
    }

    /// Notes a failure; true where it is time to believe it.
    fn fails(&mut self, fatal: &Fatal, now: Instant) -> bool {
        self.length += 1;
        let since = *self.since.get_or_insert(now);
        let patience = match fatal.reason.may_pass() {
            true => OUTAGE,
            false => Duration::ZERO,
        };
        !self.has_worked || self.length >= IN_A_ROW && now.duration_since(since) >= patience
    }
}

/// Whether the call would not fit even if all calls under way cost nothing: then waiting for them does not help.
#[must_use]
pub fn is_final(error: &BudgetError) -> bool {
    let BudgetError::Exceeded(exceeded) = error else {
        return true;
    };
    match [exceeded.spent, exceeded.needed, exceeded.limit].map(count) {
        [Some(spent), Some(needed), Some(limit)] => spent.saturating_add(needed) > limit,
        _ => true,
    }
}

fn count(amount: Amount) -> Option<i128> {
    match amount {
        Amount::Money(money) => Some(money.pico()),
        Amount::Tokens(count) => Some(count.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding<'a>(route: &'a str, fatal: Option<&'a Fatal>) -> Finding<'a> {
        Finding {
            route,
            is_success: fatal.is_none(),
            is_answered: true,
            fatal,
        }
    }

    fn unreachable() -> Fatal {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        Fatal::of_error(&refused).expect("no connection")
    }

    fn plan() -> Fatal {
        Fatal::plan(None, "used up".to_owned())
    }

    fn no_model() -> Fatal {
        let body = br#"{"error":{"code":"model_not_found","message":"no such model"}}"#;
        let status = http::StatusCode::NOT_FOUND;
        let now = std::time::SystemTime::UNIX_EPOCH;
        let verdict =
            tower_qwen_tokens::Verdict::of_response(status, &http::HeaderMap::new(), body, now);
        Fatal::of_verdict(&verdict, status).expect("it concerns others")
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_call_is_believed_and_a_later_one_in_a_row_of_three() {
        let fatal = plan();
        let mut rules = EndRules::default();
        let end = Next::End(Ended::Fatal(fatal.clone()));
        assert_eq!(rules.note(finding("a", Some(&fatal))), end);
        let mut rules = EndRules::default();
        assert_eq!(rules.note(finding("a", None)), Next::GoOn);
        for _ in 0..2 {
            assert_eq!(rules.note(finding("a", Some(&fatal))), Next::GoOn);
            assert_eq!(rules.note(finding("a", Some(&fatal))), Next::GoOn);
            assert_eq!(rules.note(finding("b", None)), Next::GoOn);
        }
        assert_eq!(rules.note(finding("a", Some(&fatal))), Next::GoOn);
        assert_eq!(rules.note(finding("b", Some(&fatal))), Next::GoOn);
        assert_eq!(rules.note(finding("a", Some(&fatal))), end);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_was_there_has_time_to_come_back() {
        let fatal = unreachable();
        let down = Finding {
            is_answered: false,
            ..finding("a", Some(&fatal))
        };
        let mut rules = EndRules::default();
        assert_eq!(rules.note(finding("a", None)), Next::GoOn);
        assert_eq!(rules.note(down), Next::GoOn);
        assert_eq!(rules.note(down), Next::GoOn);
        for _ in 0..10 {
            assert_eq!(rules.note(down), Next::OneByOne);
            tokio::time::advance(Duration::from_secs(2)).await;
        }
        assert_eq!(rules.note(finding("a", None)), Next::GoOn);
        for _ in 0..IN_A_ROW {
            assert_ne!(rules.note(down), Next::End(Ended::Fatal(fatal.clone())));
        }
        tokio::time::advance(OUTAGE).await;
        assert_eq!(rules.note(down), Next::End(Ended::Fatal(fatal.clone())));
        let mut never_there = EndRules::default();
        assert_eq!(
            never_there.note(down),
            Next::End(Ended::Fatal(fatal.clone()))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_model_that_is_not_there_closes_its_calls_alone() {
        let fatal = no_model();
        let mut rules = EndRules::default();
        let close = Next::CloseRoute(fatal.clone());
        assert_eq!(rules.note(finding("a", Some(&fatal))), close);
        assert_eq!(rules.note(finding("b", None)), Next::GoOn);
        assert_eq!(rules.note(finding("b", Some(&fatal))), Next::GoOn);
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_failures_and_no_more() {
        let mut rules = EndRules::new(Some(2));
        let failed = Finding {
            is_success: false,
            ..finding("a", None)
        };
        assert_eq!(rules.note(failed), Next::GoOn);
        assert_eq!(rules.note(finding("a", None)), Next::GoOn);
        assert_eq!(rules.note(failed), Next::End(Ended::Failures(2)));
    }
}
