//! The one account: its quotas and what it has seen.

use std::time::Duration;

use crate::config::{Charge, Config};
use crate::fault::Fault;
use crate::quota::{Dimension, GrowthGate, Mark, Room, Scope};
use crate::stats::Stats;
use crate::utilisation::Windows;
use crate::wire::Problem;

#[derive(Debug)]
pub(crate) struct Account {
    requests: Dimension,
    tokens: Dimension,
    growth: Option<GrowthGate>,
    stats: Stats,
    windows: Windows,
    faults: fastrand::Rng,
    ids: fastrand::Rng,
}

/// The tokens of a call, as known when it starts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) prompt: u64,
    /// What the answer will take.
    pub(crate) output: u64,
    /// What it may take at most.
    pub(crate) ceiling: u64,
}

/// A call that was let in.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) at: Duration,
    prompt: u64,
    mark: Mark,
}

/// A call that was not.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) problem: Problem,
    /// How long until it would fit; `None` if that cannot be told, or never.
    pub(crate) wait: Option<Duration>,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Completed,
    CompletedWithoutUsage,
    Aborted,
    Reset,
    StreamError,
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            wait: None,
        }
    }
}

impl Account {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            requests: Dimension::new(config, config.rpm),
            tokens: Dimension::new(config, config.tpm),
            growth: config.growth.map(GrowthGate::new),
            stats: Stats::default(),
            windows: Windows::new(config.window),
            faults: fastrand::Rng::with_seed(config.seed),
            ids: fastrand::Rng::with_seed(!config.seed),
        }
    }

    /// Goes on under other limits.
    pub(crate) fn set_limits(&mut self, config: &Config, now: Duration, rpm: u64, tpm: u64) {
        self.requests.set_limit(config, now, rpm);
        self.tokens.set_limit(config, now, tpm);
    }

    /// A call arrives: its id and its fault.
    pub(crate) fn arrive(&mut self, config: &Config) -> (String, Fault) {
        self.stats.seen += 1;
        let id = self.id();
        (id, Fault::draw(&config.faults, &mut self.faults))
    }

    /// A new id of a request.
    pub(crate) fn id(&mut self) -> String {
        let hex = format!("{:032x}", self.ids.u128(..));
        [
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..],
        ]
        .join("-")
    }

    pub(crate) fn reject(&mut self) {
        self.stats.rejected += 1;
    }

    pub(crate) fn unavailable(&mut self) {
        self.stats.faults.unavailable += 1;
    }

    pub(crate) fn throttle_500(&mut self) {
        self.stats.faults.throttle_500 += 1;
    }

    /// What the windows of requests and of tokens allow.
    pub(crate) fn room(&mut self, now: Duration) -> (Room, Room) {
        (self.requests.room(now), self.tokens.room(now))
    }

    /// Lets a call in and charges it, or refuses it and charges nothing.
    pub(crate) fn admit(
        &mut self,
        config: &Config,
        now: Duration,
        cost: Cost,
    ) -> Result<Admitted, Refused> {
        let charge = match config.charge {
            Charge::Start => cost.prompt + cost.output,
            Charge::End => cost.prompt,
            Charge::Estimate => cost.prompt + cost.ceiling,
        };
        if let Some(problem) = self.refusal(now, charge) {
            let wait = self.wait(now, charge);
            return Err(Refused { problem, wait });
        }
        self.requests.add(now, 1);
        if let Some(growth) = &mut self.growth {
            growth.add(now);
        }
        let mark = self.tokens.add(now, charge);
        self.stats.accepted += 1;
        self.stats.in_flight += 1;
        self.windows.request(now);
        match config.charge {
            Charge::Start | Charge::End => self.windows.tokens(now, charge),
            Charge::Estimate => {}
        }
        Ok(Admitted {
            at: now,
            prompt: cost.prompt,
            mark,
        })
    }

    /// A call is over, having delivered `output` tokens.
    pub(crate) fn settle(
        &mut self,
        config: &Config,
        now: Duration,
        call: &Admitted,
        output: u64,
        end: End,
    ) {
        let used = call.prompt + output;
        match config.charge {
            Charge::Start => {}
            Charge::End => {
                self.tokens.add(now, output);
                self.windows.tokens(now, output);
            }
            Charge::Estimate => {
                self.tokens.correct(now, &call.mark, used);
                self.windows.tokens(call.at, used);
            }
        }
        let stats = &mut self.stats;
        stats.in_flight -= 1;
        match end {
            End::Completed => stats.completed += 1,
            End::CompletedWithoutUsage => {
                stats.completed += 1;
                stats.faults.no_usage += 1;
            }
            End::Aborted => stats.aborted += 1,
            End::Reset => stats.faults.reset += 1,
            End::StreamError => stats.faults.stream_error += 1,
        }
        match end {
            End::Completed | End::CompletedWithoutUsage => stats.tokens.add(call.prompt, output),
            _ => stats.unfinished.add(call.prompt, output),
        }
    }

    pub(crate) fn stats(&self, config: &Config) -> Stats {
        let mut stats = self.stats.clone();
        stats.utilisation = self.windows.utilisation(config.rpm, config.tpm);
        stats.utilisation.highest_window.requests = self.requests.highest_share();
        stats.utilisation.highest_window.tokens = self.tokens.highest_share();
        stats
    }

    /// Starts the statistics anew. The quotas stay, and so do the calls in flight.
    pub(crate) fn reset(&mut self, now: Duration) {
        let in_flight = self.stats.in_flight;
        self.stats = Stats {
            seen: in_flight,
            accepted: in_flight,
            in_flight,
            ..Stats::default()
        };
        self.windows.clear();
        self.requests.forget_highest(now);
        self.tokens.forget_highest(now);
    }

    fn refusal(&mut self, now: Duration, charge: u64) -> Option<Problem> {
        let throttled = &mut self.stats.throttled;
        if let Some(scope) = self.requests.refusal(now, 1) {
            match scope {
                Scope::Window => throttled.requests += 1,
                Scope::Slice => throttled.per_second_requests += 1,
            }
            return Some(Problem::Requests);
        }
        if let Some(scope) = self.tokens.refusal(now, charge) {
            match scope {
                Scope::Window => throttled.tokens += 1,
                Scope::Slice => throttled.per_second_tokens += 1,
            }
            return Some(Problem::Tokens);
        }
        if self.growth.as_mut()?.fits(now) {
            return None;
        }
        throttled.growth += 1;
        Some(Problem::Growth)
    }

    /// How long until a call fits everywhere. `None`: never.
    fn wait(&mut self, now: Duration, charge: u64) -> Option<Duration> {
        let requests = self.requests.wait(now, 1)?;
        let tokens = self.tokens.wait(now, charge)?;
        let growth = self.growth.as_mut().map(|growth| growth.wait(now));
        Some(requests.max(tokens).max(growth.unwrap_or_default()))
    }
}
