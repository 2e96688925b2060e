//! What was used and spent, by model, tenant and label.
//!
//! A [`Ledger`] is shared by cloning it. The Meter records every attempt in it; anything else may
//! record as well. It sums up in memory and hands every attempt on to its sinks: [`MemorySink`],
//! [`JsonLines`], `MetricsSink` (feature `metrics`), `TracingSink` (feature `tracing`), or your own
//! [`LedgerSink`]. Budgets that reject are in `tower_qwen_ratelimit::budget`. [`read_line`] reads a file of
//! [`JsonLines`] again.
//!
//! ```
//! use std::sync::Arc;
//! use tower_qwen_tokens::{Basis, End, Ledger, PriceBook, Usage, ledger::{Entry, MemorySink}};
//!
//! let last = Arc::new(MemorySink::new(100));
//! let ledger = Ledger::new(PriceBook::builtin()).with_sink(last.clone());
//! let entry = Entry::new("qwen-plus", Usage::new(1_000, 200), Basis::Reported, End::Complete);
//! ledger.record(&entry.tenant("acme").label("feature", "search"));
//!
//! let snapshot = ledger.take();
//! assert_eq!(snapshot.models["qwen-plus"].input_tokens, 1_000);
//! assert_eq!(snapshot.tenants["acme"].cost[0].to_string(), "0.00064 USD");
//! assert_eq!(snapshot.labels["feature"]["search"].calls, 1);
//! assert_eq!(ledger.snapshot().total.calls, 0);
//! assert_eq!(last.records().len(), 1);
//! ```

mod day;
mod entry;
mod json_lines;
mod labels;
#[expect(clippy::module_inception, reason = "it holds the type of that name")]
mod ledger;
mod line;
mod memory;
#[cfg(feature = "metrics")]
pub(crate) mod metrics_sink;
mod model_notice;
mod read_line;
mod record;
mod repair;
#[cfg(feature = "metrics")]
pub(crate) mod series;
mod sink;
mod snapshot;
mod totals;
#[cfg(feature = "tracing")]
mod tracing_sink;

pub use day::Day;
pub use entry::Entry;
pub use json_lines::JsonLines;
pub use labels::{Labels, Tenant};
pub use ledger::Ledger;
pub use memory::MemorySink;
pub use model_notice::ModelNotice;
pub use read_line::{InvalidLine, read_line};
pub use record::Record;
pub use sink::LedgerSink;
pub use snapshot::Snapshot;
pub use totals::{Timing, Totals};

#[cfg(feature = "metrics")]
pub use metrics_sink::MetricsSink;
#[cfg(feature = "tracing")]
pub use tracing_sink::TracingSink;

pub use crate::usage::{Basis, End};
