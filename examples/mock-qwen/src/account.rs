//! The one account: its quotas and what it has seen.

mod call;

use std::time::{Duration, SystemTime};

pub(crate) use self::call::{Admitted, Cost, End, Figures, Refused};
use crate::config::{Charge, Config};
use crate::fault::Fault;
use crate::quota::{Dimension, GrowthGate, PlanGate, Room, Scope};
use crate::stats::Stats;
use crate::utilisation::Windows;
use crate::wire::Kind;

#[derive(Debug)]
pub(crate) struct Account {
    requests: Dimension,
    tokens: Dimension,
    growth: Option<GrowthGate>,
    plan: Option<PlanGate>,
    stats: Stats,
    windows: Windows,
    faults: fastrand::Rng,
    ids: fastrand::Rng,
}

impl Account {
    /// `wall` is the wall time of the server's start.
    pub(crate) fn new(config: &Config, wall: SystemTime) -> Self {
        Self {
            requests: Dimension::new(config, config.rpm),
            tokens: Dimension::new(config, config.tpm),
            growth: config.growth.map(GrowthGate::new),
            plan: config.plan.map(|plan| PlanGate::new(plan, wall)),
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

    /// A call is refused by a fault.
    pub(crate) fn fail(&mut self, fault: Fault) {
        let faults = &mut self.stats.faults;
        match fault {
            Fault::Unavailable => faults.unavailable += 1,
            Fault::Throttle500 => faults.throttle_500 += 1,
            Fault::Error200 => faults.error_200 += 1,
            Fault::BareJson => faults.bare_json += 1,
            _ => {}
        }
    }

    /// A refused call is told so.
    pub(crate) fn throttle(&mut self, refused: &Refused) {
        let throttled = &mut self.stats.throttled;
        *match (refused.problem.kind, refused.scope) {
            (Kind::Plan { .. }, _) => &mut throttled.plan,
            (Kind::Concurrency, _) => &mut throttled.concurrency,
            (Kind::Growth, _) => &mut throttled.growth,
            (Kind::Requests, Scope::Window) => &mut throttled.requests,
            (Kind::Requests, Scope::Slice) => &mut throttled.per_second_requests,
            (_, Scope::Window) => &mut throttled.tokens,
            (_, Scope::Slice) => &mut throttled.per_second_tokens,
        } += 1;
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
        if let Some(refused) = self.over_plan(now, charge) {
            return Err(refused);
        }
        if let Some((kind, scope, figures)) = self.refusal(config, now, charge) {
            return Err(Refused {
                problem: kind.into(),
                wait: self.wait(now, charge),
                figures,
                scope,
            });
        }
        if let Some(plan) = &mut self.plan {
            plan.add(now, 1, cost.prompt);
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
        if let Some(plan) = &mut self.plan {
            plan.add(now, 0, output);
        }
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
            End::Cut => stats.faults.cut += 1,
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

    /// The refusal of a plan that is used up, but for those calls that it lets in all the same.
    fn over_plan(&mut self, now: Duration, asked: u64) -> Option<Refused> {
        let gate = self.plan.as_mut()?;
        let wait = gate.refusal(now)?;
        let (plan, used) = (*gate.plan(), gate.used());
        if plan.flap > 0.0 && self.faults.f64() < plan.flap {
            return None;
        }
        let kind = Kind::Plan {
            window: plan.window,
            stated: plan.states_reset,
        };
        Some(Refused {
            problem: kind.into(),
            wait: Some(wait),
            figures: match plan.tokens {
                Some(limit) => Figures {
                    limit,
                    used: used.1,
                    asked,
                },
                None => Figures {
                    limit: plan.requests.unwrap_or_default(),
                    used: used.0,
                    asked: 1,
                },
            },
            scope: Scope::Window,
        })
    }

    fn refusal(
        &mut self,
        config: &Config,
        now: Duration,
        charge: u64,
    ) -> Option<(Kind, Scope, Figures)> {
        let used = self.stats.in_flight;
        if let Some(limit) = config.concurrency.filter(|&limit| used >= limit) {
            let asked = 1;
            let figures = Figures { limit, used, asked };
            return Some((Kind::Concurrency, Scope::Window, figures));
        }
        if let Some(scope) = self.requests.refusal(now, 1) {
            let figures = Figures::of(self.requests.room(now), 1);
            return Some((Kind::Requests, scope, figures));
        }
        if let Some(scope) = self.tokens.refusal(now, charge) {
            let figures = Figures::of(self.tokens.room(now), charge);
            return Some((Kind::Tokens, scope, figures));
        }
        let fits = self.growth.as_mut()?.fits(now);
        (!fits).then_some((Kind::Growth, Scope::Window, Figures::default()))
    }

    /// How long until a call fits everywhere. `None`: never.
    fn wait(&mut self, now: Duration, charge: u64) -> Option<Duration> {
        let requests = self.requests.wait(now, 1)?;
        let tokens = self.tokens.wait(now, charge)?;
        let growth = self.growth.as_mut().map(|growth| growth.wait(now));
        Some(requests.max(tokens).max(growth.unwrap_or_default()))
    }
}
