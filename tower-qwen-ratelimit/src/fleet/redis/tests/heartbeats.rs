use tokio::time::advance;
use tokio_test::{assert_pending, task};

use std::{sync::Arc, time::Duration};

use tower_qwen_tokens::internal::clock;

use super::super::{
    command::{Commands, Job, term},
    heartbeats::{Heartbeats, Trigger},
    leases::LimitNames,
    names::DayNames,
};
use crate::{
    account::{Account, AccountConfig},
    acquire::Acquire,
    adapt::Beliefs,
    cost::{Cost, OutputLimit},
    fleet::{Handle, HeartbeatReply, Link, SharedAccount, Terms, Used},
    key::{FleetSalt, Key},
    observe::Observers,
    queue::{DEFAULT_AGEING, Discipline},
    quota::Quota,
    sharing::{OutagePolicy, Sharing},
    units::Fraction,
};

/// A process that leases, and a store in the hands of the test.
struct Process {
    link: Arc<Link>,
    handle: Handle,
    commands: Commands,
    heartbeats: Heartbeats,
}

impl Process {
    fn new() -> Self {
        let link = Link::new(Terms {
            sharing: Sharing::Lease,
            outage: OutagePolicy::LocalShare,
            timeout: Duration::from_secs(10),
            capacity: 1_000,
            processes: 1,
            salt: FleetSalt::new("", b""),
        });
        Self {
            handle: Handle::new(link.clone()),
            commands: Commands {
                namespace: "ns".to_owned(),
                process: "me".to_owned(),
                days: DayNames::new("ns"),
                limits: LimitNames::new("ns"),
            },
            link,
            heartbeats: Heartbeats::new(),
        }
    }

    fn account(&self, model: &str) -> Arc<Account> {
        self.account_of(model, quota())
    }

    fn account_of(&self, model: &str, quota: Quota) -> Arc<Account> {
        let config = AccountConfig {
            max_queued: 100,
            discipline: Discipline::Fifo,
            ageing: DEFAULT_AGEING,
            observers: Observers::default(),
            plan_probe_interval: None,
        };
        let key = Key::new("http://h", model);
        let now = clock::now();
        Account::in_fleet(&self.handle, key, quota, config, now, now)
    }

    fn landed(&mut self, account: &Arc<Account>) {
        let account: Arc<dyn SharedAccount> = account.clone();
        self.heartbeats.landed(&account);
    }

    /// The models whose heartbeats are due.
    fn due(&mut self, trigger: Trigger) -> Vec<String> {
        let jobs = self.heartbeats.due(&self.link, &self.commands, trigger);
        let accounts = jobs.iter().filter_map(Job::account);
        accounts
            .map(|account| account.key().model().to_owned())
            .collect()
    }
}

fn quota() -> Quota {
    Quota::per_minute(60, 600)
}

fn wants(account: &Arc<Account>) -> task::Spawn<Acquire> {
    let mut call = task::spawn(Acquire::new(
        account.clone(),
        Cost::new(1, OutputLimit::NoOutput),
    ));
    assert_pending!(call.poll());
    call
}

fn heartbeat_reply(granted: Fraction) -> HeartbeatReply {
    HeartbeatReply {
        members: 1,
        busy: 1,
        granted,
        closed_for: Duration::ZERO,
        beliefs: Beliefs::NOTHING,
        slots: 0,
        booked_ahead: Duration::ZERO,
        largest_call: 0,
        others: Used::default(),
        is_used: (false, false),
        is_new: true,
        formats: None,
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_has_one_heartbeat_under_way() {
    let mut process = Process::new();
    let (one, other) = (process.account("one"), process.account("other"));
    let _waiting = wants(&one);
    assert_eq!(process.due(Trigger::Request), ["one"]);
    let _waiting = wants(&other);
    // The first answer may grant a part, of which this standing would know nothing.
    assert_eq!(process.due(Trigger::Request), ["other"]);
    advance(Duration::from_secs(60)).await;
    assert!(process.due(Trigger::Timer).is_empty());

    one.on_heartbeat(
        heartbeat_reply(Fraction::ZERO),
        clock::now(),
        Duration::from_secs(20),
    );
    process.landed(&one);
    assert_eq!(
        process.due(Trigger::Timer),
        ["one"],
        "it has been asked for again"
    );
    other.on_heartbeat(
        heartbeat_reply(Fraction::WHOLE),
        clock::now(),
        Duration::from_secs(20),
    );
    process.landed(&other);
    assert_eq!(process.due(Trigger::Timer), ["other"], "it is due");
    assert!(process.due(Trigger::Request).is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_slot_is_asked_for_again() {
    let mut process = Process::new();
    let one = process.account_of("one", quota().concurrency(8));
    let _first = wants(&one);
    assert_eq!(process.due(Trigger::Request), ["one"]);
    let grant = |process: &mut Process, slots| {
        let heartbeat_reply = HeartbeatReply {
            slots,
            ..heartbeat_reply(Fraction::WHOLE)
        };
        one.on_heartbeat(heartbeat_reply, clock::now(), Duration::from_secs(20));
        process.landed(&one);
    };
    grant(&mut process, 2);
    assert!(
        process.due(Trigger::Request).is_empty(),
        "there is one to spare"
    );
    let _others: Vec<_> = (0..3).map(|_| wants(&one)).collect();
    assert_eq!(process.due(Trigger::Request), ["one"]);
    assert!(
        process.due(Trigger::Request).is_empty(),
        "it is asked for already"
    );
    grant(&mut process, 8);
    assert!(process.due(Trigger::Request).is_empty());
}

#[tokio::test(start_paused = true)]
async fn where_a_process_is_not_believed_any_more_it_need_not_leave() {
    let mut process = Process::new();
    for number in 0..100 {
        let account = process.account(&number.to_string());
        let _waiting = wants(&account);
        assert_eq!(process.due(Trigger::Request).len(), 1);
        advance(term(&account.quota()) / 2).await;
        assert!(process.heartbeats.joined().count() <= 3, "{number}");
        assert!(process.heartbeats.joined().count() > 0, "{number}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_got_a_part_is_not_asked_for_again() {
    let mut process = Process::new();
    let one = process.account("one");
    let _waiting = wants(&one);
    assert_eq!(process.due(Trigger::Request), ["one"]);
    assert!(process.due(Trigger::Request).is_empty());
    one.on_heartbeat(
        heartbeat_reply(Fraction::WHOLE),
        clock::now(),
        Duration::from_secs(20),
    );
    process.landed(&one);
    assert!(process.due(Trigger::Timer).is_empty());
}
