#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

#[cfg(feature = "http")]
pub mod adapter;
pub mod data;
pub mod estimate;
#[cfg(feature = "metrics")]
mod label_values;
pub mod ledger;
pub mod price;
pub mod protocol;
mod usage;
pub mod wording;

#[cfg(feature = "http")]
pub mod call;
#[cfg(feature = "http")]
pub mod clock;
#[cfg(feature = "http")]
pub mod context_window;
#[cfg(feature = "axum-0-8")]
pub mod extract;
#[cfg(feature = "http")]
pub mod judge;
#[cfg(feature = "http")]
pub mod meter;
#[cfg(feature = "http")]
mod paced;
#[cfg(feature = "http")]
mod peeked;
#[cfg(feature = "http")]
pub mod scan;
#[cfg(feature = "http")]
mod sink;
#[cfg(feature = "http")]
pub mod stall_timeout;

pub use data::{QuotaBook, WindowBook};
#[cfg(feature = "metrics")]
pub use label_values::LabelValues;
pub use ledger::Ledger;
pub use price::{Money, PriceBook};
pub use protocol::{Cause, Dialect, Verdict};
pub use usage::Usage;

#[cfg(feature = "http")]
pub use {
    call::{Call, Deadline},
    context_window::ContextWindowLayer,
    meter::MeterLayer,
    paced::Paced,
    peeked::Peeked,
    sink::{Basis, End, Report, Settle, UnknownReason, UsageSink},
};
