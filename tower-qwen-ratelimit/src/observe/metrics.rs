use metrics::{
    Label, SharedString, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};
use tower_qwen_tokens::internal::LabelValues;

use super::{LimiterEvent, LimiterObserver};
use crate::{
    error::RejectKind,
    key::Key,
    snapshot::{AccountSnapshot, GateSnapshot},
};

const WAIT: &str = "tower_qwen.ratelimit.wait";
const RESERVED: &str = "tower_qwen.ratelimit.reserved_tokens";
const SETTLED: &str = "tower_qwen.ratelimit.settled_tokens";
const ERROR: &str = "tower_qwen.ratelimit.estimate_error";
const REFUSED: &str = "tower_qwen.ratelimit.refused";
const THROTTLED: &str = "tower_qwen.ratelimit.throttled";
const USED: &str = "tower_qwen.ratelimit.used";
const QUOTA: &str = "tower_qwen.ratelimit.quota";
const LEVEL: &str = "tower_qwen.ratelimit.level";
const QUEUED: &str = "tower_qwen.ratelimit.queued";
const RUNNING: &str = "tower_qwen.ratelimit.running";
#[cfg(feature = "redis")]
const OUTAGES: &str = "tower_qwen.ratelimit.store.outages";
#[cfg(feature = "redis")]
const AWAY: &str = "tower_qwen.ratelimit.store.away";
#[cfg(feature = "redis")]
const NOT_SHARED: &str = "tower_qwen.ratelimit.store.refused";
#[cfg(feature = "redis")]
const MEMBERS: &str = "tower_qwen.ratelimit.fleet.members";
#[cfg(feature = "redis")]
const PART: &str = "tower_qwen.ratelimit.fleet.part";
#[cfg(feature = "redis")]
const OVERSHOOT: &str = "tower_qwen.ratelimit.fleet.may_overshoot";

/// Hands figures to the recorder of the [`metrics`] facade.
///
/// There is no convention for limiters; names are ours, those of labels OpenTelemetry's.
///
/// | metric | kind, unit | labels beside the common ones |
/// |---|---|---|
/// | `tower_qwen.ratelimit.wait` | histogram, seconds | |
/// | `tower_qwen.ratelimit.reserved_tokens` | counter, tokens | |
/// | `tower_qwen.ratelimit.settled_tokens` | counter, tokens | |
/// | `tower_qwen.ratelimit.estimate_error` | histogram: (reserved - used) / used, of calls whose cost is known | |
/// | `tower_qwen.ratelimit.refused` | counter, calls | `reason` |
/// | `tower_qwen.ratelimit.throttled` | counter, answers | `error.type`: the cause |
/// | `tower_qwen.ratelimit.store.outages` | counter | none at all |
/// | `tower_qwen.ratelimit.store.refused` | counter: an account that others share under other terms | |
/// | `tower_qwen.ratelimit.store.away` | gauge, 1 while the store is away | none at all |
///
/// The state of accounts ([`LimiterMetrics::record`]):
///
/// | metric | kind | labels beside the common ones |
/// |---|---|---|
/// | `tower_qwen.ratelimit.used`, `.quota` | gauges, of a window | `dimension`: `requests` or `tokens` |
/// | `tower_qwen.ratelimit.level` | gauge; negative: debt | `dimension` |
/// | `tower_qwen.ratelimit.queued`, `.running` | gauges, calls | |
/// | `tower_qwen.ratelimit.fleet.members` | gauge, processes | |
/// | `tower_qwen.ratelimit.fleet.part` | gauge: this process's own, of 1 | |
/// | `tower_qwen.ratelimit.fleet.may_overshoot` | gauge, tokens ([`FleetSnapshot::may_overshoot_tokens`](crate::FleetSnapshot)) | |
///
/// All carry `server.address` and `gen_ai.request.model` as the account's key has them, of each the first 1,024 values; the
/// rest is `(other)`, and so is one longer than 256 bytes ([`LabelValues`]). A gauge of `(other)` is that of the account
/// recorded last. Nothing else of a key is told, so that accounts of a server's callers are not told apart: observe those
/// with a closure of your own.
///
/// Clones share the values.
#[derive(Debug, Clone)]
pub struct LimiterMetrics {
    addresses: LabelValues,
    models: LabelValues,
}

impl LimiterMetrics {
    /// An observer for the recorder that is installed whenever something happens. Describes its metrics to the one that is
    /// installed now.
    #[must_use]
    pub fn new() -> Self {
        describe_histogram!(WAIT, Unit::Seconds, "From a call's arrival to its turn");
        describe_counter!(RESERVED, Unit::Count, "Tokens set aside for calls");
        describe_counter!(SETTLED, Unit::Count, "Tokens that calls cost");
        describe_histogram!(ERROR, "Reserved less used, by used");
        describe_counter!(REFUSED, Unit::Count, "Calls refused before they were sent");
        describe_counter!(THROTTLED, Unit::Count, "Calls that the provider throttled");
        describe_gauge!(USED, Unit::Count, "Charged within the window");
        describe_gauge!(QUOTA, Unit::Count, "What a window may hold");
        describe_gauge!(LEVEL, Unit::Count, "What may go at once; negative: debt");
        describe_gauge!(QUEUED, Unit::Count, "Calls that wait for their turn");
        describe_gauge!(RUNNING, Unit::Count, "Calls that run");
        #[cfg(feature = "redis")]
        describe_fleet();
        Self {
            addresses: LabelValues::new(),
            models: LabelValues::new(),
        }
    }

    /// Records the state of accounts: call it now and then, with [`Limiter::snapshot`](crate::Limiter::snapshot).
    pub fn record(&self, accounts: &[AccountSnapshot]) {
        for account in accounts {
            let common = self.labels(&account.key);
            for (dimension, gate) in [("requests", &account.requests), ("tokens", &account.tokens)]
            {
                record_gate(&common, dimension, gate);
            }
            gauge!(QUEUED, common.clone()).set(account.queued as f64);
            gauge!(RUNNING, common.clone()).set(account.running as f64);
            #[cfg(feature = "redis")]
            if let Some(fleet) = &account.fleet {
                gauge!(MEMBERS, common.clone()).set(fleet.members as f64);
                gauge!(PART, common.clone()).set(f64::from(fleet.part_percent) / 100.0);
                gauge!(OVERSHOOT, common.clone()).set(fleet.may_overshoot_tokens as f64);
            }
        }
    }

    fn labels(&self, key: &Key) -> Vec<Label> {
        let address = SharedString::from_shared(self.addresses.get(key.authority()));
        let model = SharedString::from_shared(self.models.get(key.model()));
        vec![
            Label::new("server.address", address),
            Label::new("gen_ai.request.model", model),
        ]
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
            } => {
                let common = self.labels(key);
                histogram!(WAIT, common.clone()).record(waited);
                counter!(RESERVED, common).increment(reserved);
            }
            LimiterEvent::Rejected { key, rejected } => {
                let reason = Label::from_static_parts("reason", reason(rejected.kind()));
                counter!(REFUSED, with(self.labels(key), reason)).increment(1);
            }
            LimiterEvent::Settled {
                key,
                reserved,
                used,
                known,
            } => {
                let common = self.labels(key);
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
            #[cfg(feature = "redis")]
            LimiterEvent::StoreAway { .. } => {
                counter!(OUTAGES).increment(1);
                gauge!(AWAY).set(1);
            }
            #[cfg(feature = "redis")]
            LimiterEvent::StoreRejected { key, .. } => {
                counter!(NOT_SHARED, self.labels(key)).increment(1)
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
    describe_counter!(NOT_SHARED, "Accounts that the store refused");
    describe_gauge!(MEMBERS, Unit::Count, "Processes that share the account");
    describe_gauge!(PART, "This process's part of the account");
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
    if let Some(level) = gate.level {
        gauge!(LEVEL, labels).set(level as f64);
    }
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
        #[cfg(feature = "redis")]
        RejectKind::StoreAway => "store_away",
    }
}
