use metrics::{
    Label, SharedString, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};
use tower_qwen_tokens::internal::LabelValues;

use super::{LimiterEvent, LimiterObserver};
use crate::{
    error::RejectKind,
    key::Key,
    queue::Priority,
    snapshot::{AccountSnapshot, GateSnapshot},
};

// Metric names are part of the public interface: dashboards depend on them.
const WAIT: &str = "tower_qwen.ratelimit.wait";
const RESERVED: &str = "tower_qwen.ratelimit.reserved_tokens";
const SETTLED: &str = "tower_qwen.ratelimit.settled_tokens";
const ERROR: &str = "tower_qwen.ratelimit.estimate_error";
const REJECTED: &str = "tower_qwen.ratelimit.refused";
const THROTTLED: &str = "tower_qwen.ratelimit.throttled";
const PLAN_USED_UP: &str = "tower_qwen.ratelimit.plan_used_up";
const PLAN_CLOSED: &str = "tower_qwen.ratelimit.plan_closed";
const ABSURD_WAITS: &str = "tower_qwen.ratelimit.absurd_waits";
const USED: &str = "tower_qwen.ratelimit.used";
const QUOTA: &str = "tower_qwen.ratelimit.quota";
const BELIEVED: &str = "tower_qwen.ratelimit.believed";
const LEARNED: &str = "tower_qwen.ratelimit.quota_learned";
const MORE: &str = "tower_qwen.ratelimit.more_may_be_had";
const LEVEL: &str = "tower_qwen.ratelimit.level";
const QUEUED: &str = "tower_qwen.ratelimit.queued";
const RUNNING: &str = "tower_qwen.ratelimit.running";
#[cfg(feature = "redis")]
const OUTAGES: &str = "tower_qwen.ratelimit.store.outages";
#[cfg(feature = "redis")]
const AWAY: &str = "tower_qwen.ratelimit.store.away";
#[cfg(feature = "redis")]
const STORE_REJECTED: &str = "tower_qwen.ratelimit.store.refused";
#[cfg(feature = "redis")]
const STORE_FORMATS: &str = "tower_qwen.ratelimit.store.other_formats";
#[cfg(feature = "redis")]
const MEMBERS: &str = "tower_qwen.ratelimit.fleet.members";
#[cfg(feature = "redis")]
const FLEET_PART: &str = "tower_qwen.ratelimit.fleet.part";
#[cfg(feature = "redis")]
const OVERSHOOT: &str = "tower_qwen.ratelimit.fleet.may_overshoot";

/// An observer that reports to the recorder of the [`metrics`] facade.
///
/// OpenTelemetry has no convention for limiters, so the metric names are our own; the label names
/// are OpenTelemetry's.
///
/// | metric | kind, unit | labels beside the common ones |
/// |---|---|---|
/// | `tower_qwen.ratelimit.wait` | histogram, seconds | `priority`: `high`, `normal` or `low` |
/// | `tower_qwen.ratelimit.reserved_tokens` | counter, tokens | |
/// | `tower_qwen.ratelimit.settled_tokens` | counter, tokens | |
/// | `tower_qwen.ratelimit.estimate_error` | histogram: (reserved - used) / used, for calls with a known cost | |
/// | `tower_qwen.ratelimit.refused` | counter, calls | `reason` |
/// | `tower_qwen.ratelimit.throttled` | counter, answers | `error.type`: the cause |
/// | `tower_qwen.ratelimit.plan_used_up` | counter: how often a window of the plan was found used up, probes included | |
/// | `tower_qwen.ratelimit.absurd_waits` | counter: accounts whose provider stated a wait beyond belief | `error.type`: the cause |
/// | `tower_qwen.ratelimit.quota_learned` | counter: how often the provider was found to grant another quota | |
/// | `tower_qwen.ratelimit.more_may_be_had` | counter: accounts whose quota was used up for ten windows without a throttle | |
/// | `tower_qwen.ratelimit.store.outages` | counter | none at all |
/// | `tower_qwen.ratelimit.store.refused` | counter: accounts that other processes share with other settings | |
/// | `tower_qwen.ratelimit.store.other_formats` | counter: accounts that processes of another version use too, in a format of their own | |
/// | `tower_qwen.ratelimit.store.away` | gauge, 1 while the store is away | none at all |
///
/// The state of accounts ([`LimiterMetrics::record`]):
///
/// | metric | kind | labels beside the common ones |
/// |---|---|---|
/// | `tower_qwen.ratelimit.used`, `.quota` | gauges, of a window | `dimension`: `requests` or `tokens` |
/// | `tower_qwen.ratelimit.believed` | gauge: what the provider is believed to grant in a window | `dimension` |
/// | `tower_qwen.ratelimit.level` | gauge; negative: debt | `dimension` |
/// | `tower_qwen.ratelimit.queued` | gauge, calls | `priority` |
/// | `tower_qwen.ratelimit.running` | gauge, calls | |
/// | `tower_qwen.ratelimit.plan_closed` | gauge, 1 while calls are rejected because a window of the plan is used up | |
/// | `tower_qwen.ratelimit.fleet.members` | gauge, processes | |
/// | `tower_qwen.ratelimit.fleet.part` | gauge: the part of the account that this process may use, 0 to 1 | |
/// | `tower_qwen.ratelimit.fleet.may_overshoot` | gauge, tokens ([`FleetSnapshot::may_overshoot_tokens`](crate::FleetSnapshot)) | |
///
/// All others carry `server.address` and `gen_ai.request.model` of the account's key, and
/// `tower_qwen.account` where the key has the name of an account of the provider. Each label keeps
/// its first 1,024 values; further values, and values longer than 256 bytes, become `(other)`. A
/// gauge of `(other)` shows the account that was recorded last. No other part of a key becomes a
/// label, so the accounts of a server's callers share their figures: observe those with a closure of
/// your own.
///
/// Clones share the values.
#[derive(Debug, Clone)]
pub struct LimiterMetrics {
    addresses: LabelValues,
    models: LabelValues,
    accounts: LabelValues,
}

impl LimiterMetrics {
    /// An observer for the global recorder. Describes its metrics to the recorder that is installed
    /// now, so install that first.
    #[must_use]
    pub fn new() -> Self {
        describe_histogram!(
            WAIT,
            Unit::Seconds,
            "From a call's arrival to its admission"
        );
        describe_counter!(RESERVED, Unit::Count, "Tokens reserved for calls");
        describe_counter!(SETTLED, Unit::Count, "Tokens that calls cost");
        describe_histogram!(ERROR, "(reserved - used) / used");
        describe_counter!(
            REJECTED,
            Unit::Count,
            "Calls rejected before they were sent"
        );
        describe_counter!(THROTTLED, Unit::Count, "Calls that the provider throttled");
        describe_counter!(
            PLAN_USED_UP,
            Unit::Count,
            "Answers that found a window of the plan used up"
        );
        describe_gauge!(PLAN_CLOSED, "1 while a window of the plan is used up");
        describe_counter!(ABSURD_WAITS, Unit::Count, "Waits beyond belief");
        describe_counter!(LEARNED, Unit::Count, "Changes of the believed quota");
        describe_counter!(MORE, Unit::Count, "Accounts that may have a larger quota");
        describe_gauge!(BELIEVED, Unit::Count, "The quota that is believed");
        describe_gauge!(USED, Unit::Count, "Charged within the window");
        describe_gauge!(QUOTA, Unit::Count, "What a window may hold by the quota");
        describe_gauge!(LEVEL, Unit::Count, "What is saved; negative: debt");
        describe_gauge!(QUEUED, Unit::Count, "Calls that wait for quota");
        describe_gauge!(RUNNING, Unit::Count, "Calls that run");
        #[cfg(feature = "redis")]
        describe_fleet();
        Self {
            addresses: LabelValues::new(),
            models: LabelValues::new(),
            accounts: LabelValues::new(),
        }
    }

    /// Tells these models alone apart; all others are `(other)`. Default: all.
    #[must_use]
    pub fn only_models(mut self, allowed: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.models = self.models.only(allowed);
        self
    }

    /// Records the state of accounts: call it every few seconds with
    /// [`Limiter::snapshot`](crate::Limiter::snapshot).
    pub fn record(&self, accounts: &[AccountSnapshot]) {
        for account in accounts {
            let common = self.labels(&account.key);
            for (dimension, gate) in [("requests", &account.requests), ("tokens", &account.tokens)]
            {
                record_gate(&common, dimension, gate);
            }
            // Each class, also one that is empty now: a gauge keeps its last value.
            for class in Priority::IN_ORDER {
                let queued = account.queued_by_priority.get(&class).copied();
                gauge!(QUEUED, with(common.clone(), label_of(class)))
                    .set(queued.unwrap_or(0) as f64);
            }
            gauge!(RUNNING, common.clone()).set(account.running as f64);
            let is_closed = account.plan_used_up.is_some();
            gauge!(PLAN_CLOSED, common.clone()).set(f64::from(u8::from(is_closed)));
            #[cfg(feature = "redis")]
            if let Some(fleet) = &account.fleet {
                gauge!(MEMBERS, common.clone()).set(fleet.members as f64);
                gauge!(FLEET_PART, common.clone()).set(f64::from(fleet.part_percent) / 100.0);
                gauge!(OVERSHOOT, common).set(fleet.may_overshoot_tokens as f64);
            }
        }
    }

    fn labels(&self, key: &Key) -> Vec<Label> {
        let address = SharedString::from_shared(self.addresses.get(key.authority()));
        let model = SharedString::from_shared(self.models.get(key.model()));
        let mut labels = vec![
            Label::new("server.address", address),
            Label::new("gen_ai.request.model", model),
        ];
        // Left out where there is none: an empty label would make new series of all that there are.
        if !key.account().is_empty() {
            let account = SharedString::from_shared(self.accounts.get(key.account()));
            labels.push(Label::new("tower_qwen.account", account));
        }
        labels
    }
}

impl Default for LimiterMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl LimiterObserver for LimiterMetrics {
    fn on_event(&self, event: &LimiterEvent<'_>) {
        match *event {
            LimiterEvent::Admitted {
                key,
                waited,
                reserved,
                priority,
            } => {
                let common = self.labels(key);
                histogram!(WAIT, with(common.clone(), label_of(priority))).record(waited);
                counter!(RESERVED, common).increment(reserved);
            }
            LimiterEvent::Rejected { key, rejected } => {
                let reason = Label::from_static_parts("reason", reason(rejected.kind()));
                counter!(REJECTED, with(self.labels(key), reason)).increment(1);
            }
            LimiterEvent::Settled {
                key,
                reserved,
                used,
                known,
            } => {
                let common = self.labels(key);
                // An estimate says nothing about its own error, and a call without tokens has no
                // relative one.
                if known && used > 0 {
                    let error = (reserved as f64 - used as f64) / used as f64;
                    histogram!(ERROR, common.clone()).record(error);
                }
                counter!(SETTLED, common).increment(used);
            }
            LimiterEvent::Throttled { key, cause, .. } => {
                let cause = Label::from_static_parts("error.type", cause.as_str());
                counter!(THROTTLED, with(self.labels(key), cause)).increment(1);
            }
            LimiterEvent::QuotaLearned { key, .. } => {
                counter!(LEARNED, self.labels(key)).increment(1);
            }
            LimiterEvent::MoreMayBeHad { key } => counter!(MORE, self.labels(key)).increment(1),
            LimiterEvent::PlanUsedUp { key, .. } => {
                counter!(PLAN_USED_UP, self.labels(key)).increment(1);
            }
            LimiterEvent::AbsurdWait { key, cause } => {
                let cause = Label::from_static_parts("error.type", cause.as_str());
                counter!(ABSURD_WAITS, with(self.labels(key), cause)).increment(1);
            }
            #[cfg(feature = "redis")]
            LimiterEvent::StoreAway { .. } => {
                counter!(OUTAGES).increment(1);
                gauge!(AWAY).set(1);
            }
            #[cfg(feature = "redis")]
            LimiterEvent::StoreRejected { key, .. } => {
                counter!(STORE_REJECTED, self.labels(key)).increment(1)
            }
            #[cfg(feature = "redis")]
            LimiterEvent::StoreFormat { key, .. } => {
                counter!(STORE_FORMATS, self.labels(key)).increment(1)
            }
            #[cfg(feature = "redis")]
            LimiterEvent::StoreBack { .. } => gauge!(AWAY).set(0),
        }
    }
}

#[cfg(feature = "redis")]
fn describe_fleet() {
    describe_counter!(OUTAGES, Unit::Count, "Outages of the store");
    describe_gauge!(AWAY, "1 while the store is away");
    describe_counter!(STORE_REJECTED, "Accounts that the store rejected");
    describe_counter!(STORE_FORMATS, "Accounts that another version uses too");
    describe_gauge!(MEMBERS, Unit::Count, "Processes that share the account");
    describe_gauge!(FLEET_PART, "This process's part of the account");
    describe_gauge!(
        OVERSHOOT,
        Unit::Count,
        "The most above the quota in a window"
    );
}

fn record_gate(common: &[Label], dimension: &'static str, gate: &GateSnapshot) {
    let labels = with(
        common.to_vec(),
        Label::from_static_parts("dimension", dimension),
    );
    gauge!(USED, labels.clone()).set(gate.used as f64);
    gauge!(QUOTA, labels.clone()).set(gate.quota as f64);
    gauge!(BELIEVED, labels.clone()).set(gate.believed as f64);
    // Without a bucket there is no level; a 0 would look like an empty one.
    if let Some(level) = gate.level {
        gauge!(LEVEL, labels).set(level as f64);
    }
}

fn label_of(class: Priority) -> Label {
    Label::from_static_parts("priority", class.as_str())
}

fn with(mut labels: Vec<Label>, label: Label) -> Vec<Label> {
    labels.push(label);
    labels
}

fn reason(kind: RejectKind) -> &'static str {
    match kind {
        RejectKind::TooLarge => "too_large",
        RejectKind::MaxWait => "max_wait",
        RejectKind::Deadline => "deadline",
        RejectKind::QueueFull => "queue_full",
        RejectKind::PlanUsedUp => "plan_used_up",
        #[cfg(feature = "redis")]
        RejectKind::StoreAway => "store_away",
    }
}
