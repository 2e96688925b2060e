//! What a process holds of budgets, as the server reads and writes it.

use std::time::Duration;

use redis::{Cmd, Value};

use super::{
    script::Script,
    slots::{HashSlot, slot_of},
};
use crate::leased_amounts::{LeaseReply, LeaseReport, LeasedAmount};

/// The hash tag of all limits. One slot of a cluster has them all: a call takes from its tenant and
/// from any groups at once, and what is above a tenant changes with the table.
const TAG: &str = "budgets";
/// The number of the format in which limits are stored. 1 did not say when a member had reported.
const FORMAT: u32 = 2;

/// The names of the keys of limits.
#[derive(Debug, Clone)]
pub(super) struct LimitNames {
    pub(super) slot: HashSlot,
    stem: String,
}

impl LimitNames {
    pub(super) fn new(namespace: &str) -> Self {
        Self {
            slot: slot_of(TAG),
            stem: format!("{namespace}:{{{TAG}}}:{FORMAT}"),
        }
    }

    fn began(&self) -> String {
        format!("{}:began", self.stem)
    }

    fn of(&self, name: &str) -> String {
        format!("{}:limit:{name}", self.stem)
    }
}

/// The command of a report.
pub(super) fn report(names: &LimitNames, process: &str, report: &LeaseReport) -> Cmd {
    report_at("", names, process, report)
}

/// The same at a time that a test gives, in microseconds.
pub(super) fn report_at(now: &str, names: &LimitNames, process: &str, report: &LeaseReport) -> Cmd {
    let limits = report.limits.iter().map(|limit| names.of(&limit.name));
    let keys: Vec<String> = std::iter::once(names.began()).chain(limits).collect();
    let member = format!("{process}-{:x}", report.holder);
    let mut command = Script::Lease.run(&keys, (now, member, report.number, report.parts));
    for limit in &report.limits {
        let stored_for = limit.stored_for.map_or(0, millis);
        let forgotten_after = limit.forgotten_after.map_or(0, millis);
        for number in [
            limit.limit,
            limit.known,
            limit.granted,
            limit.used,
            limit.life,
            limit.all,
            limit.earlier,
            stored_for,
            forgotten_after,
            limit.runs_low.into(),
        ] {
            command.arg(number);
        }
    }
    for call in &report.calls {
        command.arg(call.len());
        for (place, needed) in call {
            // Lua counts from 1.
            command.arg(place + 1).arg(*needed);
        }
    }
    command
}

/// The answer to a report; `None` where it makes no sense, or a later report has overtaken it.
pub(super) fn reply(value: &Value, report: &LeaseReport) -> Option<LeaseReply> {
    let Value::Array(values) = value else {
        return None;
    };
    let number = |value: &Value| match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    };
    let numbers: Vec<u64> = values.iter().map(number).collect::<Option<_>>()?;
    let [1, began, rest @ ..] = &numbers[..] else {
        return None;
    };
    let (limits, fits) = rest.split_at_checked(report.limits.len() * 4)?;
    if fits.len() != report.calls.len() {
        return None;
    }
    let limits = limits.chunks_exact(4).map(|limit| LeasedAmount {
        granted: limit[0],
        all: limit[1],
        earlier: limit[2],
        life: limit[3],
    });
    Some(LeaseReply {
        began: *began,
        limits: limits.collect(),
        fits: fits.iter().map(|fit| *fit == 1).collect(),
    })
}

fn millis(duration: Duration) -> u64 {
    // At least one: 0 is for ever, or never.
    u64::try_from(duration.as_millis())
        .unwrap_or(u64::MAX >> 12)
        .max(1)
}
