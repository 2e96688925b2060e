use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Sleep, sleep, sleep_until};
use tower_qwen_tokens::internal::clock::{self, Instant};

use super::{
    command::{Commands, Job, interval, term},
    names::Names,
    presence::{Goes, Presence},
};
use crate::{
    fleet::{Link, SharedAccount},
    quota::Quota,
    sharing::Sharing,
    units::Fraction,
};

/// How often idle accounts are asked whether they have something to report: an account that begins
/// to have calls asks for heartbeats itself.
const IDLE: Duration = Duration::from_secs(1);

/// When heartbeats are due, over one connection.
pub(super) struct Heartbeats {
    accounts: HashMap<AccountId, NextHeartbeat>,
    /// The accounts at which this process has reported itself, until the report expires.
    joined: HashMap<String, Joined>,
    pub(super) presence: Presence,
    timer: Pin<Box<Sleep>>,
}

/// The address of an account. One that is reused by another account costs a heartbeat at most.
type AccountId = usize;

struct Joined {
    names: Names,
    quota: Quota,
    until: Instant,
}

/// An account's next heartbeat.
#[derive(Clone, Copy)]
struct NextHeartbeat {
    at: Instant,
    /// The one before is under way: its answer may change what is to be reported.
    is_out: bool,
    /// Another one was requested meanwhile.
    is_requested: bool,
}

/// Why heartbeats are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trigger {
    Timer,
    /// An account is new, or needs a part or more slots.
    Request,
}

impl Heartbeats {
    pub(super) fn new() -> Self {
        Self {
            accounts: HashMap::new(),
            joined: HashMap::new(),
            presence: Presence::new(clock::now()),
            timer: Box::pin(sleep(Duration::ZERO)),
        }
    }

    /// Ready when it is time to look for what is due.
    pub(super) fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.timer.as_mut().poll(cx)
    }

    /// The heartbeats that are due. On request with those of new accounts, and of accounts without
    /// a part or with too few slots.
    pub(super) fn due(&mut self, link: &Link, commands: &Commands, trigger: Trigger) -> Vec<Job> {
        let now = clock::now();
        let is_lease = link.terms().sharing == Sharing::Lease;
        let mut jobs = Vec::new();
        let mut next = now + IDLE;
        let mut accounts = HashMap::new();
        self.joined.retain(|_, joined| now < joined.until);
        for account in link.accounts() {
            let id = id_of(&account);
            let known = self.accounts.get(&id).copied();
            let is_requested =
                trigger == Trigger::Request || known.is_some_and(|next| next.is_requested);
            if let Some(out) = known.filter(|next| next.is_out) {
                let waits = NextHeartbeat {
                    is_requested,
                    ..out
                };
                accounts.insert(id, waits);
                continue;
            }
            let Some(heartbeat) = account.heartbeat() else {
                continue;
            };
            // A rejected account would ask with every call.
            let has_no_part =
                is_lease && heartbeat.held == Fraction::ZERO && !account.is_rejected();
            let lacks_slots = heartbeat.slots_wanted > heartbeat.slots_held;
            let goes_early = is_requested && (known.is_none() || has_no_part || lacks_slots);
            let mut at = known.map_or(now, |next| next.at);
            let is_out = goes_early || at <= now;
            if is_out {
                let quota = account.quota();
                at = now + interval(&quota);
                let names = commands.names(&account);
                let joined = Joined {
                    until: now + term(&quota),
                    quota,
                    names,
                };
                self.joined.insert(joined.names.account.clone(), joined);
                jobs.push(Job::Heartbeat {
                    account,
                    heartbeat,
                    sent_at: now,
                });
            }
            next = next.min(at);
            let planned = NextHeartbeat {
                at,
                is_out,
                is_requested: false,
            };
            accounts.insert(id, planned);
        }
        self.accounts = accounts;
        let goes = match jobs.is_empty() {
            true => Goes::Alone,
            false => Goes::WithOthers,
        };
        if self.presence.is_due(now, goes) {
            jobs.push(Job::Presence);
        }
        let next = next.min(self.presence.at());
        self.timer = Box::pin(sleep_until(next));
        jobs
    }

    /// An account's heartbeat was answered.
    pub(super) fn landed(&mut self, account: &Arc<dyn SharedAccount>) {
        if let Some(next) = self.accounts.get_mut(&id_of(account)) {
            next.is_out = false;
            if next.is_requested || next.at <= clock::now() {
                self.timer = Box::pin(sleep(Duration::ZERO));
            }
        }
    }

    /// The accounts that this process has to leave.
    pub(super) fn joined(&self) -> impl Iterator<Item = (&Names, &Quota)> {
        let joined = self.joined.values();
        joined.map(|joined| (&joined.names, &joined.quota))
    }
}

fn id_of(account: &Arc<dyn SharedAccount>) -> AccountId {
    Arc::as_ptr(account).cast::<()>() as AccountId
}
