//! What an account looks like from outside.

use std::{collections::BTreeMap, time::Duration};

use crate::key::Key;

/// One account at one instant.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AccountSnapshot {
    /// Whose account it is.
    pub key: Key,
    /// The requests' gate.
    pub requests: GateSnapshot,
    /// The tokens' gate.
    pub tokens: GateSnapshot,
    /// Calls that run: until the end of the answer's body where their number is limited, else until they have settled.
    pub running: u64,
    /// How many may run at one time, as things stand; `u64::MAX` without a limit.
    pub may_run: u64,
    /// Tokens of the provider's day so far; counted where the quota limits them.
    pub tokens_of_day: u64,
    /// The share of the rate that slow start allows, in percent; `None` where the rate does not begin slowly.
    pub slow_start_percent: Option<u8>,
    /// Calls that wait for their turn.
    pub queued: usize,
    /// Calls that were admitted and have not settled.
    pub in_flight: u64,
    /// Calls admitted so far, retried attempts each counted.
    pub admitted: u64,
    /// Tokens set aside for calls that have not settled.
    pub reserved_tokens: u64,
    /// Tokens of all calls that have settled.
    pub settled_tokens: u64,
    /// Tokens that the answer of a call without a ceiling of its own is expected to bring.
    pub expected_output: u64,
    /// Throttles heard, by cause.
    pub throttled: BTreeMap<&'static str, u64>,
    /// Throttles of tokens although our own count left room for a fifth of the quota: a hint to set
    /// [`Reserve::Ceiling`](crate::Reserve::Ceiling), that others use the same account, or that the quota is set too high.
    pub unexplained_throttles: u64,
    /// How long the account stays closed; zero when it is open.
    pub closed_for: Duration,
    /// What is known of the fleet; `None` where the account is this process's alone.
    #[cfg(feature = "redis")]
    pub fleet: Option<FleetSnapshot>,
}

/// An account's fleet, as this process sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[cfg(feature = "redis")]
pub struct FleetSnapshot {
    /// Processes that share the account, as the latest heartbeat counted them.
    pub members: u64,
    /// The part of the account that is this process's own, in percent.
    pub part_percent: u8,
    /// Whether the store is away, or refuses the account.
    pub is_store_away: bool,
    /// The most tokens by which the fleet may pass the quota in a window: none where calls are booked; with leases, and with
    /// [`OutagePolicy::LocalShare`](crate::OutagePolicy) while the store is away, the burst, and the largest call so far once for each
    /// process; [`u64::MAX`] with `OutagePolicy::Unlimited` while the store is away. Leased, once after the server has lost its memory,
    /// an eighth of the quota and a burst more, if a process without a part was heard before those that had one.
    pub may_overshoot_tokens: u64,
}

/// One dimension of an account at one instant. Unit: requests or tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct GateSnapshot {
    /// The quota of a window, less the headroom.
    pub quota: u64,
    /// Charged within the latest window.
    pub used: u64,
    /// What may go at once; negative while the account owes. `None` without a bucket ([`crate::Pacing::Window`]).
    pub level: Option<i64>,
    /// The share of the quota in use, in percent: below 100 after a throttle.
    pub rate_percent: u8,
}
