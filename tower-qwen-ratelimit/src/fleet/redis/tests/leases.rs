//! The script and its model in memory answer alike, to any messages.

use std::time::Duration;

use proptest::{collection::vec, prelude::*};
use redis::{Connection, ConnectionLike};

use super::{
    super::{
        command::load,
        leases::{LimitNames, reply, report_at},
        script::Script,
    },
    server::Server,
};
use crate::{
    fleet::lease_model::LeaseModel,
    leased_amounts::{LeaseReport, LeasedLimit},
};

const NAMES: [&str; 3] = [
    "tokens:total:0:tenant:a",
    "tokens:1s:0:group:g",
    "USD:1s:0:tenant:a",
];
/// Of the two rolling limits. Time is the test's, and all of it passes in less than the server's.
const FORGOTTEN_AFTER: Duration = Duration::from_millis(40);
const MEMBERS: [&str; 3] = ["one-1", "two-1", "one-2"];

/// One report.
#[derive(Debug, Clone)]
struct Step {
    member: usize,
    /// The figures of each limit.
    limits: Vec<[u64; 6]>,
    /// What calls need of the first so many limits.
    calls: Vec<(usize, u64)>,
    /// It has the number of the one before.
    is_late: bool,
    /// Milliseconds since the one before; below zero the server's clock is set back.
    millis: i64,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let figures = [0..200_u64, 0..200, 0..200, 0..6, 0..300, 0..300];
    let limits = vec(figures, 1..4);
    let calls = vec((1..4_usize, 0..120_u64), 0..5);
    let millis = prop_oneof![6 => 0..15_i64, 2 => 35..45_i64, 1 => -50..0_i64];
    let step = (0..3_usize, limits, calls, any::<bool>(), millis);
    let step = step.prop_map(|(member, limits, calls, is_late, millis)| Step {
        member,
        limits,
        calls,
        is_late,
        millis,
    });
    vec(step, 1..20)
}

fn flush(connection: &mut Connection) {
    redis::cmd("FLUSHALL").exec(connection).unwrap();
}

fn run(connection: &mut Connection, steps: Vec<Step>) -> Result<(), TestCaseError> {
    flush(connection);
    let names = LimitNames::new("test");
    let mut model = LeaseModel::default();
    // More than the script has room for.
    let mut lives = [0_u64; 6];
    let mut now = 1_000_000_000_u64;
    for (at, step) in steps.into_iter().enumerate() {
        let Step {
            member,
            limits,
            calls,
            is_late,
            millis,
        } = step;
        now = now.checked_add_signed(millis * 1_000 + 1).unwrap();
        let (process, holder) = MEMBERS[member].split_once('-').unwrap();
        let all = limits.len();
        let limits = limits.into_iter().zip(NAMES).map(|(figures, name)| {
            let [known, granted, used, life, all, earlier] = figures;
            let is_rolling = name.contains(":1s:");
            LeasedLimit {
                name: name.to_owned(),
                forgotten_after: is_rolling.then_some(FORGOTTEN_AFTER),
                limit: 500,
                known,
                granted: granted.max(used),
                used,
                runs_low: all % 3 == 0,
                life: lives[life as usize],
                all,
                earlier,
                stored_for: None,
            }
        });
        let calls = calls.into_iter().map(|(limits, need)| {
            let limits = 0..limits.min(all);
            limits.map(|limit| (limit, need)).collect()
        });
        let report = LeaseReport {
            holder: holder.parse().unwrap(),
            // Each second one has the number of the one before.
            number: at as u64 + u64::from(!is_late),
            parts: 16,
            limits: limits.collect(),
            calls: calls.collect(),
        };
        let command = report_at(&now.to_string(), &names, process, &report);
        let value = connection.req_command(&command).unwrap();
        let expected = model.report(MEMBERS[member], &report, now);
        let actual = reply(&value, &report);
        if let Some(reply) = &expected {
            lives[at % 6] = reply.limits[at % all].life;
        }
        prop_assert_eq!(
            format!("{actual:?}"),
            format!("{expected:?}"),
            "{:?}",
            value
        );
    }
    Ok(())
}

#[test]
fn the_script_and_its_model_answer_alike() {
    let Some(server) = Server::start() else {
        return;
    };
    let client = redis::Client::open(server.url()).unwrap();
    let connection = std::cell::RefCell::new(client.get_connection().unwrap());
    connection
        .borrow_mut()
        .req_command(&load(Script::Lease))
        .unwrap();
    // Each case is up to 20 scripts over a socket.
    proptest!(ProptestConfig::with_cases(200), |(steps in steps())| {
        run(&mut connection.borrow_mut(), steps)?;
    });
}

#[test]
fn large_amounts_are_exact() {
    let Some(server) = Server::start() else {
        return;
    };
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    connection.req_command(&load(Script::Lease)).unwrap();
    // Four billion dollars in their millionths, and one of these is missing.
    let most = (1 << 52) - 1;
    let report = |granted: u64, need: u64, number: u64| LeaseReport {
        holder: 1,
        number,
        parts: 4,
        limits: vec![LeasedLimit {
            name: "USD".to_owned(),
            limit: most,
            known: 0,
            granted,
            used: granted,
            runs_low: false,
            life: 0,
            all: 0,
            earlier: 0,
            stored_for: None,
            forgotten_after: None,
        }],
        calls: vec![vec![(0, need)]],
    };
    let names = LimitNames::new("test");
    let fits =
        [(0, most - 1, 1), (most - 1, 2, 2), (most - 1, 1, 3)].map(|(granted, need, number)| {
            let report = report(granted, need, number);
            let command = report_at("7", &names, "one", &report);
            let value = connection.req_command(&command).unwrap();
            reply(&value, &report).unwrap()
        });
    assert!(fits[0].fits[0] && !fits[1].fits[0] && fits[2].fits[0]);
    assert_eq!(
        (fits[2].limits[0].granted, fits[2].limits[0].all),
        (most, most)
    );
}

#[test]
fn a_report_checks_few_limits_of_many_members() {
    let Some(server) = Server::start() else {
        return;
    };
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    connection.req_command(&load(Script::Lease)).unwrap();
    let names = LimitNames::new("test");
    let mut model = LeaseModel::default();
    let limit = |name: &str| LeasedLimit {
        name: name.to_owned(),
        limit: 10_000,
        known: 0,
        granted: 1,
        used: 1,
        runs_low: false,
        life: 0,
        all: 0,
        earlier: 0,
        stored_for: None,
        forgotten_after: Some(FORGOTTEN_AFTER),
    };
    let mut report = |member: u64, number: u64, now: u64| {
        let report = LeaseReport {
            holder: member,
            number,
            parts: 4,
            limits: ["a", "b", "c"].map(limit).into(),
            calls: vec![],
        };
        let command = report_at(&now.to_string(), &names, "one", &report);
        let value = connection.req_command(&command).unwrap();
        let actual = reply(&value, &report).unwrap();
        let expected = model.report(&format!("one-{member:x}"), &report, now);
        assert_eq!(format!("{actual:?}"), format!("{:?}", expected.unwrap()));
        let all = actual.limits.iter().map(|limit| limit.all);
        all.collect::<Vec<u64>>()
    };
    for member in 1..=600 {
        report(member, 1, 7);
    }
    let forgotten_at = 7 + 40_000;
    assert_eq!(report(1, 2, forgotten_at - 1), [600; 3]);
    // Two of six hundred each; the third when the next report comes.
    assert_eq!(report(1, 3, forgotten_at), [1, 1, 600]);
    assert_eq!(report(1, 4, forgotten_at), [1; 3]);
}
