//! The scripts against a model in memory.

use proptest::{prelude::*, test_runner::TestRunner};

use super::{BEGIN, DAY, Scripts, WINDOW, server::Server};
use crate::{
    gate::{Bucket, NEVER, Slot, Window},
    quota::{Pacing, Quota},
    store::redis::script::Script,
};

/// The laws of the scripts, in memory: the crate's own gates, in microseconds, at the instant of the latest booking.
struct Model {
    quota: Quota,
    requests: (Bucket, Window),
    tokens: (Bucket, Window),
    at_end: Window,
    at: u64,
    closed_until: u64,
    day: (u64, u64),
    charged: u64,
    given_back: u64,
    /// By how much the server's clock has been set back.
    set_back: u64,
}

#[derive(Debug, Clone, Copy)]
struct Booked {
    at: u64,
    slot: Slot,
    input: u64,
    output: u64,
    day: u64,
}

impl Model {
    fn new(quota: Quota) -> Self {
        let gate = |amount| {
            let usable = quota.usable(amount);
            let burst = quota.burst_of(usable);
            (
                Bucket::empty(usable, WINDOW, burst, BEGIN),
                Window::new(WINDOW),
            )
        };
        Self {
            quota,
            requests: gate(quota.requests()),
            tokens: gate(quota.tokens()),
            at_end: Window::new(WINDOW),
            at: BEGIN,
            closed_until: 0,
            day: (BEGIN / DAY, 0),
            charged: 0,
            given_back: 0,
            set_back: 0,
        }
    }

    fn advance(&mut self, now: u64) {
        self.at = self.at.max(now);
        for (bucket, window) in [&mut self.requests, &mut self.tokens] {
            bucket.advance(self.at);
            window.advance(self.at);
        }
        self.at_end.advance(self.at);
    }

    /// What the server's clock says.
    fn wall(&self, now: u64) -> u64 {
        now - self.set_back
    }

    fn today(&mut self, now: u64) {
        let today = self.wall(now) / DAY;
        if today != self.day.0 {
            self.day = (today, 0);
        }
    }

    fn reserve(
        &mut self,
        now: u64,
        input: u64,
        output: u64,
        longest: Option<u64>,
    ) -> Result<Booked, [i64; 2]> {
        self.advance(now);
        self.today(now);
        let total = input + output;
        let ready = |(bucket, window): &(Bucket, Window), amount: u64, quota: u64| {
            let bucket = if self.quota.is_smooth() {
                bucket.ready_at(amount)
            } else {
                0
            };
            bucket.max(window.ready_at(self.at, amount, quota.max(amount)))
        };
        let requests = self.quota.usable(self.quota.requests());
        let tokens = self.quota.usable(self.quota.tokens());
        let mut at = ready(&self.requests, 1, requests)
            .max(ready(&self.tokens, total, tokens))
            .max(self.at_end.ready_at(self.at, input, tokens.max(input)))
            .max(self.closed_until);
        let limit = self.quota.most_of_a_day();
        let day_ends = (self.day.0 + 1) * DAY + self.set_back;
        if self.day.1 + total > limit {
            if total > limit {
                return Err([0, -1]);
            }
            at = at.max(day_ends);
        }
        assert_ne!(at, NEVER);
        if longest.is_some_and(|longest| at - now > longest) {
            return Err([0, (at - now) as i64]);
        }
        if limit < u64::MAX && at >= day_ends {
            return Err([2, (day_ends - now).min(WINDOW) as i64]);
        }
        self.advance(at);
        self.requests.0.take(1);
        self.tokens.0.take(total);
        let slot = self.requests.1.charge(1);
        self.tokens.1.charge(total);
        self.at_end.charge(input);
        self.day.1 += total;
        self.charged += total;
        Ok(Booked {
            at,
            slot,
            input,
            output,
            day: self.day.0,
        })
    }

    fn settle(
        &mut self,
        now: u64,
        booked: Booked,
        ended_ago: u64,
        input: u64,
        output: u64,
        counts: u64,
    ) {
        self.advance(now);
        self.today(now);
        let (charged, total) = (booked.input + booked.output, input + output);
        if counts == 0 {
            self.requests.0.give(1);
        }
        match charged.checked_sub(total) {
            Some(refund) => self.tokens.0.give(refund),
            None => self.tokens.0.take(total - charged),
        }
        self.requests.1.correct(booked.slot, 1, counts);
        self.correct(now - ended_ago, booked, charged, total, input, output);
    }

    fn correct(
        &mut self,
        ended_at: u64,
        booked: Booked,
        charged: u64,
        total: u64,
        input: u64,
        output: u64,
    ) {
        self.tokens.1.correct(booked.slot, charged, total);
        self.at_end.correct(
            booked.slot,
            if charged == 0 { 0 } else { booked.input },
            input,
        );
        self.at_end.add(slot_at(ended_at), output);
        if booked.day == self.day.0 {
            self.day.1 = (self.day.1 + total).saturating_sub(charged);
        }
        self.charged += total.saturating_sub(charged);
        self.given_back += charged.saturating_sub(total);
    }

    /// A booked call goes out at `now` and not earlier; says whether that is another slot.
    fn send(&mut self, now: u64, booked: &mut Booked) -> bool {
        self.advance(now);
        self.today(now);
        let slot = slot_at(now);
        if booked.slot >= slot {
            return false;
        }
        let total = booked.input + booked.output;
        for (window, amount) in [
            (&mut self.requests.1, 1),
            (&mut self.tokens.1, total),
            (&mut self.at_end, booked.input),
        ] {
            window.refund(booked.slot, amount);
            window.add(slot, amount);
        }
        (booked.at, booked.slot) = (now, slot);
        if booked.day != self.day.0 {
            booked.day = self.day.0;
            self.day.1 += total;
        }
        true
    }

    /// A call that this account never saw went out some time ago.
    fn settle_unknown(&mut self, now: u64, age: u64, input: u64, output: u64, counts: u64) {
        self.advance(now);
        self.today(now);
        let at = now.saturating_sub(age);
        let slot = slot_at(at);
        self.requests.1.add(slot, counts);
        let booked = Booked {
            at,
            slot,
            input: 0,
            output: 0,
            day: (self.wall(now) - age) / DAY,
        };
        self.correct(now - age / 2, booked, 0, input + output, input, output);
    }

    fn snapshot(&mut self, now: u64) -> Vec<i64> {
        self.advance(now);
        self.today(now);
        let level = |bucket: &Bucket| {
            if self.quota.is_smooth() {
                bucket.level()
            } else {
                0
            }
        };
        let signed = |amount: u64| i64::try_from(amount).unwrap();
        vec![
            signed(self.requests.1.sum()),
            signed(self.tokens.1.sum()),
            signed(self.at_end.sum()),
            level(&self.requests.0),
            level(&self.tokens.0),
            signed(self.closed_until.saturating_sub(now)),
            signed(self.at - now),
            signed(self.charged),
            signed(self.given_back),
            signed(self.day.1),
            1,
        ]
    }
}

fn slot_at(at: u64) -> Slot {
    at / WINDOW.div_ceil(127) + 128
}

#[derive(Debug, Clone)]
enum Step {
    Pass(u64),
    Reserve {
        input: u64,
        output: u64,
        longest: Option<u64>,
    },
    Settle {
        which: usize,
        input: u64,
        output: u64,
        ended_ago: u64,
        counts: bool,
    },
    Send(usize),
    /// What was told before is told again.
    Repeat {
        which: usize,
        kind: Kind,
    },
    /// The give-back of a reservation overtakes it.
    Overtaken {
        input: u64,
    },
    /// A call that went out while the server was away.
    Unknown {
        age: u64,
        input: u64,
        output: u64,
    },
    Close(u64),
    /// The process dies with all that it has booked.
    Die,
    /// The server's clock is set back; it stands still in the account until it has caught up.
    ClockBack(u64),
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Reserve,
    ReserveOfEnded,
    SettleOfEnded,
    SendOfEnded,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let amount = || 0..3_000u64;
    let longest = prop::option::of(0..2 * WINDOW);
    let ended = prop_oneof![Just(0), 0..3 * WINDOW];
    let kind = prop::sample::select(vec![
        Kind::Reserve,
        Kind::ReserveOfEnded,
        Kind::SettleOfEnded,
        Kind::SendOfEnded,
    ]);
    prop::collection::vec(
        prop_oneof![
            4 => (0..WINDOW / 6).prop_map(Step::Pass),
            1 => (WINDOW..DAY).prop_map(Step::Pass),
            8 => (amount(), amount(), longest)
                .prop_map(|(input, output, longest)| Step::Reserve { input, output, longest }),
            6 => (any::<usize>(), amount(), amount(), ended, any::<bool>())
                .prop_map(|(which, input, output, ended_ago, counts)| Step::Settle { which, input, output, ended_ago, counts }),
            2 => any::<usize>().prop_map(Step::Send),
            4 => (any::<usize>(), kind).prop_map(|(which, kind)| Step::Repeat { which, kind }),
            1 => amount().prop_map(|input| Step::Overtaken { input }),
            1 => (0..2 * WINDOW, amount(), amount()).prop_map(|(age, input, output)| Step::Unknown { age, input, output }),
            1 => (0..WINDOW).prop_map(Step::Close),
            1 => Just(Step::Die),
            1 => (1..WINDOW).prop_map(Step::ClockBack),
        ],
        1..60,
    )
}

fn quotas() -> impl Strategy<Value = Quota> {
    (1..200u64, 5_000..100_000u64, any::<bool>(), any::<bool>()).prop_map(
        |(requests, tokens, smooth, daily)| {
            let quota = Quota::per_minute(requests, tokens);
            let quota = if daily {
                quota.tokens_per_day(tokens)
            } else {
                quota
            };
            quota.pacing(if smooth {
                Pacing::Smooth
            } else {
                Pacing::Window
            })
        },
    )
}

#[test]
fn the_scripts_do_what_the_gates_in_memory_do() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut runner = TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(100)
    });
    runner
        .run(&(quotas(), steps()), |(quota, steps)| {
            let mut scripts = Scripts::new(&server, quota);
            let mut model = Model::new(quota);
            let (mut now, mut next) = (BEGIN, 0);
            scripts.make(0);
            let mut outstanding: Vec<(u64, Booked)> = Vec::new();
            let mut ended = Vec::new();
            prop_assert_eq!(scripts.snapshot(0), model.snapshot(BEGIN));
            for step in steps {
                let set_back = model.set_back;
                let wall = |now: u64| now - BEGIN - set_back;
                match step {
                    Step::Pass(micros) => now += micros,
                    Step::Reserve {
                        input,
                        output,
                        longest,
                    } => {
                        next += 1;
                        let reply = scripts.reserve(wall(now), next, input, output, longest);
                        match model.reserve(now, input, output, longest) {
                            Ok(booked) => {
                                let wait = (booked.at - now) as i64;
                                prop_assert_eq!(&reply, &[1, wait]);
                                outstanding.push((next, booked));
                            }
                            Err(expected) => prop_assert_eq!(reply, expected),
                        }
                    }
                    Step::Settle {
                        which,
                        input,
                        output,
                        ended_ago,
                        counts,
                    } if !outstanding.is_empty() => {
                        let (id, booked) = outstanding.swap_remove(which % outstanding.len());
                        let counts = u64::from(counts);
                        prop_assert_eq!(
                            scripts.settle(wall(now), id, (0, ended_ago), input, output, counts),
                            1
                        );
                        model.settle(now, booked, ended_ago, input, output, counts);
                        ended.push(id);
                    }
                    Step::Send(which) if !outstanding.is_empty() => {
                        let which = which % outstanding.len();
                        let (id, booked) = &mut outstanding[which];
                        let is_late = model.send(now, booked);
                        prop_assert_eq!(scripts.send(wall(now), *id), i64::from(is_late));
                    }
                    Step::Repeat {
                        which,
                        kind: Kind::Reserve,
                    } if !outstanding.is_empty() => {
                        let (id, booked) = outstanding[which % outstanding.len()];
                        let wait = booked.at.saturating_sub(now) as i64;
                        prop_assert_eq!(scripts.reserve(wall(now), id, 1, 1, None), [1, wait]);
                    }
                    Step::Repeat { which, kind } if !ended.is_empty() => {
                        let id = ended[which % ended.len()];
                        match kind {
                            Kind::Reserve => {}
                            Kind::ReserveOfEnded => {
                                prop_assert_eq!(
                                    scripts.reserve(wall(now), id, 1, 1, None),
                                    [-1, 0]
                                );
                            }
                            Kind::SettleOfEnded => {
                                prop_assert_eq!(scripts.settle(wall(now), id, (0, 0), 9, 9, 1), 0);
                            }
                            Kind::SendOfEnded => {
                                prop_assert_eq!(scripts.send(wall(now), id), 0);
                            }
                        }
                    }
                    Step::Send(_) | Step::Repeat { .. } => {}
                    Step::Settle { .. } => {}
                    Step::Overtaken { input } => {
                        next += 1;
                        prop_assert_eq!(scripts.settle(wall(now), next, (0, 0), 0, 0, 0), 1);
                        prop_assert_eq!(
                            scripts.reserve(wall(now), next, input, input, None),
                            [-1, 0]
                        );
                        model.settle_unknown(now, 0, 0, 0, 0);
                    }
                    Step::Unknown { age, input, output } => {
                        next += 1;
                        prop_assert_eq!(
                            scripts.settle(wall(now), next, (age, age / 2), input, output, 1),
                            1
                        );
                        model.settle_unknown(now, age, input, output, 1);
                    }
                    Step::Close(micros) => {
                        let micros = micros.to_string();
                        let members = scripts.names.members.clone();
                        scripts.run(
                            Script::Pause,
                            wall(now),
                            &members,
                            &[&micros, "me", "65536", "65536"],
                        );
                        model.closed_until =
                            model.closed_until.max(now + micros.parse::<u64>().unwrap());
                    }
                    Step::Die => outstanding.clear(),
                    Step::ClockBack(micros)
                        if quota.most_of_a_day() == u64::MAX && wall(now) > micros =>
                    {
                        scripts.make(wall(now));
                        model.set_back += micros;
                        scripts.make(wall(now) - micros);
                    }
                    Step::ClockBack(_) => {}
                }
                for (kept, slots) in scripts.sums() {
                    prop_assert_eq!(kept, slots);
                }
                prop_assert_eq!(
                    scripts.snapshot(now - BEGIN - model.set_back),
                    model.snapshot(now)
                );
            }
            Ok(())
        })
        .unwrap();
}
