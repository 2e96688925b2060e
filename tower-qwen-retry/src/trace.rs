//! What the `tracing` feature shows. Nothing of the call's content, address or headers is in it.

use std::time::Duration;

use crate::decide::GiveUp;

#[cfg(feature = "tracing")]
pub(crate) fn retrying(cause: &'static str, attempt: u32, wait: Duration) {
    tracing::debug!(cause, attempt, wait_ms = wait.as_millis(), "retrying");
}

#[cfg(feature = "tracing")]
pub(crate) fn given_up(cause: &'static str, attempt: u32, why: GiveUp) {
    tracing::debug!(cause, attempt, why = ?why, "not retrying");
}

#[cfg(not(feature = "tracing"))]
pub(crate) fn retrying(_: &'static str, _: u32, _: Duration) {}

#[cfg(not(feature = "tracing"))]
pub(crate) fn given_up(_: &'static str, _: u32, _: GiveUp) {}
