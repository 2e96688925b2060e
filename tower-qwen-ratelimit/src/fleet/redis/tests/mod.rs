//! The scripts, by a clock of the tests' own.

mod beliefs;
mod gates;
mod heartbeats;
mod leases;
mod parts;
mod presence;
#[path = "../../../../tests/redis/server.rs"]
pub(super) mod server;

use std::collections::HashMap;

use redis::{Commands, Connection};

use super::{
    command::{remembered, settled},
    names::{Names, quota_arguments},
    script::Script,
};
use crate::{
    key::Key,
    quota::{Pacing, Quota},
};
use server::Server;

const WINDOW: u64 = 60_000_000;
const DAY: u64 = 86_400_000_000;
const KEEP: i64 = 600_000;
/// What a member believes that was never throttled: since when, steps and share, of requests and tokens.
const NOTHING_LEARNED: [&str; 6] = ["0", "0", "4294967296", "0", "0", "4294967296"];
/// The server's time when a test begins.
const BEGIN: u64 = 20_000 * DAY;

/// The scripts, at a server.
struct Scripts {
    connection: Connection,
    names: Names,
    quota: Quota,
}

impl Scripts {
    fn new(server: &Server, quota: Quota) -> Self {
        let client = redis::Client::open(server.url()).unwrap();
        let mut scripts = Self {
            connection: client.get_connection().unwrap(),
            names: Names::new("test", &Key::new("https://h", "m")),
            quota,
        };
        scripts.flush();
        scripts
    }

    fn flush(&mut self) {
        redis::cmd("FLUSHALL").exec(&mut self.connection).unwrap();
    }

    fn run(&mut self, script: Script, now: u64, key: &str, arguments: &[&str]) -> Vec<i64> {
        let reply: redis::Value = redis::Script::new(script.source())
            .key(&self.names.account)
            .key(key)
            .key(&self.names.formats)
            .key(&self.names.unnumbered)
            .arg(BEGIN + now)
            .arg(&quota_arguments(&self.quota))
            .arg(arguments)
            .invoke(&mut self.connection)
            .unwrap();
        match reply {
            redis::Value::Int(number) => vec![number],
            other => redis::from_redis_value(other).unwrap(),
        }
    }

    fn reserve(
        &mut self,
        now: u64,
        id: u64,
        input: u64,
        output: u64,
        longest: Option<u64>,
    ) -> Vec<i64> {
        let key = self.names.call("me", id);
        let longest = longest.map_or("-1".to_owned(), |micros| micros.to_string());
        let arguments = [
            input.to_string(),
            output.to_string(),
            longest,
            KEEP.to_string(),
        ];
        self.run(
            Script::Reserve,
            now,
            &key,
            &arguments.each_ref().map(String::as_str),
        )
    }

    /// A call that was charged and ended so long ago.
    fn settle(
        &mut self,
        now: u64,
        id: u64,
        (charged, ended): (u64, u64),
        input: u64,
        output: u64,
        counts: u64,
    ) -> i64 {
        let key = self.names.call("me", id);
        let arguments =
            [input, output, counts, charged, ended, KEEP as u64].map(|number| number.to_string());
        self.run(
            Script::Settle,
            now,
            &key,
            &arguments.each_ref().map(String::as_str),
        )[0]
    }

    fn send(&mut self, now: u64, id: u64) -> i64 {
        let key = self.names.call("me", id);
        self.run(Script::Send, now, &key, &[&KEEP.to_string()])[0]
    }

    /// A member was throttled: for how long that closes the account; and of requests and of tokens, how long
    /// ago the limit was met and the multiple of the quota that is believed, in 2^-32.
    fn pause(&mut self, now: u64, micros: u64, requests: (u64, u64), tokens: (u64, u64)) {
        let [of_requests, of_tokens] = [requests, tokens].map(|(ago, share)| {
            let ago = -i64::try_from(ago).unwrap();
            [ago.to_string(), "0".to_owned(), share.to_string()]
        });
        let micros = micros.to_string();
        let [r, t] = [&of_requests, &of_tokens].map(|belief| belief.each_ref().map(String::as_str));
        let arguments = [&[&*micros][..], &r, &t].concat();
        let members = self.names.members.clone();
        self.run(Script::Pause, now, &members, &arguments);
    }

    fn add_usage(&mut self, day: &str, mark: &str, fields: &[&str]) -> i64 {
        redis::Script::new(Script::Usage.source())
            .key(day)
            .key(mark)
            .arg(KEEP)
            .arg(KEEP / 2)
            .arg(fields)
            .invoke(&mut self.connection)
            .unwrap()
    }

    /// Makes the account, if there is none.
    fn make(&mut self, now: u64) {
        let members = self.names.members.clone();
        self.run(Script::Leave, now, &members, &["nobody"]);
    }

    fn snapshot(&mut self, now: u64) -> Vec<i64> {
        self.run(Script::Snapshot, now, "", &[])
    }

    /// The sum of each ring as it is left, and of its slots.
    fn sums(&mut self) -> [(u64, u64); 3] {
        let account = self.names.account.clone();
        let left: Vec<u64> = redis::Script::new(
            "local values = cmsgpack.unpack(redis.call('HGET', KEYS[1], 'state'))
            return { values[1], values[2], values[3] }",
        )
        .key(&account)
        .invoke(&mut self.connection)
        .unwrap();
        let fields: HashMap<String, Vec<u8>> = self.connection.hgetall(account).unwrap();
        let of_ring = |ring| {
            let slots = fields.iter().filter_map(|(field, amount)| {
                let slot = field.strip_prefix(ring)?.parse::<u8>();
                let amount = str::from_utf8(amount).ok()?.parse::<f64>().ok()?;
                slot.is_ok().then_some(amount)
            });
            slots.sum::<f64>() as u64
        };
        [
            (left[0], of_ring("r")),
            (left[1], of_ring("t")),
            (left[2], of_ring("e")),
        ]
    }
}

#[test]
fn keys_expire_once_they_say_nothing() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut scripts = Scripts::new(&server, Quota::per_minute(60, 60_000));
    scripts.reserve(0, 1, 100, 100, None);
    scripts.reserve(0, 2, 100, 100, None);
    scripts.send(WINDOW / 2, 1);
    scripts.settle(WINDOW / 2, 2, (0, 0), 1, 1, 1);
    scripts.settle(WINDOW / 2, 3, (0, 0), 1, 1, 1);
    let members = scripts.names.members.clone();
    let member = ["me", "3000000", "0", "1"];
    let beat = [
        &member[..],
        &NOTHING_LEARNED,
        &["-1", "0", "0", "0", "0", "0", "2"],
    ]
    .concat();
    scripts.run(Script::Beat, WINDOW / 2, &members, &beat);
    scripts.add_usage("today", "mark", &["calls", "1"]);

    let call = |id| scripts.names.call("me", id);
    let expected = [
        (scripts.names.account.clone(), 120_000..240_000),
        (members, 3_000..5_000),
        (scripts.names.formats.clone(), 3_000..5_000),
        (call(1), 1..KEEP),
        (call(2), 1..KEEP),
        (call(3), 1..KEEP),
        ("today".to_owned(), 1..KEEP),
        ("mark".to_owned(), 1..KEEP / 2),
    ];
    for (key, lives) in &expected {
        let ttl: i64 = scripts.connection.pttl(key).unwrap();
        let lives = lives.start..=lives.end;
        assert!(lives.contains(&ttl), "{key} {ttl}");
    }
    let all: Vec<String> = scripts.connection.keys("*").unwrap();
    assert_eq!(all.len(), expected.len(), "{all:?}");
}

#[test]
fn usage_counts_once_however_often_it_is_told() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut scripts = Scripts::new(&server, Quota::per_minute(60, 60_000));
    assert_eq!(scripts.add_usage("today", "1", &["a", "5", "b", "7"]), 1);
    assert_eq!(scripts.add_usage("today", "1", &["a", "5", "b", "7"]), 0);
    assert_eq!(scripts.add_usage("today", "2", &["a", "1"]), 1);
    // What is too large stays at the most, what is no number as it is, and the rest is added.
    let most = i64::MAX.to_string();
    let _: () = scripts.connection.hset("today", "c", "none").unwrap();
    let large = ["b", &*most, "c", "1", "a", "1"];
    assert_eq!(scripts.add_usage("today", "3", &large), 1);
    assert_eq!(scripts.add_usage("today", "3", &large), 0);
    let sums: Vec<String> = scripts.connection.hmget("today", &["a", "b", "c"]).unwrap();
    assert_eq!(sums, ["7", &most, "none"]);
}

#[test]
fn a_call_goes_out_once() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut scripts = Scripts::new(&server, Quota::per_minute(60, 60_000));
    let second = 1_000_000;
    scripts.reserve(0, 1, 100, 200, None);
    assert_eq!(scripts.send(0, 1), 0, "as it was booked");
    assert_eq!(scripts.send(30 * second, 1), 1);
    assert_eq!(scripts.send(30 * second, 1), 0, "reported again");
    assert_eq!(scripts.send(30 * second, 2), 0, "never booked");
    let snapshot = scripts.snapshot(30 * second);
    assert_eq!((&snapshot[..3], snapshot[7]), (&[1, 300, 100][..], 300));
    // It leaves a window after it went out.
    assert_eq!(scripts.snapshot(89 * second)[..3], [1, 300, 100]);
    assert_eq!(scripts.snapshot(91 * second)[..3], [0, 0, 0]);
    assert_eq!(scripts.settle(91 * second, 1, (0, 0), 100, 0, 1), 1);
    assert_eq!(scripts.send(91 * second, 1), 0, "it has ended");
    assert_eq!(scripts.snapshot(91 * second)[..3], [0, 0, 0]);
}

#[test]
fn members_that_disagree_on_the_window_are_told() {
    let Some(server) = Server::start() else {
        return;
    };
    let quota = Quota::per_minute(60, 60_000);
    let mut scripts = Scripts::new(&server, quota);
    scripts.reserve(0, 1, 1, 1, None);
    scripts.quota = quota.window(std::time::Duration::from_secs(6));
    let reply: redis::RedisResult<redis::Value> = redis::Script::new(Script::Snapshot.source())
        .key(&scripts.names.account)
        .arg(1)
        .arg(&quota_arguments(&scripts.quota))
        .invoke(&mut scripts.connection);
    let error = reply.unwrap_err();
    assert_eq!(error.code(), Some("WINDOW"), "{error}");
}

#[test]
fn a_booking_outlives_its_account_without_harm() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut scripts = Scripts::new(&server, Quota::per_minute(60, 60_000));
    scripts.reserve(0, 1, 1_000, 0, None);
    let account = scripts.names.account.clone();
    let _: () = scripts.connection.del(account).unwrap();
    // As old as the first account was then.
    scripts.reserve(2 * WINDOW, 2, 500, 0, None);
    assert_eq!(scripts.settle(2 * WINDOW, 1, (2 * WINDOW, 0), 0, 0, 1), 1);
    assert_eq!(scripts.snapshot(2 * WINDOW)[..3], [1, 500, 500]);
}

#[test]
fn what_ended_long_ago_is_of_the_past() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut scripts = Scripts::new(&server, Quota::per_minute(60, 60_000));
    // Half a window ago, on an account that is new; and more than one.
    scripts.settle(0, 1, (WINDOW, WINDOW / 2), 100, 20_000, 1);
    scripts.settle(0, 2, (3 * WINDOW, 2 * WINDOW), 100, 20_000, 1);
    assert_eq!(scripts.snapshot(0)[..3], [1, 20_100, 20_100]);
    let left = WINDOW / 2 + WINDOW / 100;
    assert_eq!(scripts.snapshot(left)[..3], [0, 0, 0]);
}

#[test]
fn a_call_that_runs_for_long_is_charged_once() {
    let Some(server) = Server::start() else {
        return;
    };
    let quota = Quota::per_minute(60, 60_000);
    let daily = quota.tokens_per_day(60_000);
    let hour = 3_600_000_000;
    for (quota, of_today) in [(quota, None), (daily, Some(300))] {
        let mut scripts = Scripts::new(&server, quota);
        scripts.reserve(0, 1, 100, 900, None);
        let call = scripts.names.call("me", 1);
        if remembered(&quota) < 3_600_000 {
            let _: () = scripts.connection.del(call).unwrap();
        }
        assert_eq!(scripts.settle(hour, 1, (hour, 0), 100, 200, 1), 1);
        let snapshot = scripts.snapshot(hour);
        assert_eq!(snapshot[..3], [0, 0, 200], "the answer has just ended");
        assert_eq!(snapshot[9], of_today.unwrap_or(snapshot[9]));
        // As if the reply had been lost, and the server away for long.
        assert_eq!(settled(&quota) >= 86_400_000, of_today.is_some());
        assert_eq!(
            scripts.settle(2 * hour, 1, (2 * hour, hour), 100, 200, 1),
            0
        );
    }
}

#[test]
fn each_day_counts_what_goes_out_in_it() {
    let Some(server) = Server::start() else {
        return;
    };
    let quota = Quota::per_minute(1_000, 100_000)
        .pacing(Pacing::Window)
        .tokens_per_day(10_000);
    let mut scripts = Scripts::new(&server, quota);
    let (evening, morning) = (DAY - 5_000_000, DAY + 1_000_000);
    assert_eq!(scripts.reserve(evening, 1, 9_000, 0, None), [1, 0]);
    for (id, longest, expected) in [
        (2, None, [2, 5_000_000]),
        (3, Some(10_000_000), [2, 5_000_000]),
        (4, Some(1_000_000), [0, 5_000_000]),
    ] {
        let reply = scripts.reserve(evening, id, 8_000, 0, longest);
        assert_eq!(reply, expected, "nothing is booked for tomorrow");
    }
    assert_eq!(scripts.reserve(evening, 5, 10_001, 0, None), [0, -1]);
    assert_eq!(scripts.reserve(evening, 6, 10, 0, None), [1, 0]);
    assert_eq!(scripts.reserve(morning, 8, 8_000, 0, None), [1, 0]);
    // Today's is corrected, not yesterday's.
    scripts.settle(morning, 8, (0, 0), 100, 0, 1);
    scripts.settle(morning, 1, (0, 0), 0, 0, 1);
    assert_eq!(scripts.snapshot(morning)[9], 100);
    // Booked in the evening, sent in the morning.
    assert_eq!(scripts.send(morning, 6), 1);
    assert_eq!(scripts.snapshot(morning)[9], 110);
    scripts.settle(morning, 6, (0, 0), 5, 0, 1);
    assert_eq!(scripts.snapshot(morning)[9], 105);
}

#[test]
fn nobody_stands_for_a_booking_that_was_given_back() {
    let Some(server) = Server::start() else {
        return;
    };
    let quota = Quota::per_minute(1_000, 100_000);
    for quota in [quota, quota.pacing(Pacing::Window)] {
        let mut scripts = Scripts::new(&server, quota);
        scripts.make(0);
        scripts.reserve(10_000_000, 1, 50_000, 0, None);
        let before = scripts.snapshot(11_000_000);
        let wait = scripts.reserve(11_000_000, 2, 60_000, 0, None)[1];
        assert!(wait > 10_000_000, "{wait}");
        scripts.settle(11_000_000, 2, (0, 0), 0, 0, 0);
        let after = scripts.snapshot(11_000_000);
        assert_eq!(after[..7], before[..7]);
        // Closed for longer than a window; time goes on while it is booked.
        scripts.pause(11_000_000, 90_000_000, (0, 1 << 32), (0, 1 << 32));
        let wait = scripts.reserve(12_000_000, 3, 100, 0, None)[1];
        // What is owed is paid from the opening on.
        assert!(wait == 89_000_000 || quota.is_smooth() && wait > 89_000_000);
        scripts.settle(13_000_000, 3, (0, 0), 0, 0, 0);
        assert_eq!(scripts.snapshot(13_000_000)[6], 0);
    }
}

#[test]
fn who_is_refused_changes_nothing() {
    let Some(server) = Server::start() else {
        return;
    };
    let quota = Quota::per_minute(60, 60_000).tokens_per_day(1_000);
    let mut scripts = Scripts::new(&server, quota);
    scripts.reserve(0, 1, 300, 0, None);
    scripts.settle(0, 1, (0, 0), 300, 0, 1);
    scripts.reserve(0, 2, 600, 0, None);
    let account = scripts.names.account.clone();
    let left = |scripts: &mut Scripts| -> HashMap<String, Vec<u8>> {
        scripts.connection.hgetall(&account).unwrap()
    };
    let before = left(&mut scripts);
    for now in [1_000_000, WINDOW / 2, 2 * WINDOW] {
        scripts.settle(now, 1, (0, 0), 1, 1, 1);
        scripts.reserve(now, 1, 1, 1, None);
        scripts.reserve(now, 2, 1, 1, None);
        scripts.send(now, 1);
        scripts.send(now, 9);
        assert_eq!(scripts.reserve(now, 3, 1_001, 0, None)[0], 0);
        assert_eq!(scripts.reserve(now, 3, 400, 0, Some(0))[0], 0);
        assert_eq!(scripts.reserve(now, 3, 400, 0, None)[0], 2);
        scripts.snapshot(now);
        let lease: redis::RedisResult<redis::Value> = redis::Script::new(Script::Beat.source())
            .key(&scripts.names.account)
            .key(&scripts.names.members)
            .arg(BEGIN + now)
            .arg(&quota_arguments(&quota))
            .arg(&["9"; 17])
            .invoke(&mut scripts.connection);
        assert_eq!(lease.unwrap_err().code(), Some("SHARING"));
        assert_eq!(left(&mut scripts), before);
    }
}
