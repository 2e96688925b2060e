//! What members hold: never more than the whole, whoever dies and whatever is lost.

use std::cell::RefCell;

use proptest::{prelude::*, test_runner::TestRunner};

use super::{Scripts, server::Server};
use crate::{feedback::FULL, quota::Quota, store::redis::script::Script};

const TERM: u64 = 3_000_000;
const SLOTS: u64 = 7;

/// A member as it sees itself.
#[derive(Debug, Clone, Copy, Default)]
struct Member {
    part: u64,
    slots: u64,
    until: u64,
}

#[derive(Debug, Clone, Copy)]
struct Wants {
    part: u64,
    slots: u64,
}

#[derive(Debug, Clone)]
enum Step {
    Pass(u64),
    Beat {
        who: usize,
        wants: Wants,
        reply_is_lost: bool,
    },
    /// The member forgets everything; another of its name never comes.
    Die(usize),
}

struct Fleet<'a> {
    scripts: &'a mut Scripts,
    now: u64,
    members: Vec<Member>,
    names: Vec<String>,
    born: usize,
}

impl<'a> Fleet<'a> {
    fn new(scripts: &'a mut Scripts, size: usize) -> Self {
        scripts.flush();
        Self {
            scripts,
            now: 0,
            members: vec![Member::default(); size],
            names: (0..size).map(|name| name.to_string()).collect(),
            born: size,
        }
    }

    fn live(&self, who: usize) -> Member {
        let member = self.members[who];
        if self.now < member.until {
            member
        } else {
            Member::default()
        }
    }

    fn beat(&mut self, who: usize, wants: Wants, reply_is_lost: bool) -> Vec<i64> {
        let member = self.live(who);
        let arguments = [
            self.names[who].clone(),
            TERM.to_string(),
            member.part.to_string(),
            wants.part.to_string(),
            FULL.to_string(),
            FULL.to_string(),
            SLOTS.to_string(),
            member.slots.to_string(),
            wants.slots.to_string(),
        ];
        let key = self.scripts.names.members.clone();
        let reply = self.scripts.run(
            Script::Beat,
            self.now,
            &key,
            &arguments.each_ref().map(String::as_str),
        );
        if !reply_is_lost {
            self.members[who] = Member {
                part: u64::try_from(reply[2]).unwrap(),
                slots: u64::try_from(reply[6]).unwrap(),
                until: self.now + TERM,
            };
        }
        reply
    }

    fn die(&mut self, who: usize) {
        // Its part stays its own until it expires: nobody else may have it.
        self.members.push(self.members[who]);
        self.names.push(String::new());
        self.members[who] = Member::default();
        self.born += 1;
        self.names[who] = self.born.to_string();
    }

    fn held(&self) -> (u64, u64) {
        (0..self.members.len())
            .map(|who| self.live(who))
            .fold((0, 0), |(parts, slots), member| {
                (parts + member.part, slots + member.slots)
            })
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let wants = (0..=u64::from(FULL), 0..10u64).prop_map(|(part, slots)| Wants { part, slots });
    prop::collection::vec(
        prop_oneof![
            3 => (0..TERM).prop_map(Step::Pass),
            8 => (0..5usize, wants, prop::bool::weighted(0.2))
                .prop_map(|(who, wants, reply_is_lost)| Step::Beat { who, wants, reply_is_lost }),
            1 => (0..5usize).prop_map(Step::Die),
        ],
        1..60,
    )
}

#[test]
fn the_parts_of_all_never_exceed_the_whole() {
    let Some(server) = Server::start() else {
        return;
    };
    let scripts = RefCell::new(Scripts::new(&server, Quota::per_minute(60, 60_000)));
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(100)
    };
    TestRunner::new(config)
        .run(&steps(), |steps| {
            let mut scripts = scripts.borrow_mut();
            let mut fleet = Fleet::new(&mut scripts, 5);
            for step in steps {
                match step {
                    Step::Pass(micros) => fleet.now += micros,
                    Step::Beat {
                        who,
                        wants,
                        reply_is_lost,
                    } => {
                        fleet.beat(who, wants, reply_is_lost);
                    }
                    Step::Die(who) => fleet.die(who),
                }
                let (parts, slots) = fleet.held();
                prop_assert!(parts <= u64::from(FULL), "{parts}");
                prop_assert!(slots <= SLOTS, "{slots}");
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn wants_are_met_evenly() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut scripts = Scripts::new(&server, Quota::per_minute(60, 60_000));
    let full = u64::from(FULL);
    for (wants, expected) in [
        (vec![full, full], vec![full / 2, full / 2]),
        (
            vec![full / 8, full, full],
            vec![full / 8, full * 7 / 16, full * 7 / 16],
        ),
        (vec![full / 8, full / 4, 0], vec![full / 8, full / 4, 0]),
        (vec![full; 4], vec![full / 4; 4]),
    ] {
        let mut fleet = Fleet::new(&mut scripts, wants.len());
        // The first has everything when the others come.
        for _ in 0..4 {
            for (who, want) in wants.iter().enumerate() {
                let wants = Wants {
                    part: *want,
                    slots: 0,
                };
                fleet.beat(who, wants, false);
                fleet.now += TERM / 30;
            }
        }
        let parts: Vec<u64> = fleet.members.iter().map(|member| member.part).collect();
        for (part, expected) in parts.iter().zip(&expected) {
            assert!(part.abs_diff(*expected) <= 1, "{parts:?} {expected:?}");
        }
    }
}

#[test]
fn slots_that_cannot_be_divided_go_round() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut scripts = Scripts::new(&server, Quota::per_minute(60, 60_000));
    // More members than slots: nobody is left out for ever.
    let mut fleet = Fleet::new(&mut scripts, 9);
    let mut had = [false; 9];
    for _ in 0..60 {
        for (who, had) in had.iter_mut().enumerate() {
            let wants = Wants { part: 0, slots: 3 };
            fleet.beat(who, wants, false);
            *had |= fleet.members[who].slots > 0;
        }
        fleet.now += TERM / 3;
        assert!(fleet.held().1 <= SLOTS);
    }
    assert_eq!(had, [true; 9]);
}

#[test]
fn who_leaves_frees_what_it_held_and_who_dies_after_its_term() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut scripts = Scripts::new(&server, Quota::per_minute(60, 60_000));
    let mut fleet = Fleet::new(&mut scripts, 2);
    let all = Wants {
        part: u64::from(FULL),
        slots: 0,
    };
    fleet.beat(0, all, false);
    assert_eq!(fleet.beat(1, all, false)[..3], [2, 2, 0]);
    let key = fleet.scripts.names.members.clone();
    fleet.scripts.run(Script::Leave, fleet.now, &key, &["0"]);
    assert_eq!(fleet.beat(1, all, false)[..3], [1, 1, i64::from(FULL)]);
    fleet.beat(0, all, false);
    assert_eq!(fleet.members[0].part, 0);
    fleet.now += TERM;
    assert_eq!(fleet.beat(0, all, false)[..3], [1, 1, i64::from(FULL)]);
}

#[test]
fn a_throttle_that_one_heard_slows_all() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut scripts = Scripts::new(&server, Quota::per_minute(60, 60_000));
    let mut fleet = Fleet::new(&mut scripts, 2);
    let some = Wants {
        part: 100,
        slots: 0,
    };
    fleet.beat(0, some, false);
    let key = fleet.scripts.names.members.clone();
    let arguments = ["5000", "0", "65536", "40000"];
    fleet
        .scripts
        .run(Script::Pause, fleet.now, &key, &arguments);
    fleet.now += 1_000;
    let reply = fleet.beat(1, some, false);
    assert_eq!(reply[3..6], [4_000, i64::from(FULL), 40_000]);
    fleet.beat(0, some, false);
    assert_eq!(
        fleet.beat(1, some, false)[5],
        i64::from(FULL),
        "it has recovered"
    );
}
