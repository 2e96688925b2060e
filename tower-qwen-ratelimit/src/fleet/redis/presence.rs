//! Reports that a process lives to its whole fleet, however idle its accounts are.

use std::time::Duration;

use redis::{Cmd, Value};
use tower_qwen_tokens::internal::clock::Instant;

use super::{names::DayNames, script::Script};

/// How often it is reported; at first more often, so that processes that start together soon know
/// of each other.
// 8 s is a choice: eight commands a minute for each process, and a dead one counts for 24 s at most.
const INTERVAL: Duration = Duration::from_secs(8);
const FIRST_INTERVAL: Duration = Duration::from_millis(250);
/// How long a report holds: two may be lost.
pub(super) const TERM: Duration = Duration::from_secs(24);

/// When it is reported next, over one connection.
#[derive(Debug)]
pub(super) struct Presence {
    opened: Instant,
    /// From this instant on it goes along with other operations, from `at` on by itself.
    early: Instant,
    at: Instant,
    interval: Duration,
}

/// Whether other operations go at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goes {
    WithOthers,
    Alone,
}

impl Presence {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            opened: now,
            early: now,
            at: now,
            interval: FIRST_INTERVAL,
        }
    }

    pub(super) fn at(&self) -> Instant {
        self.at
    }

    /// Whether it is due, to go with other operations or alone: rather early than in a round trip
    /// of its own.
    pub(super) fn is_due(&mut self, now: Instant, goes: Goes) -> bool {
        let due = match goes {
            Goes::WithOthers => self.early,
            Goes::Alone => self.at,
        };
        if now < due {
            return false;
        }
        self.early = now + self.interval / 2;
        self.at = now + self.interval;
        self.interval = (self.interval * 2).min(INTERVAL);
        true
    }

    /// How many processes live, where `known` were counted before. A server that has started again
    /// has not heard of the others yet: for a term after connecting, none counts as dead.
    pub(super) fn count(&self, known: u64, counted: u64, now: Instant) -> u64 {
        if now.saturating_duration_since(self.opened) < TERM {
            counted.max(known)
        } else {
            counted
        }
    }
}

/// The command that reports this process.
pub(super) fn report(names: &DayNames, process: &str) -> Cmd {
    command(names, process, TERM)
}

/// The command that says that the process leaves.
pub(super) fn leave(names: &DayNames, process: &str) -> Cmd {
    command(names, process, Duration::ZERO)
}

/// How many live.
pub(super) fn counted(value: &Value) -> Option<u64> {
    match value {
        Value::Int(count) => u64::try_from(*count).ok(),
        _ => None,
    }
}

fn command(names: &DayNames, process: &str, term: Duration) -> Cmd {
    let term = term.as_micros() as u64;
    Script::Presence.run(&[names.processes()], ("", process, term))
}
