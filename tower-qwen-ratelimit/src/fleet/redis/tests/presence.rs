use std::time::Duration;

use super::{super::presence::*, Script, server::Server};

const NOW: u64 = 1_700_000_000_000_000;

#[test]
fn who_lives_is_counted_until_it_leaves_or_is_dead() {
    let Some(server) = Server::start() else {
        return;
    };
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    let mut report = |now: u64, member: &str, term: u64| -> u64 {
        redis::Script::new(Script::Presence.source())
            .key("processes")
            .arg(NOW + now)
            .arg(member)
            .arg(term)
            .invoke(&mut connection)
            .unwrap()
    };
    assert_eq!(report(0, "one", 100), 1);
    assert_eq!(report(10, "other", 100), 2);
    assert_eq!(report(20, "other", 100), 2, "it is counted once");
    assert_eq!(report(99, "third", 100), 3);
    assert_eq!(report(100, "third", 100), 2, "one is dead");
    assert_eq!(report(110, "other", 0), 1, "other has left");
    assert_eq!(report(110, "other", 0), 1);
    // The clock is set back: rather too many than too few.
    assert_eq!(report(50, "one", 100), 2);
    let (left,): (i64,) = redis::pipe()
        .pttl("processes")
        .query(&mut connection)
        .unwrap();
    assert!((1..=1_001).contains(&left), "{left}");
}

#[test]
fn it_goes_along_with_others_or_by_itself() {
    let begin = tower_qwen_tokens::internal::clock::now();
    let at = |millis: u64| begin + Duration::from_millis(millis);
    let mut presence = Presence::new(begin);
    assert!(presence.is_due(begin, Goes::Alone), "at once");
    assert!(!presence.is_due(at(249), Goes::Alone));
    assert!(presence.is_due(at(250), Goes::Alone));
    assert!(!presence.is_due(at(499), Goes::WithOthers));
    assert!(
        presence.is_due(at(500), Goes::WithOthers),
        "half of it has passed"
    );
    let mut reported = Vec::new();
    for millis in (500..60_000).step_by(250) {
        if presence.is_due(at(millis), Goes::Alone) {
            reported.push(millis);
        }
    }
    assert_eq!(
        reported,
        [
            1_500, 3_500, 7_500, 15_500, 23_500, 31_500, 39_500, 47_500, 55_500
        ]
    );
}

#[test]
fn an_empty_server_is_not_believed_for_a_term() {
    let begin = tower_qwen_tokens::internal::clock::now();
    let presence = Presence::new(begin);
    assert_eq!(presence.count(4, 1, begin), 4);
    assert_eq!(presence.count(4, 5, begin), 5);
    assert_eq!(presence.count(4, 1, begin + TERM), 1);
}
