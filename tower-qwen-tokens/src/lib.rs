#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

#[cfg(feature = "http")]
pub mod adapter;
pub mod data;
pub mod error_format;
pub mod estimate;
#[doc(hidden)]
pub mod internal;
mod json_reader;
pub mod ledger;
mod macros;
mod not_sent;
mod plan_used_up;
pub mod price;
pub mod protocol;
mod shared;
mod usage;

#[cfg(feature = "http")]
pub mod call;
#[cfg(feature = "http")]
pub mod classify;
#[cfg(feature = "http")]
pub mod context_window;
#[cfg(feature = "axum-0-8")]
pub mod extract;
#[cfg(feature = "http")]
pub mod meter;
#[cfg(feature = "http")]
mod paced_until;
#[cfg(feature = "http")]
pub mod scan;
#[cfg(feature = "http")]
mod sink;
#[cfg(feature = "http")]
pub mod stall_timeout;

pub use data::{QuotaBook, WindowBook};
pub use ledger::Ledger;
pub use not_sent::NotSent;
pub use plan_used_up::PlanUsedUp;
pub use price::{Money, PriceBook};
pub use protocol::{Cause, Dialect, Verdict};
pub use usage::{CacheType, Usage};

#[cfg(feature = "http")]
pub use {
    call::{AccountId, Call, CallReport, Deadline},
    context_window::ContextWindowLayer,
    meter::MeterLayer,
    paced_until::PacedUntil,
    sink::{Basis, End, OnUsage, Report, UnknownReason, UsageSink},
};
