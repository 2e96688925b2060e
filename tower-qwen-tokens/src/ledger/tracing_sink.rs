use tracing::{debug, warn};

use super::{
    LedgerSink, ModelNotice, Record,
    record::{basis_name, end_name},
};

/// Emits an event for every attempt, at the level debug, failed ones at the level warn; and one, a warning, for each model
/// that has no price or is retired.
///
/// Events are of the target `tower_qwen_tokens::ledger` and hold figures and names, never content.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct TracingSink;

impl TracingSink {
    /// A sink for the subscriber that is there whenever an attempt ends.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

/// The fields are the same at every level, which has to be known when the program is built.
macro_rules! attempt {
    ($event:ident, $record:expr) => {{
        let record = $record;
        let entry = &*record.entry;
        $event!(
            target: "tower_qwen_tokens::ledger",
            model = &*entry.model,
            tenant = entry.tenant.as_ref().map(|tenant| tenant.as_str()),
            input_tokens = entry.usage.input_tokens,
            output_tokens = entry.usage.output_tokens,
            total_tokens = entry.usage.total(),
            cached_tokens = entry.usage.cached_tokens,
            reasoning_tokens = entry.usage.reasoning_tokens,
            basis = basis_name(entry.basis),
            end = end_name(entry.end),
            status = entry.status.map(|status| status.as_u16()),
            error = entry.error_type(),
            cost = record.cost.map(tracing::field::display),
            first_token_ms = entry.first_token.map(|first| first.as_secs_f64() * 1e3),
            duration_ms = entry.duration.map(|duration| duration.as_secs_f64() * 1e3),
            "attempt"
        );
    }};
}

impl LedgerSink for TracingSink {
    fn record(&self, record: &Record<'_>) {
        if record.entry.error_type().is_some() {
            attempt!(warn, record);
        } else {
            attempt!(debug, record);
        }
    }
    fn notice(&self, notice: &ModelNotice<'_>) {
        warn!(
            target: "tower_qwen_tokens::ledger",
            model = notice.model,
            retired = notice.retirement.map(|retirement| &*retirement.date),
            successor = notice.retirement.and_then(|retirement| retirement.successor.as_deref()),
            impossible_input_tokens = notice.impossible.and_then(|usage| usage.input_tokens),
            impossible_output_tokens = notice.impossible.and_then(|usage| usage.output_tokens),
            "{notice}"
        );
    }
}
