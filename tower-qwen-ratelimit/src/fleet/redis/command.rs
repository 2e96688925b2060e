use std::{sync::Arc, time::Duration};

use redis::Cmd;
use tower_qwen_tokens::internal::clock::Instant;

use super::{
    ledger,
    names::{DayNames, Names, quota_arguments},
    presence,
    script::Script,
    slots::Slot,
};
use crate::{
    account::Account,
    fleet::{Op, Standing},
    quota::Quota,
};

/// What a flight carries.
#[derive(Debug)]
pub(super) enum Job {
    Op(Op),
    Beat {
        account: Arc<Account>,
        standing: Standing,
        asked: Instant,
    },
    /// That this process lives.
    Presence,
}

impl Job {
    /// The account that it is about.
    pub(super) fn account(&self) -> Option<&Account> {
        match self {
            Self::Beat { account, .. } => Some(account),
            Self::Presence => None,
            Self::Op(op) => match op {
                Op::Book { account, .. }
                | Op::Send { account, .. }
                | Op::Settle { account, .. }
                | Op::Pause { account, .. } => Some(account),
                Op::AddUsage(_) | Op::ReadUsage { .. } | Op::Beat => None,
            },
        }
    }
}

/// Writes commands for one process.
#[derive(Debug)]
pub(super) struct Commands {
    pub(super) namespace: String,
    /// This process, as the others know it.
    pub(super) member: String,
    pub(super) days: DayNames,
}

impl Commands {
    pub(super) fn of(&self, job: &Job, now: Instant) -> Cmd {
        match job {
            Job::Op(op) => self.of_op(op, now),
            Job::Beat {
                account, standing, ..
            } => self.beat(account, standing),
            Job::Presence => presence::tell(&self.days, &self.member),
        }
    }

    /// The slot of what a job is about.
    pub(super) fn slot_of(&self, job: &Job) -> Slot {
        job.account()
            .map_or(self.days.slot, |account| self.names(account).slot)
    }

    pub(super) fn names(&self, account: &Account) -> Names {
        Names::new(&self.namespace, account.key())
    }

    fn of_op(&self, op: &Op, now: Instant) -> Cmd {
        match op {
            Op::Book {
                account,
                id,
                input,
                output,
                latest,
            } => {
                let (names, quota) = (self.names(account), account.quota());
                let longest =
                    latest.map_or(-1, |latest| micros(latest.saturating_duration_since(now)));
                let mut command = start(
                    Script::Reserve,
                    &[&names.account, &names.call(&self.member, *id)],
                    &quota,
                );
                command
                    .arg(input)
                    .arg(output)
                    .arg(longest)
                    .arg(remembered(&quota));
                command
            }
            Op::Send { account, id } => {
                let (names, quota) = (self.names(account), account.quota());
                let keys = [&*names.account, &*names.call(&self.member, *id)];
                let mut command = start(Script::Send, &keys, &quota);
                command.arg(remembered(&quota));
                command
            }
            Op::Settle {
                account,
                id,
                charged_at,
                ended_at,
                input,
                output,
                counts,
            } => {
                let (names, quota) = (self.names(account), account.quota());
                let keys = [&*names.account, &*names.call(&self.member, *id)];
                let mut command = start(Script::Settle, &keys, &quota);
                command
                    .arg(input)
                    .arg(output)
                    .arg(u8::from(*counts))
                    .arg(micros(now.saturating_duration_since(*charged_at)))
                    .arg(micros(now.saturating_duration_since(*ended_at)))
                    .arg(settled(&quota));
                command
            }
            Op::Pause {
                account,
                until,
                shares,
            } => {
                let names = self.names(account);
                let keys = [&*names.account, &*names.members];
                let mut command = start(Script::Pause, &keys, &account.quota());
                command
                    .arg(micros(until.saturating_duration_since(now)))
                    .arg(&self.member)
                    .arg(shares.0)
                    .arg(shares.1);
                command
            }
            Op::AddUsage(batch) => ledger::add(&self.days, &self.member, batch),
            Op::ReadUsage { day, .. } => ledger::read(&self.days, *day),
            Op::Beat => redis::cmd("PING"),
        }
    }

    fn beat(&self, account: &Account, standing: &Standing) -> Cmd {
        let (names, quota) = (self.names(account), account.quota());
        let keys = [&*names.account, &*names.members];
        let limit = |amount: u64| i64::try_from(amount).unwrap_or(-1);
        let mut command = start(Script::Beat, &keys, &quota);
        command
            .arg(&self.member)
            .arg(micros(term(&quota)))
            .arg(standing.held)
            .arg(standing.want)
            .arg(standing.shares.0)
            .arg(standing.shares.1)
            .arg(limit(standing.most_running))
            .arg(limit(standing.slots_held).max(0))
            .arg(limit(standing.slots_wanted).max(0))
            .arg(limit(standing.largest).max(0));
        command
    }

    pub(super) fn leave(&self, names: &Names, quota: &Quota) -> Cmd {
        let keys = [&*names.account, &*names.members];
        let mut command = start(Script::Leave, &keys, quota);
        command.arg(&self.member);
        command
    }
}

/// How often a process says that it lives.
pub(super) fn interval(quota: &Quota) -> Duration {
    (quota.window_length() / 8).clamp(Duration::from_millis(50), Duration::from_secs(10))
}

/// How long it is believed.
pub(super) fn term(quota: &Quota) -> Duration {
    interval(quota) * 3
}

pub(super) fn load(script: Script) -> Cmd {
    let mut command = redis::cmd("SCRIPT");
    command.arg("LOAD").arg(script.source());
    command
}

fn start(script: Script, keys: &[&str], quota: &Quota) -> Cmd {
    let mut command = redis::cmd("EVALSHA");
    command
        .arg(script.hash())
        .arg(keys.len())
        .arg(keys)
        .arg("")
        .arg(&quota_arguments(quota));
    command
}

/// For how long a booking is remembered: until all that it was charged to has left, and its answer has most likely ended.
/// One that is forgotten counts by when it went out and ended, which is nothing in a window that it has left; but a day would
/// count it twice.
pub(super) fn remembered(quota: &Quota) -> i64 {
    let window = (quota.window_length() * 2).max(Duration::from_secs(600));
    millis(window.max(counted_day(quota)))
}

/// For how long an end is remembered: as long as it can matter.
pub(super) fn settled(quota: &Quota) -> i64 {
    let window = quota.window_length() * 2 + Duration::from_secs(60);
    millis(window.max(counted_day(quota)))
}

fn counted_day(quota: &Quota) -> Duration {
    match quota.most_of_a_day() {
        u64::MAX => Duration::ZERO,
        _ => Duration::from_secs(86_400),
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX >> 11)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX >> 11)
}
