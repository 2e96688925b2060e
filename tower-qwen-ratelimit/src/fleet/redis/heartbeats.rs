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
    presence::Presence,
};
use crate::{
    account::Account,
    fleet::{Link, Sharing},
    quota::Quota,
};

/// How often accounts are looked at that had nothing to do.
const IDLE: Duration = Duration::from_secs(1);

/// When heartbeats are due, over one connection.
pub(super) struct Beats {
    accounts: HashMap<usize, Beat>,
    /// Where this process has said that it lives, and is believed.
    joined: HashMap<String, Joined>,
    pub(super) presence: Presence,
    timer: Pin<Box<Sleep>>,
}

struct Joined {
    names: Names,
    quota: Quota,
    until: Instant,
}

/// An account's next heartbeat.
#[derive(Clone, Copy)]
struct Beat {
    at: Instant,
    /// The one before is under way: its answer may change what is to be said.
    is_out: bool,
    /// One has been asked for meanwhile.
    is_wanted: bool,
}

impl Beats {
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

    /// The heartbeats that are due. With those of newcomers, and of accounts without a part or with too few slots, where they
    /// are asked for.
    pub(super) fn due(&mut self, link: &Link, commands: &Commands, also_new: bool) -> Vec<Job> {
        let asked = clock::now();
        let is_lease = link.terms().sharing == Sharing::Lease;
        let mut jobs = Vec::new();
        let mut next = asked + IDLE;
        let mut accounts = HashMap::new();
        self.joined.retain(|_, joined| asked < joined.until);
        for account in link.accounts() {
            let id = Arc::as_ptr(&account) as usize;
            let known = self.accounts.get(&id).copied();
            let is_wanted = also_new || known.is_some_and(|beat| beat.is_wanted);
            if let Some(out) = known.filter(|beat| beat.is_out) {
                accounts.insert(id, Beat { is_wanted, ..out });
                continue;
            }
            let Some(standing) = account.standing() else {
                continue;
            };
            let has_no_part = is_lease && standing.held == 0 && !account.is_refused();
            let lacks_slots = standing.slots_wanted > standing.slots_held;
            let is_new = is_wanted && (known.is_none() || has_no_part || lacks_slots);
            let mut at = known.map_or(asked, |beat| beat.at);
            let is_out = is_new || at <= asked;
            if is_out {
                let quota = account.quota();
                at = asked + interval(&quota);
                let names = commands.names(&account);
                let joined = Joined {
                    until: asked + term(&quota),
                    quota,
                    names,
                };
                self.joined.insert(joined.names.account.clone(), joined);
                jobs.push(Job::Beat {
                    account,
                    standing,
                    asked,
                });
            }
            next = next.min(at);
            let beat = Beat {
                at,
                is_out,
                is_wanted: false,
            };
            accounts.insert(id, beat);
        }
        self.accounts = accounts;
        if self.presence.is_due(asked, !jobs.is_empty()) {
            jobs.push(Job::Presence);
        }
        let next = next.min(self.presence.at());
        self.timer = Box::pin(sleep_until(next));
        jobs
    }

    /// An account's heartbeat was answered.
    pub(super) fn landed(&mut self, account: &Arc<Account>) {
        let id = Arc::as_ptr(account) as usize;
        if let Some(beat) = self.accounts.get_mut(&id) {
            beat.is_out = false;
            if beat.is_wanted || beat.at <= clock::now() {
                self.timer = Box::pin(sleep(Duration::ZERO));
            }
        }
    }

    /// Where this process is to say that it leaves.
    pub(super) fn joined(&self) -> impl Iterator<Item = (&Names, &Quota)> {
        let joined = self.joined.values();
        joined.map(|joined| (&joined.names, &joined.quota))
    }
}
