//! The scripts against a model in memory.

mod model;

use proptest::{prelude::*, test_runner::TestRunner};

use super::{BEGIN, DAY, Scripts, WINDOW, server::Server};
use crate::quota::{Pacing, Quota};
use model::{BookingReply, Cost, Model};

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
    /// The latest booking or an earlier one is given back.
    GiveBack {
        latest: bool,
        which: usize,
    },
    Send(usize),
    /// What was reported before is reported again.
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
    /// A throttle so long ago: how long the account is closed, and what is believed after it.
    Close {
        micros: u64,
        ago: u64,
        share: u64,
    },
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
    // Now and then far more than a bucket may owe.
    let cost = prop_oneof![8 => 0..3_000u64, 1 => 0..10_000_000u64];
    let longest = prop::option::of(0..2 * WINDOW);
    let ended = prop_oneof![Just(0), 0..3 * WINDOW];
    // In 2^-32: less than the quota, and more than it.
    let share = prop_oneof![Just(1 << 32), (1 << 28)..(4_u64 << 32)];
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
            6 => (any::<usize>(), amount(), cost, ended, any::<bool>())
                .prop_map(|(which, input, output, ended_ago, counts)| Step::Settle { which, input, output, ended_ago, counts }),
            3 => (any::<bool>(), any::<usize>()).prop_map(|(latest, which)| Step::GiveBack { latest, which }),
            2 => any::<usize>().prop_map(Step::Send),
            4 => (any::<usize>(), kind).prop_map(|(which, kind)| Step::Repeat { which, kind }),
            1 => amount().prop_map(|input| Step::Overtaken { input }),
            1 => (0..2 * WINDOW, amount(), amount()).prop_map(|(age, input, output)| Step::Unknown { age, input, output }),
            1 => (0..WINDOW, 1..WINDOW, share)
                .prop_map(|(micros, ago, share)| Step::Close { micros, ago, share }),
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
            let mut outstanding: Vec<BookingReply> = Vec::new();
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
                        match model.reserve(now, next, input, output, longest) {
                            Ok(booked) => {
                                let wait = (booked.at - now) as i64;
                                prop_assert_eq!(&reply, &[1, wait]);
                                outstanding.push(booked);
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
                        let booked = outstanding.remove(which % outstanding.len());
                        let id = booked.id;
                        let counts = u64::from(counts);
                        prop_assert_eq!(
                            scripts.settle(wall(now), id, (0, ended_ago), input, output, counts),
                            1
                        );
                        let cost = Cost {
                            ended_at: now - ended_ago,
                            input,
                            output,
                            requests: counts,
                        };
                        model.settle(now, booked, cost);
                        ended.push(id);
                    }
                    Step::GiveBack { latest, which } if !outstanding.is_empty() => {
                        let which = match latest {
                            true => outstanding.len() - 1,
                            false => which % outstanding.len(),
                        };
                        // In order, so that the last is the latest.
                        let booked = outstanding.remove(which);
                        prop_assert_eq!(scripts.settle(wall(now), booked.id, (0, 0), 0, 0, 0), 1);
                        let cost = Cost {
                            ended_at: now,
                            input: 0,
                            output: 0,
                            requests: 0,
                        };
                        model.settle(now, booked, cost);
                        ended.push(booked.id);
                    }
                    Step::Send(which) if !outstanding.is_empty() => {
                        let which = which % outstanding.len();
                        let booked = &mut outstanding[which];
                        let is_late = model.send(now, booked);
                        prop_assert_eq!(scripts.send(wall(now), booked.id), i64::from(is_late));
                    }
                    Step::Repeat {
                        which,
                        kind: Kind::Reserve,
                    } if !outstanding.is_empty() => {
                        let BookingReply { id, at, .. } = outstanding[which % outstanding.len()];
                        let wait = at.saturating_sub(now) as i64;
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
                    Step::Settle { .. }
                    | Step::GiveBack { .. }
                    | Step::Send(_)
                    | Step::Repeat { .. } => {}
                    Step::Overtaken { input } => {
                        next += 1;
                        prop_assert_eq!(scripts.settle(wall(now), next, (0, 0), 0, 0, 0), 1);
                        prop_assert_eq!(
                            scripts.reserve(wall(now), next, input, input, None),
                            [-1, 0]
                        );
                        model.settle_unknown(
                            now,
                            0,
                            Cost {
                                ended_at: now,
                                input: 0,
                                output: 0,
                                requests: 0,
                            },
                        );
                    }
                    Step::Unknown { age, input, output } => {
                        next += 1;
                        prop_assert_eq!(
                            scripts.settle(wall(now), next, (age, age / 2), input, output, 1),
                            1
                        );
                        model.settle_unknown(
                            now,
                            age,
                            Cost {
                                ended_at: now - age / 2,
                                input,
                                output,
                                requests: 1,
                            },
                        );
                    }
                    Step::Close { micros, ago, share } => {
                        scripts.pause(wall(now), micros, (ago, share), (ago, share));
                        model.close(now, now + micros);
                        model.learn(now, now - ago, share);
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
                for (left, slots) in scripts.sums() {
                    prop_assert_eq!(left, slots);
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
