//! Prices, windows, quotas and retirements of models, as data.
//!
//! The built-in rows are in the crate's folder `data`, each with source and date. You can replace
//! each of them at run time, from JSON or TOML (feature `toml`). One document may hold all four:
//!
//! ```toml
//! [[price]]
//! model = "qwen-plus"           # an id, or the beginning of ids: "qwen2-*"
//! region = "international"      # or "beijing", "hong_kong", "frankfurt", "virginia"; without it, everywhere
//! currency = "USD"              # or "Credits", in which plans count
//! # Per million tokens. The first tier whose bound the whole input does not pass counts for all tokens.
//! # Reads from a cache and writes to one: an amount, or a share of the input price; these are the defaults.
//! tiers = [
//!     { up_to_input = 256000, input = "0.4", output = "1.2", thinking_output = "4", implicit_read = "20%" },
//!     { input = "1.2", output = "3.6", thinking_output = "12", explicit_read = "10%", cache_write = "125%" },
//! ]
//! batch_percent = 50            # of the whole, without the caches' prices; the default
//! # Shares of the whole by the clock of that offset, and by the service tier that the answer names.
//! clock = [{ from = "22:00", to = "08:00", utc_offset = "+08:00", share = "20%" }]
//! service_tiers = { flex = "50%" }
//! source = "our contract"       # these three may be left out, in every section
//! date = 2026-11-01
//! note = "until the end of the year"
//!
//! [[window]]
//! model = "qwen-plus"
//! context = 1000000
//! max_input = 997952            # these three may be left out
//! max_output = 32768
//! max_reasoning = 81920
//!
//! [[quota]]
//! model = "qwen-plus"
//! requests = 600                # may be left out where they are not bounded by themselves
//! tokens = 1000000
//! period_seconds = 60           # these two are the defaults
//! dynamic = false               # true: the least that any account has
//!
//! [[retirement]]
//! model = "qwen-turbo"
//! retired = "2026-10-10"
//! successor = "qwen3.7-flash"   # may be left out
//! ```
//!
//! ```
//! use tower_qwen_tokens::{PriceBook, Usage, data::{QuotaBook, WindowBook}};
//!
//! let text = r#"{
//!     "price": [{"model": "qwen-plus", "currency": "EUR", "tiers": [{"input": "0.5", "output": "1"}]}],
//!     "window": [{"model": "mine-*", "context": 8192}]
//! }"#;
//! let prices = PriceBook::builtin().merge(PriceBook::from_json(text)?);
//! let windows = WindowBook::builtin().merge(WindowBook::from_json(text)?);
//! let quotas = QuotaBook::builtin().merge(QuotaBook::from_json(text)?);
//!
//! assert_eq!(prices.cost("qwen-plus", &Usage::new(1_000_000, 0)).ok_or("no price")?.to_string(), "0.5 EUR");
//! assert_eq!(windows.window("mine-7b").ok_or("no window")?.context, 8_192);
//! assert_eq!(quotas.quota("qwen2").ok_or("no quota")?.tokens, 800_000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod book;
mod document;
mod error;
mod model_id;
mod origin;
mod quota;
mod quota_list;
mod region;
mod retirement;
mod rows;
mod section;
mod window;

pub use book::Book;
pub use error::{InvalidData, InvalidDataKind};
pub use origin::Origin;
pub use quota::{ModelQuota, QuotaBook};
pub use region::Region;
pub use retirement::{Retirement, RetirementBook};
pub use rows::RowMatch;
pub use window::{Window, WindowBook};

pub(crate) use model_id::{without_latest, without_latest_or_date};
pub(crate) use section::{BoxError, Section};
