//! The state of an account for people and metrics.

use std::{collections::BTreeMap, fmt, time::Duration};

use tower_qwen_tokens::PlanUsedUp;

use crate::{key::Key, limit::Limit, queue::Priority};

/// One account at one instant, from [`Limiter::snapshot`](crate::Limiter::snapshot).
///
/// `Display` shows the main figures in one line:
///
/// ```text
/// https://host qwen-plus: requests 12/792, tokens 5300/792000, 3 in flight, 2 queued
/// ```
///
/// A rate that throttles have lowered is added as `at 85 %`, a closed account as `closed for 1.5s`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AccountSnapshot {
    /// The key of the account.
    pub key: Key,
    /// Requests per window.
    pub requests: GateSnapshot,
    /// Tokens per window.
    pub tokens: GateSnapshot,
    /// Calls that run. If their number is limited, a call runs until its response body ends,
    /// otherwise until it has settled.
    pub running: u64,
    /// How many calls may run at one time now; `u64::MAX` without a limit.
    pub may_run: u64,
    /// Tokens used in the provider's day so far; counted only if the quota limits them.
    pub tokens_of_day: u64,
    /// The quota's further limits ([`Quota::and`](crate::Quota::and)).
    pub limits: Vec<LimitSnapshot>,
    /// The part of the rate that slow start allows, in percent; `None` without slow start.
    pub slow_start_percent: Option<u8>,
    /// Calls that wait for quota.
    pub queued: usize,
    /// The same by [`Priority`](crate::Priority); classes of which nobody waits are left out.
    pub queued_by_priority: BTreeMap<Priority, u64>,
    /// Calls that were admitted and have not settled.
    pub in_flight: u64,
    /// Calls admitted so far. Each attempt of a retried call counts.
    pub admitted: u64,
    /// Tokens reserved for calls that have not settled.
    pub reserved_tokens: u64,
    /// Tokens of all settled calls.
    pub settled_tokens: u64,
    /// The tokens that are reserved for the answer of a call without `max_tokens`: the 65th
    /// percentile of the latest 64 answers. Until 8 answers are known: 4,096, at most a sixteenth of
    /// what a window may hold. See [`Cost`](crate::Cost).
    pub expected_output: u64,
    /// Throttles by the provider so far, by cause
    /// ([`Cause::as_str`](tower_qwen_tokens::Cause::as_str)).
    pub throttled: BTreeMap<&'static str, u64>,
    /// Throttles of tokens while our own count was below four fifths of what is allowed. Possible
    /// reasons: the provider reserves the ceiling of a running call (set
    /// [`Reserve::Ceiling`](crate::Reserve::Ceiling)), other processes use the same account, or the
    /// quota is set too high.
    pub unexplained_throttles: u64,
    /// How long the account stays closed after throttles, or until the plan's window ends (where the
    /// provider does not say when: until the next probe); zero when it is open.
    pub closed_for: Duration,
    /// Set while calls are rejected because a window of the account's plan is used up; with the end,
    /// if the provider states it.
    pub plan_used_up: Option<PlanUsedUp>,
    /// The state of the fleet; `None` if the account is local to this process.
    #[cfg(feature = "redis")]
    pub fleet: Option<FleetSnapshot>,
}

/// The fleet that shares an account, as this process sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[cfg(feature = "redis")]
pub struct FleetSnapshot {
    /// Processes that share the account, as the latest heartbeat counted them.
    pub members: u64,
    /// The part of the account that this process may use, in percent.
    pub part_percent: u8,
    /// Whether the store cannot be reached, or rejects the account.
    pub is_store_away: bool,
    /// The most tokens by which the fleet may exceed the quota in a window:
    ///
    /// - with [`Sharing::Booking`](crate::Sharing::Booking): 0;
    /// - with [`Sharing::Lease`](crate::Sharing::Lease), or with
    ///   [`OutagePolicy::LocalShare`](crate::OutagePolicy::LocalShare) while the store is away: the
    ///   quota less its headroom and a thirtieth more (or the burst, where that is set longer), less the
    ///   quota: 0.013 of it by default; and the largest call so far for each process;
    /// - with [`OutagePolicy::Unlimited`](crate::OutagePolicy::Unlimited) while the store is away:
    ///   [`u64::MAX`].
    ///
    /// With leases, once after the server has lost its memory, it can be an eighth of the quota and
    /// a thirtieth more: if the first heartbeat comes from a process without a part. With bookings,
    /// once when the store goes away, a third: what was saved there may just have been spent.
    pub may_overshoot_tokens: u64,
}

/// Requests or tokens of an account at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct GateSnapshot {
    /// What a window may hold by the quota: less 1 % by default, see
    /// [`Quota::headroom`](crate::Quota::headroom).
    pub quota: u64,
    /// What the provider is believed to grant in a window: the quota as it was given, less where it
    /// throttled, more where a quota of [`Quota::at_least`](crate::Quota::at_least) found more.
    pub believed: u64,
    /// Charged within the latest window.
    pub used: u64,
    /// What is saved and can be used, at one and a half times the rate; negative while there is a
    /// debt. `None` with
    /// [`Pacing::Window`](crate::Pacing::Window), which has no bucket.
    pub level: Option<i64>,
    /// Current rate limit after throttling, in percent of the quota: 100 while no throttle has
    /// lowered it. How much of the quota is used, `used` says.
    pub rate_percent: u8,
}

/// A further limit of an account at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitSnapshot {
    /// The limit.
    pub limit: Limit,
    /// What calls used and have reserved, of a calendar period so far, of a rolling one within the
    /// latest.
    pub used: u64,
    /// Until all of it may be used again: the end of a calendar period, or when the last of what was
    /// used has left a rolling one. `None` of a [`Period::total`](crate::period::Period::total).
    pub resets_in: Option<Duration>,
}

impl LimitSnapshot {
    pub(crate) fn new((limit, used, resets_in): (Limit, u64, Option<Duration>)) -> Self {
        Self {
            limit,
            used,
            resets_in,
        }
    }
}

impl fmt::Display for AccountSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key,
            requests,
            tokens,
            in_flight,
            queued,
            ..
        } = self;
        write!(
            f,
            "{key}: requests {requests}, tokens {tokens}, {in_flight} in flight, {queued} queued"
        )?;
        // What is as usual is left out, so that what is not stands out in a log.
        if !self.closed_for.is_zero() {
            write!(f, ", closed for {:?}", self.closed_for)?;
        }
        if let Some(plan) = &self.plan_used_up {
            write!(f, ": {plan}")?;
        }
        Ok(())
    }
}

impl fmt::Display for GateSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.used, self.quota)?;
        match self.rate_percent {
            100 => Ok(()),
            percent => write!(f, " at {percent} %"),
        }
    }
}
