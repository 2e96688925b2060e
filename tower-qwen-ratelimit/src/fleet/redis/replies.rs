//! What the server's answers to a flight mean to the accounts.

use redis::{RedisError, Value};
use tower_qwen_tokens::internal::clock;

use super::{
    command::{Job, term},
    leases, ledger, presence, reply,
    session::{Landing, Parcel, Scripts, Session},
};
use crate::{
    fleet::{Op, OpBatch},
    sharing::Sharing,
};

/// The first words of the errors by which our scripts (`lua/`) reject one account: it has another
/// window there, or another way of sharing.
const REJECTIONS: [&str; 2] = ["WINDOW", "SHARING"];

impl Session<'_> {
    /// Hands out the replies. Jobs whose script the server did not know go again, with the scripts.
    pub(super) fn land(&mut self, flight: u64, landing: Landing) -> Result<(), String> {
        let parcel = self.under_way.remove(&flight).unwrap_or_default();
        let values = match landing {
            Ok(values) if values.len() == parcel.jobs.len() => values,
            landing => {
                self.return_batch(parcel);
                return landing.and(Err("an answer that makes no sense".to_owned()));
            }
        };
        let Parcel { epoch, jobs } = parcel;
        let (mut again, mut failed, mut done) = (Vec::new(), None, 0);
        let mut lost = Vec::new();
        for (job, value) in jobs.into_iter().zip(values) {
            match value {
                // It has been restarted, or its scripts were flushed.
                Value::ServerError(error) if error.code() == "NOSCRIPT" => again.push(job),
                Value::ServerError(error) if REJECTIONS.contains(&error.code()) => {
                    done += usize::from(matches!(job, Job::Op(_)));
                    self.rejected(job, &RedisError::from(error).to_string());
                }
                Value::ServerError(error) => {
                    failed = Some(RedisError::from(error).to_string());
                    lost.push(job);
                }
                value => {
                    done += usize::from(matches!(job, Job::Op(_)));
                    self.hand_out(job, &value);
                }
            }
        }
        self.link.done(epoch, done);
        // Any other error is the server's: what it did not do goes again over the next connection.
        if let Some(reason) = failed {
            lost.extend(again);
            self.return_batch(Parcel { epoch, jobs: lost });
            return Err(reason);
        }
        if !again.is_empty() {
            self.launch(Parcel { epoch, jobs: again }, Scripts::Load);
        }
        Ok(())
    }

    /// Others share the account under other terms: the server itself works.
    pub(super) fn rejected(&mut self, job: Job, reason: &str) {
        if let Job::Heartbeat { account, .. } = &job {
            self.heartbeats.landed(account);
        }
        self.link
            .count_dropped(usize::from(matches!(job, Job::Op(Op::Settle { .. }))));
        if let Job::Lease { budgets, report } = &job {
            budgets.on_report_end(report.number, None);
        }
        if let Some(account) = job.account() {
            account.on_rejection(reason);
        }
    }

    pub(super) fn hand_out(&mut self, job: Job, value: &Value) {
        match job {
            Job::Op(Op::Book { account, id, .. }) => {
                if let Some(reply) = reply::booking(value) {
                    account.on_acceptance();
                    account.on_booking(id, reply);
                }
            }
            Job::Op(Op::ReadUsage { query, .. }) => {
                // Fails where the caller has given up.
                let _ = query.send(ledger::usage(value));
            }
            Job::Op(_) => {}
            Job::Lease { budgets, report } => {
                budgets.on_report_end(report.number, leases::reply(value, &report));
                // What has gathered meanwhile, with all else that goes now.
                self.link.request_leases();
            }
            Job::Presence => {
                if let Some(counted) = presence::counted(value) {
                    let known = self.link.counted_members();
                    let members = self.heartbeats.presence.count(known, counted, clock::now());
                    self.link.set_members(members);
                }
            }
            Job::Heartbeat {
                account, sent_at, ..
            } => {
                self.heartbeats.landed(&account);
                if let Some(reply) = reply::heartbeat(value) {
                    // Where calls are booked, only a booking shows that the store takes them.
                    if self.link.terms().sharing == Sharing::Lease {
                        account.on_acceptance();
                    }
                    account.on_heartbeat(reply, sent_at, term(&account.quota()));
                }
            }
        }
    }

    /// What may not have arrived goes again, but for bookings and queries: their callers have given
    /// up.
    pub(super) fn return_batch(&self, parcel: Parcel) {
        let Parcel { epoch, jobs } = parcel;
        let ops = jobs.into_iter().filter_map(|job| match job {
            Job::Op(op) => Some(op),
            Job::Heartbeat { .. } | Job::Presence => None,
            Job::Lease { budgets, report } => {
                budgets.on_report_end(report.number, None);
                None
            }
        });
        let (given_up, ops): (Vec<Op>, Vec<Op>) =
            ops.partition(|op| op.is_booking() || op.is_query());
        self.link.done(epoch, given_up.len());
        self.link.return_batch(OpBatch { epoch, ops });
    }
}
