//! A server that behaves as the Qwen API does, or as another host that serves Qwen: all dialects,
//! streaming and not, real token counts, quotas that throttle, and faults.
//!
//! It is what the crates of this workspace are proven against, so it shares no code with them.
//! Its clock is tokio's: call [`MockQwen::router`] in-process with paused time, and minutes pass
//! in milliseconds. [`MockQwen::start_call`] leaves HTTP out too.
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
//! # Hosts
//!
//! [`Config::host`] chooses whom it answers like. Bodies are those of public reports, of published
//! code and of packages that were run; `src/wire/hosts` names the source and date of each.
//!
//! | host | throttle | wait is told | usage of a stream | thoughts |
//! |---|---|---|---|---|
//! | `dashscope` | 429; inside a stream a native event | no | own event | `reasoning_content` |
//! | `coding-plan` | 429 `hour allocated quota exceeded` | no | own event | `reasoning_content` |
//! | `token-plan` | 429 with the end of the window, or not | in words | own event | `reasoning_content` |
//! | `vllm` | 503 | no | own event; so far by `continuous_usage_stats` | `reasoning` |
//! | `sglang` | 503; a stream is told in a 200 | no | own event | `reasoning_content` |
//! | `llama-cpp` | waits without a byte | no | one event an answer, `timings` | `reasoning_content` |
//! | `ollama` | 503; 429 for its cloud's limits | no | own event, zeros before it at `/v1/completions` | `reasoning` |
//! | `openrouter` | 429 | epoch in ms, in the body | own event, with the cost; a comment first | `reasoning` |
//! | `groq` | 429; 413 where a call never fits | header, and in words | finish event, and under `x_groq` | `reasoning` |
//! | `litellm` | 429 with `rate_limit_type` | header, always 60 | own event with an empty choice | `reasoning_content` |
//! | `deepseek` | 429; 402 without money | no | finish event, with hits and misses | `reasoning_content` |
//! | `kimi` | 429; 403 for the week | in words | the finish event's choice, and own event | `reasoning_content` |
//! | `zai` | 429 code 1302 | in words, for a plan | finish event | `reasoning_content` |
//! | `volc` | 429 | in words, for a plan | own event | `reasoning_content` |
//! | `modelscope` | 429, `error` or `errors` | no | own event | `reasoning_content` |
//!
//! # Endpoints
//!
//! `/chat/completions`, `/completions`, `/responses`, `/embeddings` and `/models` are below `/v1`,
//! `/compatible-mode/v1` and the base of the host's own; Anthropic's `/v1/messages` (and
//! `/count_tokens`) also below `/apps/anthropic`, `/anthropic` and `/api/anthropic`. Model Studio's
//! own interface (texts, pictures and texts, embeddings, quotas) is there for its three hosts. Tools
//! of a request count as Qwen's template writes them; pictures count nothing.
//!
//! # Calls of tools
//!
//! A request whose `tool_choice` is `required` (Anthropic: `any`) gets a call of its first function, and one that names a
//! function gets a call of that. Where the model may choose, it writes a text, unless the user's last message says
//! `Call NAME.` of one of the functions. The arguments are what the schema requires, and the call counts as the template of
//! Qwen writes it.
//!
//! # The Batch API
//!
//! `POST /files`, `GET /files`, `GET` and `DELETE /files/{id}`, `GET /files/{id}/content`, `POST /batches`, `GET /batches`,
//! `GET /batches/{id}` and `POST /batches/{id}/cancel`, below the bases of the host `dashscope`, which alone has them. Each
//! line of a file is answered as its call would be. Quotas of calls do not count lines, as at the provider. [`Batches`] says
//! how long a job takes and what goes wrong with it; [`BatchStats`] what became of jobs and lines, and what they used.
//!
//! # What the quotas count
//!
//! There is one account for all keys and models. A call that is refused counts nothing. A call that is admitted counts one request at its start; [`Charge`] says when
//! its tokens count, and [`Enforce`] over what time.
//!
//! # What else is refused
//!
//! [`Config::per_second`] enforces the quotas over slices too, [`Growth`] punishes a rate that
//! rises too quickly, a [`Plan`] has a window of hours to weeks, [`Config::concurrency`] bounds the
//! calls at once, and [`Faults`] go wrong by chance. [`Stats`] tells them apart.
//!
//! # What a client can learn
//!
//! [`RetryAfter`] and [`RateLimitHeaders`] choose what answers tell. `GET /api/v1/quotas` and
//! `GET /api/v1/models/limits` tell the limits of the account, by pages (`page_no`, `page_size`)
//! and for a `model` or a part of its `name`; [`QuotaList`] closes the former. `GET /stats` tells all that the server has seen, and
//! `POST /stats/reset` starts that anew.

mod account;
mod answer;
mod batch;
mod clock;
mod config;
mod date;
mod direct;
mod fault;
mod go_duration;
mod handler;
mod host;
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

pub use self::config::{
    BatchFaults, Batches, Charge, Config, Enforce, Faults, Growth, Models, Plan, PlanWindow,
    QuotaList, RateLimitHeaders, RetryAfter,
};
pub use self::direct::{CallTokens, RunningCall};
pub use self::host::{Host, UnknownHost};
pub use self::provider::Provider;
pub use self::running::RunningMock;
pub use self::serve::{serve, serve_until};
pub use self::server::MockQwen;
pub use self::stats::{
    BatchStats, FaultCounts, Share, Shares, Stats, Throttled, TokenSums, Utilisation,
};
pub use self::tokens::{count_prompt, count_text};
