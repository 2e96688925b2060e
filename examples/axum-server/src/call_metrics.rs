//! The figures of callers' calls, for `/metrics` and the page: by tenant, upstream, status and cause.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::response::Response;
use http::StatusCode;
use metrics::{
    Counter, Histogram, Label, SharedString, Unit, counter, describe_counter, describe_histogram,
    histogram,
};
use tower_qwen_ratelimit::{budget::BudgetError, enforce::Rejection};
use tower_qwen_tokens::{
    Money, Verdict,
    internal::LabelValues,
    ledger::{Basis, LedgerSink, Record},
    price::Currency,
};

use crate::upstream_sums::UpstreamSums;

const CALLS: &str = "axum_server.calls";
const ESTIMATED: &str = "axum_server.calls_estimated";
const TOKENS: &str = "axum_server.tokens";
const WAIT: &str = "axum_server.call_wait";
const COST: &str = "axum_server.call_cost";

/// The bounds of waits, in seconds, as the page shows them.
pub(crate) const WAIT_BOUNDS: [f64; 12] = [
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// What stands for a name that is not there.
const NONE: &str = "none";

/// Counts calls: as a sink those that the ledger has, and by [`CallMetrics::rejected`] those that were answered before. Clones
/// share it.
#[derive(Clone)]
pub struct CallMetrics(Arc<Shared>);

type ByUpstream = HashMap<Arc<str>, Arc<Series>>;

struct Shared {
    sums: UpstreamSums,
    /// Of all calls: how many waited for no longer than each bound and longer than the one before, and at the end the rest.
    waits: [AtomicU64; WAIT_BOUNDS.len() + 1],
    tenants: LabelValues,
    upstreams: LabelValues,
    /// By tenant. Bounded by the two above.
    series: Mutex<HashMap<Arc<str>, ByUpstream>>,
}

/// What is kept of a tenant at an upstream, since to look the figures up again takes longer than to count. The recorder
/// forgets gauges alone.
struct Series {
    labels: [Label; 2],
    input: Counter,
    output: Counter,
    wait: Histogram,
    /// Of calls that went well, which most do.
    good: Counter,
    /// In the currency of the first price.
    cost: OnceLock<(Currency, Histogram)>,
}

impl CallMetrics {
    /// For the recorder that is installed now. Upstreams have the names that `sums` gives them.
    #[must_use]
    pub fn new(sums: UpstreamSums) -> Self {
        describe_counter!(
            CALLS,
            Unit::Count,
            "Calls of callers that have ended, each once"
        );
        describe_counter!(
            ESTIMATED,
            Unit::Count,
            "Calls whose tokens were counted from what was delivered"
        );
        describe_counter!(TOKENS, Unit::Count, "Tokens of callers' calls");
        describe_histogram!(
            WAIT,
            Unit::Seconds,
            "All waits of a call together, calls that did not wait included"
        );
        describe_histogram!(COST, "Money that a call cost");
        Self(Arc::new(Shared {
            sums,
            waits: [const { AtomicU64::new(0) }; WAIT_BOUNDS.len() + 1],
            tenants: LabelValues::new(),
            upstreams: LabelValues::new(),
            series: Mutex::default(),
        }))
    }

    /// A call that was answered before it came to the ledger.
    pub fn rejected(&self, tenant: Option<&str>, status: StatusCode, cause: &'static str) {
        let labels = [
            self.tenant(tenant.unwrap_or(NONE)),
            Label::from_static_parts("upstream", NONE),
        ];
        call(&labels, status.as_str(), cause).increment(1);
    }

    /// How many calls waited for no longer than each of the bounds, and at the end all.
    pub(crate) fn waits(&self) -> Vec<u64> {
        let waits = self.0.waits.iter().scan(0, |sum, waits| {
            *sum += waits.load(Relaxed);
            Some(*sum)
        });
        waits.collect()
    }

    fn tenant(&self, name: &str) -> Label {
        let name = SharedString::from_shared(self.0.tenants.get(name));
        Label::new("tenant", name)
    }

    fn series(&self, tenant: &str, upstream: &str) -> Arc<Series> {
        let series = self.0.series.lock();
        let mut series = series.unwrap_or_else(PoisonError::into_inner);
        // Most calls are of a pair that is known under its own names.
        let known = series.get(tenant).and_then(|known| known.get(upstream));
        if let Some(known) = known {
            return Arc::clone(known);
        }
        let (tenant, upstream) = (self.0.tenants.get(tenant), self.0.upstreams.get(upstream));
        let known = series.entry(Arc::clone(&tenant)).or_default();
        let known = known
            .entry(upstream)
            .or_insert_with_key(|upstream| Arc::new(Series::new(&tenant, upstream)));
        Arc::clone(known)
    }
}

impl Series {
    fn new(tenant: &Arc<str>, upstream: &Arc<str>) -> Self {
        let text = |text: &Arc<str>| SharedString::from_shared(Arc::clone(text));
        let labels = [
            Label::new("tenant", text(tenant)),
            Label::new("upstream", text(upstream)),
        ];
        let tokens = |kind| {
            let kind = Label::from_static_parts("type", kind);
            counter!(TOKENS, with(&labels, [kind]))
        };
        Self {
            input: tokens("input"),
            output: tokens("output"),
            wait: histogram!(WAIT, labels.to_vec()),
            good: call(&labels, StatusCode::OK.as_str(), NONE),
            cost: OnceLock::new(),
            labels,
        }
    }

    fn cost(&self, cost: Money) {
        let make = |currency: Currency| {
            let currency = Label::new("currency", currency.to_string());
            histogram!(COST, with(&self.labels, [currency]))
        };
        let currency = cost.currency();
        let (first, own) = self.cost.get_or_init(|| (currency, make(currency)));
        match *first == currency {
            true => own.record(units(cost)),
            false => make(currency).record(units(cost)),
        }
    }
}

impl LedgerSink for CallMetrics {
    fn record(&self, record: &Record<'_>) {
        let entry = &*record.entry;
        let upstream = self.0.sums.add(record);
        let tenant = entry.tenant.as_ref().map_or(NONE, |tenant| tenant.as_str());
        let series = self.series(tenant, upstream.as_deref().unwrap_or(NONE));
        match (entry.status, entry.error_type()) {
            (Some(StatusCode::OK), None) => series.good.increment(1),
            (status, cause) => {
                let status = status.as_ref().map_or(NONE, StatusCode::as_str);
                let cause = cause.map(str::to_owned).unwrap_or(NONE.to_owned());
                call(&series.labels, status, cause).increment(1);
            }
        }
        if let Some((input, output)) = entry.usage.input_and_output() {
            series.input.increment(input);
            series.output.increment(output);
        }
        if entry.basis == Basis::Estimated {
            counter!(ESTIMATED, series.labels.to_vec()).increment(1);
        }
        let waits = [entry.queued, entry.retry_wait];
        let wait: Duration = waits.into_iter().flatten().sum();
        series.wait.record(wait);
        let seconds = wait.as_secs_f64();
        let bucket = WAIT_BOUNDS.iter().position(|bound| seconds <= *bound);
        let waits = &self.0.waits[bucket.unwrap_or(WAIT_BOUNDS.len())];
        waits.fetch_add(1, Relaxed);
        if let Some(cost) = record.cost {
            series.cost(cost);
        }
    }
}

/// Why a call was answered before it came to the ledger, in a word.
#[must_use]
pub fn cause<B>(answer: &Response<B>) -> &'static str {
    let extensions = answer.extensions();
    if let Some(budget) = extensions.get::<BudgetError>() {
        return match budget {
            BudgetError::Exceeded(_) => "budget",
            other => other.as_str(),
        };
    }
    if let Some(rejection) = extensions.get::<Rejection>() {
        return rejection.kind().as_str();
    }
    match extensions.get::<Verdict>() {
        Some(verdict) => verdict.cause().as_str(),
        None if answer.status().is_success() => NONE,
        None => "request",
    }
}

/// In whole units of its currency.
pub(crate) fn units(money: Money) -> f64 {
    money.pico() as f64 / 1e12
}

fn call(labels: &[Label], status: &str, cause: impl Into<SharedString>) -> Counter {
    let status = Label::new("status", status.to_owned());
    counter!(CALLS, with(labels, [status, Label::new("cause", cause)]))
}

fn with<const N: usize>(labels: &[Label], more: [Label; N]) -> Vec<Label> {
    labels.iter().cloned().chain(more).collect()
}

impl std::fmt::Debug for CallMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CallMetrics")
    }
}

#[cfg(test)]
mod tests {
    use tower_qwen_tokens::{
        Usage,
        ledger::{End, Entry},
    };

    use super::*;

    #[test]
    fn tenants_without_number_make_no_series_without_number() {
        let calls = CallMetrics::new(UpstreamSums::default());
        for number in 0..3_000 {
            let usage = Usage::new(10, 1);
            let entry = Entry::new("qwen-plus", usage, Basis::Reported, End::Complete);
            let entry = entry.tenant(format!("tenant-{number}"));
            calls.record(&Record::new(&entry, None, None));
        }
        let series = calls.0.series.lock();
        let series = series.unwrap_or_else(PoisonError::into_inner);
        assert_eq!(series.len(), 1_025);
    }
}
