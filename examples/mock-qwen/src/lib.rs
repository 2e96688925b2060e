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
//! There is one account for all keys and models. A call that is refused (429, 400, 401, 500, 503)
//! counts nothing. A call that is admitted counts one request at its start; [`Charge`] says when
//! its tokens count, and [`Enforce`] over what time.
//!
//! # What else is refused
//!
//! [`Config::per_second`] enforces the quotas over slices too, [`Growth`] punishes a rate that
//! rises too quickly, and [`Faults`] go wrong by chance. [`Stats`] tells them apart.
//!
//! # What a client can learn
//!
//! [`RetryAfter`] and [`RateLimitHeaders`] choose what answers tell. `GET /api/v1/quotas` and
//! `GET /api/v1/models/limits` tell the limits of the account, by pages (`page_no`, `page_size`)
//! and for a `model` or a part of its `name`. `GET /stats` tells all that the server has seen, and
//! `POST /stats/reset` starts that anew.

mod account;
mod answer;
mod clock;
mod config;
mod fault;
mod go_duration;
mod handler;
mod provider;
mod quota;
mod rate_limit_headers;
mod request;
mod retry_after;
mod running;
mod serve;
mod server;
mod stats;
mod ticket;
mod tokens;
mod utilisation;
mod wire;

pub use self::config::{Charge, Config, Enforce, Faults, Growth, RateLimitHeaders, RetryAfter};
pub use self::provider::Provider;
pub use self::running::RunningMock;
pub use self::serve::{serve, serve_until};
pub use self::server::MockQwen;
pub use self::stats::{FaultCounts, Share, Shares, Stats, Throttled, TokenSums, Utilisation};
pub use self::tokens::{count_prompt, count_text};
