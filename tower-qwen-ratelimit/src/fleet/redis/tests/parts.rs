//! What members hold: never more than the whole, whoever dies and whatever is lost.

use std::cell::RefCell;

use proptest::{prelude::*, test_runner::TestRunner};

use super::{NOTHING_LEARNED, Scripts, server::Server};
use crate::{fleet::redis::script::Script, quota::Quota, units::Fraction};

const FULL: u32 = Fraction::WHOLE.parts();
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
    /// The server loses its memory.
    Flush,
}

struct Fleet<'a> {
    scripts: &'a mut Scripts,
    now: u64,
    members: Vec<Member>,
    names: Vec<String>,
    born: usize,
    /// Who held something when the server lost its memory, and has not been heard since.
    unheard: Vec<usize>,
    /// Whether one that held nothing was heard before any of them.
    is_trusting: bool,
    /// Whether one of them was heard first.
    is_wary: bool,
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
            unheard: Vec::new(),
            is_trusting: false,
            is_wary: false,
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
        let holds = member.part + member.slots > 0;
        if self.unheard.contains(&who) && holds {
            self.is_wary = true;
        }
        if !reply_is_lost {
            self.unheard.retain(|unheard| *unheard != who);
        }
        self.is_trusting |= !self.is_wary && !self.unheard.is_empty();
        let arguments = [
            self.names[who].clone(),
            TERM.to_string(),
            member.part.to_string(),
            wants.part.to_string(),
        ];
        let slots = [SLOTS, member.slots, wants.slots].map(|number| number.to_string());
        let (before, slots) = (arguments.each_ref(), slots.each_ref());
        let arguments: Vec<&str> = [
            &before.map(String::as_str)[..],
            &NOTHING_LEARNED,
            &slots.map(String::as_str),
            &["0", "0", "0", "2"],
        ]
        .concat();
        let key = self.scripts.names.members.clone();
        let reply = self.scripts.run(Script::Beat, self.now, &key, &arguments);
        if !reply_is_lost {
            self.members[who] = Member {
                part: u64::try_from(reply[2]).unwrap(),
                slots: u64::try_from(reply[4]).unwrap(),
                until: self.now + TERM,
            };
        }
        reply
    }

    fn die(&mut self, who: usize) {
        // Its part stays its own until it expires: nobody else may have it.
        for unheard in &mut self.unheard {
            if *unheard == who {
                *unheard = self.members.len();
            }
        }
        self.members.push(self.members[who]);
        self.names.push(String::new());
        self.members[who] = Member::default();
        self.born += 1;
        self.names[who] = self.born.to_string();
    }

    fn flush(&mut self) {
        self.scripts.flush();
        let holds = |who: &usize| self.live(*who).part + self.live(*who).slots > 0;
        self.unheard = (0..self.members.len()).filter(holds).collect();
        self.is_trusting = false;
        self.is_wary = false;
    }

    fn held(&self) -> (u64, u64) {
        self.held_by(0..self.members.len())
    }

    fn held_by(&self, members: impl IntoIterator<Item = usize>) -> (u64, u64) {
        let live = members.into_iter().map(|who| self.live(who));
        live.fold((0, 0), |(parts, slots), member| {
            (parts + member.part, slots + member.slots)
        })
    }

    /// The most of the quota and of the slots that all may hold.
    fn may_hold(&self) -> (u64, u64) {
        let (mut parts, mut slots) = (u64::from(FULL), SLOTS);
        if self.is_trusting {
            let unheard = self.held_by(self.unheard.iter().copied());
            (parts, slots) = (parts + unheard.0, slots + unheard.1);
        }
        (parts, slots)
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
            1 => Just(Step::Flush),
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
                    // One loss at a time: what overlaps has to be over.
                    Step::Flush if fleet.is_trusting && !fleet.unheard.is_empty() => {}
                    Step::Flush => fleet.flush(),
                }
                let ((parts, slots), most) = (fleet.held(), fleet.may_hold());
                prop_assert!(parts <= most.0, "{parts} of {most:?}");
                prop_assert!(slots <= most.1, "{slots} of {most:?}");
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn after_a_flush_each_goes_on_with_what_it_held() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut scripts = Scripts::new(&server, Quota::per_minute(60, 60_000));
    let mut fleet = Fleet::new(&mut scripts, 5);
    let full = u64::from(FULL);
    let all = Wants {
        part: full,
        slots: 0,
    };
    let round = |fleet: &mut Fleet<'_>, members: &[usize]| {
        for who in members {
            fleet.beat(*who, all, false);
            assert!(fleet.held().0 <= fleet.may_hold().0);
            fleet.now += TERM / 15;
        }
    };
    for _ in 0..4 {
        round(&mut fleet, &[0, 1, 2, 3]);
    }
    fleet.flush();
    round(&mut fleet, &[2, 1, 0, 3]);
    let parts: Vec<u64> = fleet.members.iter().map(|member| member.part).collect();
    assert_eq!(parts, [full / 4, full / 4, full / 4, full / 4, 0]);
    // One that held nothing comes second, and has to wait.
    fleet.flush();
    round(&mut fleet, &[2, 4]);
    assert_eq!(fleet.members[4].part, 0);
    for _ in 0..4 {
        round(&mut fleet, &[2, 4, 1, 0, 3]);
    }
    for who in 0..5 {
        assert!(fleet.members[who].part.abs_diff(full / 5) <= 1);
    }
    // One that held nothing comes first: nobody can know, until the others are heard, which is
    // within one heartbeat.
    fleet.now += 2 * TERM;
    round(&mut fleet, &[0]);
    fleet.flush();
    round(&mut fleet, &[1]);
    assert_eq!(fleet.held().0, 2 * full);
    round(&mut fleet, &[0]);
    assert_eq!(fleet.held().0, full);
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
fn the_largest_call_of_any_process_is_known_to_all() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut scripts = Scripts::new(&server, Quota::per_minute(60, 60_000));
    let key = scripts.names.members.clone();
    let mut largest = |name: &str, now: u64, own: u64| {
        let (term, own) = (TERM.to_string(), own.to_string());
        let beat: Vec<&str> = [
            &[name, &term, "0", "0"][..],
            &NOTHING_LEARNED,
            &["-1", "0", "0", &own, "0", "0", "2"],
        ]
        .concat();
        scripts.run(Script::Beat, now, &key, &beat)[6]
    };
    assert_eq!(largest("one", 0, 70), 70);
    assert_eq!(largest("other", 1, 0), 70);
    assert_eq!(largest("other", 2, 900_000), 900_000);
    assert_eq!(largest("one", 3, 70), 900_000);
    assert_eq!(largest("one", TERM + 3, 70), 70, "the other has gone");
}
