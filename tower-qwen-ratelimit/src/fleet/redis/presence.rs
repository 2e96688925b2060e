//! That a process lives, told to its whole fleet however idle its accounts are.

use std::time::Duration;

use redis::{Cmd, Value};
use tower_qwen_tokens::internal::clock::Instant;

use super::{names::DayNames, script::Script};

/// How often it is told; at first more often, so that those who start together soon know of each other.
const INTERVAL: Duration = Duration::from_secs(8);
const FIRST_INTERVAL: Duration = Duration::from_millis(250);
/// How long it is believed.
pub(super) const TERM: Duration = Duration::from_secs(24);

/// When it is told next, over one connection.
#[derive(Debug)]
pub(super) struct Presence {
    opened: Instant,
    /// From this instant on along with others, from the next by itself.
    early: Instant,
    at: Instant,
    interval: Duration,
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

    /// Whether it is to be told now; rather early than in a round trip of its own.
    pub(super) fn is_due(&mut self, now: Instant, others_go: bool) -> bool {
        if now < if others_go { self.early } else { self.at } {
            return false;
        }
        self.early = now + self.interval / 2;
        self.at = now + self.interval;
        self.interval = (self.interval * 2).min(INTERVAL);
        true
    }

    /// How many processes live, where `known` were counted before. A server that was started anew has yet to hear of the
    /// others: for a term none is taken for dead.
    pub(super) fn count(&self, known: u64, counted: u64, now: Instant) -> u64 {
        if now.saturating_duration_since(self.opened) < TERM {
            counted.max(known)
        } else {
            counted
        }
    }
}

/// The command that tells it.
pub(super) fn tell(names: &DayNames, member: &str) -> Cmd {
    command(names, member, TERM)
}

/// The command that says that the process leaves.
pub(super) fn leave(names: &DayNames, member: &str) -> Cmd {
    command(names, member, Duration::ZERO)
}

/// How many live.
pub(super) fn counted(value: &Value) -> Option<u64> {
    match value {
        Value::Int(count) => u64::try_from(*count).ok(),
        _ => None,
    }
}

fn command(names: &DayNames, member: &str, term: Duration) -> Cmd {
    let mut command = redis::cmd("EVALSHA");
    command
        .arg(Script::Presence.hash())
        .arg(1)
        .arg(names.processes())
        .arg("")
        .arg(member)
        .arg(term.as_micros() as u64);
    command
}
