//! A server that behaves as the Qwen API does: both dialects, streaming and not, real token
//! counts, quotas that throttle, and faults.
//!
//! It is what the crates of this workspace are proven against, so it shares no code with them.
//! Its clock is tokio's: call [`MockQwen::router`] in-process with paused time, and minutes pass
//! in milliseconds.
//!
//! ```
//! use mock_qwen::{Config, MockQwen};
//!
//! let mock = MockQwen::new(Config { rpm: 60, ..Config::default() });
//! let router = mock.router();
//! assert_eq!(mock.stats().seen, 0);
//! # drop(router);
//! ```
//!
//! # What the quotas count
//!
//! There is one account for all keys and models. A call that is refused (429, 400, 401, 503)
//! counts nothing. A call that is admitted counts one request at its start; [`Charge`] says when
//! its tokens count, and [`Enforce`] over what time.

mod account;
mod answer;
mod clock;
mod config;
mod fault;
mod handler;
mod quota;
mod request;
mod retry_after;
mod serve;
mod server;
mod stats;
mod ticket;
mod tokens;
mod utilisation;
mod wire;

pub use self::config::{Charge, Config, Enforce, Faults, RetryAfter};
pub use self::serve::{serve, serve_until};
pub use self::server::MockQwen;
pub use self::stats::{FaultCounts, Share, Shares, Stats, Throttled, TokenSums, Utilisation};
pub use self::tokens::{count_prompt, count_text};
