use std::{sync::Arc, time::Duration};

use redis::{Cmd, ToRedisArgs};
use tower_qwen_tokens::internal::clock::Instant;

use super::{
    leases::{self, LimitNames},
    ledger,
    names::{DayNames, FORMAT, Names, quota_arguments},
    presence,
    script::Script,
    slots::HashSlot,
};
use crate::{
    adapt::Beliefs,
    fleet::{CallId, Heartbeat, Op, SharedAccount},
    leased_amounts::{LeaseReport, LeasedBudgets},
    quota::Quota,
    units::nanos,
};

/// What a flight carries.
#[derive(Debug)]
pub(super) enum Job {
    Op(Op),
    Heartbeat {
        account: Arc<dyn SharedAccount>,
        heartbeat: Heartbeat,
        sent_at: Instant,
    },
    /// That this process lives.
    Presence,
    /// What budgets hold and need.
    Lease {
        budgets: Arc<dyn LeasedBudgets>,
        report: LeaseReport,
    },
}

impl Job {
    /// The account that it is about.
    pub(super) fn account(&self) -> Option<&Arc<dyn SharedAccount>> {
        match self {
            Self::Heartbeat { account, .. } => Some(account),
            Self::Presence | Self::Lease { .. } => None,
            Self::Op(op) => op.account(),
        }
    }
}

/// Writes commands for one process.
#[derive(Debug)]
pub(super) struct Commands {
    pub(super) namespace: String,
    /// This process, as the others know it.
    pub(super) process: String,
    pub(super) days: DayNames,
    pub(super) limits: LimitNames,
}

impl Commands {
    pub(super) fn of(&self, job: &Job, now: Instant) -> Cmd {
        match job {
            Job::Op(op) => self.of_op(op, now),
            Job::Heartbeat {
                account, heartbeat, ..
            } => self.heartbeat(account, heartbeat),
            Job::Presence => presence::report(&self.days, &self.process),
            Job::Lease { report, .. } => leases::report(&self.limits, &self.process, report),
        }
    }

    /// The slot of what a job is about.
    pub(super) fn slot_of(&self, job: &Job) -> HashSlot {
        match job {
            Job::Lease { .. } | Job::Op(Op::ReturnLeases(_)) => self.limits.slot,
            _ => job
                .account()
                .map_or(self.days.slot, |account| self.names(account).slot),
        }
    }

    pub(super) fn names(&self, account: &Arc<dyn SharedAccount>) -> Names {
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
                let longest =
                    latest.map_or(-1, |latest| micros(latest.saturating_duration_since(now)));
                self.about_call(Script::Reserve, account, *id, |quota| {
                    (input, output, longest, remembered(quota))
                })
            }
            Op::Send { account, id } => self.about_call(Script::Send, account, *id, remembered),
            Op::Settle {
                account,
                id,
                charged_at,
                ended_at,
                input,
                output,
                counts,
            } => {
                let since = |at: Instant| micros(now.saturating_duration_since(at));
                let (charged, ended) = (since(*charged_at), since(*ended_at));
                self.about_call(Script::Settle, account, *id, |quota| {
                    let counts = u8::from(*counts);
                    (input, output, counts, charged, ended, settled(quota))
                })
            }
            Op::Throttle {
                account,
                until,
                beliefs,
                noted_at,
            } => {
                let pause = micros(until.saturating_duration_since(now));
                let since_then = now.saturating_duration_since(*noted_at);
                let beliefs = belief_arguments(beliefs, since_then);
                let arguments = (pause, &beliefs);
                about_members(
                    Script::Pause,
                    &self.names(account),
                    &account.quota(),
                    arguments,
                )
            }
            Op::AddUsage(batch) => ledger::add(&self.days, &self.process, batch),
            Op::ReturnLeases(report) => leases::report(&self.limits, &self.process, report),
            Op::ReadUsage { day, .. } => ledger::read(&self.days, *day),
            // Never queued: it asks for heartbeats.
            Op::Heartbeat => redis::cmd("PING"),
        }
    }

    fn heartbeat(&self, account: &Arc<dyn SharedAccount>, heartbeat: &Heartbeat) -> Cmd {
        let quota = account.quota();
        let limit = |amount: u64| i64::try_from(amount).unwrap_or(-1);
        let beliefs = belief_arguments(&heartbeat.beliefs, Duration::ZERO);
        let arguments = (
            &self.process,
            micros(term(&quota)),
            heartbeat.held.parts(),
            heartbeat.wanted.parts(),
            &beliefs,
            limit(heartbeat.most_running),
            limit(heartbeat.slots_held).max(0),
            limit(heartbeat.slots_wanted).max(0),
            limit(heartbeat.largest_call).max(0),
            limit(heartbeat.used.requests).max(0),
            limit(heartbeat.used.tokens).max(0),
            FORMAT,
        );
        let Names {
            account,
            members,
            formats,
            unnumbered,
            ..
        } = self.names(account);
        let keys = [account, members, formats, unnumbered];
        Script::Beat.run(&keys, ("", &quota_arguments(&quota), arguments))
    }

    pub(super) fn leave(&self, names: &Names, quota: &Quota) -> Cmd {
        about_members(Script::Leave, names, quota, &self.process)
    }

    /// The command of a script about one call; its arguments may depend on the quota.
    fn about_call<A: ToRedisArgs>(
        &self,
        script: Script,
        account: &Arc<dyn SharedAccount>,
        id: CallId,
        arguments: impl FnOnce(&Quota) -> A,
    ) -> Cmd {
        let (names, quota) = (self.names(account), account.quota());
        let keys = [&names.account, &names.call(&self.process, id)];
        script.run(&keys, ("", &quota_arguments(&quota), arguments(&quota)))
    }
}

/// What is believed, as scripts read it; so long after it was noted.
fn belief_arguments(beliefs: &Beliefs, since_then: Duration) -> [i64; 6] {
    let more = nanos(since_then);
    let signed = |share: u64| i64::try_from(share).unwrap_or(i64::MAX);
    let Beliefs { requests, tokens } = beliefs;
    [
        requests.since.micros(more),
        i64::from(requests.steps),
        signed(requests.share),
        tokens.since.micros(more),
        i64::from(tokens.steps),
        signed(tokens.share),
    ]
}

/// The command of a script about the processes at an account.
fn about_members(script: Script, names: &Names, quota: &Quota, arguments: impl ToRedisArgs) -> Cmd {
    let keys = [&names.account, &names.members];
    script.run(&keys, ("", &quota_arguments(quota), arguments))
}

/// How often a process reports itself at an account.
// An eighth of the window: the part of a dead process is free again within half of one. Bounded for
// very short windows, which would load the server, and for long ones.
pub(super) fn interval(quota: &Quota) -> Duration {
    (quota.window_length() / 8).clamp(Duration::from_millis(50), Duration::from_secs(10))
}

/// How long a heartbeat holds: two in a row may be lost.
pub(super) fn term(quota: &Quota) -> Duration {
    interval(quota) * 3
}

pub(super) fn load(script: Script) -> Cmd {
    let mut command = redis::cmd("SCRIPT");
    command.arg("LOAD").arg(script.source());
    command
}

/// For how long a booking is remembered: until all that it was charged to has left the window, and
/// its answer has most likely ended. A settlement of a forgotten one counts by when the call went
/// out and ended, which is nothing in a window that it has left; but a day would count it twice.
pub(super) fn remembered(quota: &Quota) -> i64 {
    // Ten minutes: longer than almost every answer.
    let window = (quota.window_length() * 2).max(Duration::from_secs(600));
    millis(window.max(counted_day(quota)))
}

/// For how long a settlement is remembered: as long as a repeat of it could count.
pub(super) fn settled(quota: &Quota) -> i64 {
    // A minute more: the repeat comes after the outage in which the first answer was lost.
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
