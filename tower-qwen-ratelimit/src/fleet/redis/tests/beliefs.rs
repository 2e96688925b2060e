//! What members have learned of the provider's limits: one belief for the account.

use super::{BEGIN, Scripts, server::Server};
use crate::{fleet::redis::script::Script, quota::Quota};

const WHOLE: i64 = 1 << 32;
const TERM: &str = "3000000";
const SECOND: u64 = 1_000_000;

/// Since when, steps, share.
type Belief = [i64; 3];

impl Scripts {
    /// A member says what it believes of requests, and how much it has used. Returns what it learns: the
    /// belief, what the others have used, and whether requests are used as fast as they flow in.
    fn believes(&mut self, now: u64, name: &str, belief: Belief, used: u64) -> (Belief, i64, bool) {
        let belief = belief.map(|number| number.to_string());
        let [since, steps, share] = belief.each_ref().map(String::as_str);
        let used = used.to_string();
        let whole = WHOLE.to_string();
        let arguments = [
            name, TERM, "0", "1", since, steps, share, "0", "0", &whole, "-1", "0", "0", "0",
            &used, "0", "2",
        ];
        let members = self.names.members.clone();
        let reply = self.run(Script::Beat, now, &members, &arguments);
        assert_eq!(reply[10..13], [0, 0, WHOLE], "of tokens nothing is known");
        ([reply[7], reply[8], reply[9]], reply[13], reply[15] == 1)
    }
}

const NOTHING: Belief = [0, 0, WHOLE];

#[test]
fn the_newest_limit_wins_and_not_the_lowest() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut scripts = Scripts::new(&server, Quota::per_minute(60, 60_000));
    let at = |now: u64| i64::try_from(BEGIN + now).unwrap();
    let (low, high) = (WHOLE / 4, WHOLE / 2);
    scripts.pause(5 * SECOND, SECOND, (SECOND, low as u64), (0, WHOLE as u64));
    let known = [at(4 * SECOND), 0, low];
    assert_eq!(scripts.believes(6 * SECOND, "joiner", NOTHING, 0).0, known);
    // Met earlier, and reported later.
    let old = [-3 * SECOND as i64, 7, high];
    assert_eq!(scripts.believes(6 * SECOND, "late", old, 0).0, known);
    let new = [-1, 0, high];
    let newest = [at(6 * SECOND) - 1, 0, high];
    assert_eq!(scripts.believes(6 * SECOND, "late", new, 0).0, newest);
    // One that has not heard yet changes nothing, however far it has grown.
    let grown = [known[0], 500, WHOLE];
    assert_eq!(scripts.believes(7 * SECOND, "joiner", grown, 0).0, newest);
    // After the same refusal it is the one that has grown further; also beyond what was told.
    let further = [newest[0], 9, 3 * WHOLE];
    assert_eq!(scripts.believes(8 * SECOND, "late", further, 0).0, further);
    assert_eq!(scripts.believes(8 * SECOND, "joiner", newest, 0).0, further);
    assert_eq!(scripts.snapshot(8 * SECOND)[5], 0, "open again");
}

#[test]
fn a_limit_that_lies_ahead_of_the_servers_clock_does_not_win_for_ever() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut scripts = Scripts::new(&server, Quota::per_minute(60, 60_000));
    let ahead = [i64::try_from(BEGIN + 900 * SECOND).unwrap(), 3, WHOLE / 8];
    let (known, ..) = scripts.believes(SECOND, "of another server", ahead, 0);
    assert_eq!(known[2], WHOLE / 8);
    let (known, ..) = scripts.believes(2 * SECOND, "here", [-1, 0, WHOLE / 2], 0);
    assert_eq!(known[2], WHOLE / 2);
}

#[test]
fn what_is_believed_is_booked_by() {
    let Some(server) = Server::start() else {
        return;
    };
    for (share, expected) in [(WHOLE / 2, 60), (WHOLE, 120), (2 * WHOLE, 240)] {
        let mut scripts = Scripts::new(&server, Quota::at_least(120, 120_000).headroom(0));
        scripts.believes(0, "me", [-1, 0, share], 0);
        let mut booked = 0;
        while scripts.reserve(0, booked + 1, 10, 0, Some(60 * SECOND))[0] == 1 {
            booked += 1;
        }
        // A burst at the beginning, and what flows in.
        assert!(
            (expected..=expected + 5).contains(&booked),
            "{share} {booked}"
        );
    }
}

#[test]
fn each_learns_what_the_others_use_and_whether_it_is_all() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut scripts = Scripts::new(&server, Quota::per_minute(60, 60_000));
    assert_eq!(
        scripts.believes(0, "one", NOTHING, 5),
        (NOTHING, 0, true),
        "one burst"
    );
    assert_eq!(scripts.believes(0, "other", NOTHING, 7).1, 5);
    assert_eq!(scripts.believes(0, "third", NOTHING, 1).1, 12);
    assert_eq!(scripts.believes(SECOND, "one", NOTHING, 2).1, 8);
    let (_, others, is_used) = scripts.believes(50 * SECOND, "one", NOTHING, 2);
    assert_eq!(
        (others, is_used),
        (0, false),
        "the others are dead, and all is saved"
    );
    for id in 0..100 {
        scripts.reserve(50 * SECOND, id, 1, 0, None);
    }
    assert!(scripts.believes(50 * SECOND, "one", NOTHING, 2).2);
}
