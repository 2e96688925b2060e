//! What was used and spent, by model.
//!
//! A [`Ledger`] is shared by cloning it. The Meter records every attempt in it; anything else may record as well.
//!
//! ```
//! use tower_qwen_tokens::{Basis, End, Ledger, PriceBook, Usage, ledger::Entry};
//!
//! let ledger = Ledger::new(PriceBook::builtin());
//! ledger.record(&Entry::new("qwen-plus", Usage::new(1_000, 200), Basis::Reported, End::Complete));
//! let snapshot = ledger.snapshot();
//! assert_eq!(snapshot.models["qwen-plus"].input_tokens, 1_000);
//! assert_eq!(snapshot.total.cost[0].to_string(), "0.00064 USD");
//! ```

mod book;
mod entry;
mod totals;

pub use book::{Ledger, Snapshot};
pub use entry::Entry;
pub use totals::{Timing, Totals};

pub use crate::usage::{Basis, End};
