//! Reads the usage of every answer and reports it.
//!
//! # Where in the stack
//!
//! Innermost, next to the transport and inside Retry and Admission, so that each attempt counts,
//! the failed ones included. A decompressing layer belongs below it: a compressed answer goes
//! through unread. So does [`StallTimeoutLayer`](crate::stall_timeout::StallTimeoutLayer), for
//! streams that stall.
//!
//! # What it does
//!
//! The answer stays unchanged, but for the one event below: status, headers, frames, trailers,
//! `size_hint`, `is_end_stream` and errors are the inner service's. While the caller reads the
//! body, a [`Scanner`](crate::scan::Scanner) looks for usage and errors. At the end, in whatever
//! way the body ends, exactly one [`Report`](crate::Report) goes to the
//! [`UsageSink`](crate::UsageSink) in the request's extensions (if there is one) and one
//! [`Entry`](crate::ledger::Entry) to the [`Ledger`](crate::Ledger), for the
//! [`Tenant`](crate::ledger::Tenant) and with the [`Labels`](crate::ledger::Labels) in the
//! request's extensions.
//!
//! | the answer | basis |
//! |---|---|
//! | states its usage, and is JSON or a stream that says that it is whole | `Reported` |
//! | a stream cut after usage that was not the last | `Estimated`: the larger of what was stated and what was delivered |
//! | states a usage that cannot be | `Estimated` from its text and the request |
//! | text of the model without any usage, whole or cut, stream or not | `Estimated` from that text and the request |
//! | a success that was cut before any of that | `Estimated`: the prompt alone, by the request; no output is known |
//! | none, or one that is no success, of a call that an Admission or a Retry further in has not sent (a gateway's), or that has provably never begun | `NotSent` |
//! | a success that is compressed, neither JSON nor events, or whole without usage and text | `Estimated` from the request and the length of the body, with the [reason](crate::UnknownReason); `Unknown` if the request was not read |
//! | an error | `Unknown`, with the reason |
//!
//! A stream says that it is whole by `[DONE]`, a reason to stop of every answer, or its last usage;
//! see [`scan`](crate::scan#streams). The end of its body does not say it: a cut over HTTP/2 can
//! look the same.
//!
//! A usage cannot be if it is beyond the model's context window for each answer that was asked for
//! ([`MeterLayer::windows`]; 10 million tokens for a model that is not listed), or if its input is
//! more than the bytes of the request and 8,192 tokens that the host may add. The latter holds only
//! for requests that name nothing outside of themselves: no URL, file, earlier answer, picture, sound
//! or tool of the host. So it is if its output is 8,192 tokens an answer (32,768 of a model that is not
//! listed) beyond both the bytes of the answer and what the request allows (`max_tokens` and the like,
//! budgets for thoughts, times `n`, `best_of` and prompts). Where it allows any length, or names a tool
//! of the host, the model's longest answer and reasoning count instead. What was stated is then
//! [`Report::impossible`](crate::Report::impossible).
//!
//! An attempt without an answer is recorded as failed after a transport error (`Unknown`: it may
//! not have been sent; where an Admission or a Retry inside knows that it was sent and not answered, `Estimated`: the
//! prompt alone, once, however often it was sent), and as cancelled if it was dropped (`Estimated`: the prompt alone). What the call used and cost
//! is in its [`CallReport`](crate::CallReport) too, in the extensions of the answer. Its
//! sink is dropped uncalled, so that a reservation keeps its estimate. A request that is no model
//! call is not metered. A model call whose body was not read (too large, compressed,
//! [`UnbufferedBody`](crate::call::UnbufferedBody)) is metered as far as its answer states model
//! and usage.
//!
//! Error answers carry a [`Verdict`](crate::Verdict) in their extensions; see
//! [`classify`](crate::classify). The verdict of an error event inside a stream of status 200 is in
//! the report.
//!
//! # Requesting usage
//!
//! A compatible stream states its usage only if the request has `stream_options.include_usage`, in
//! one more event before the end. If the caller did not set it, the Meter does: it sends a copy of
//! the body with that option (one copy for all attempts, the `Content-Length` corrected), and
//! removes the event from the answer (some hosts send one for each of `n` answers). All other bytes
//! stay the same. An event that may be the one
//! is held back until that is clear, up to 8 KiB; others are never held. Until the event has come,
//! `size_hint` allows for both cases. The [`Call`](crate::Call) in the extensions then counts as
//! one that requests usage, so that a Meter further in sends the copy on and keeps the event.
//!
//! Encoded or signed requests are not changed, nor are answers with a `Content-Length` or a digest.
//! Some hosts put `"usage":null` into the other events of such a stream; that stays.
//! [`MeterLayer::request_usage`] switches it off.
//!
//! # Streams that the caller drops
//!
//! The provider bills what it has generated when it notices that the connection is closed. The
//! Meter counts what was delivered ([`MeterLayer::count_cut_streams`]) and marks it `Estimated`. To
//! get the provider's own figure, read on after your client has left:
//!
//! ```no_run
//! # use bytes::Bytes;
//! # use http_body::Body;
//! # use http_body_util::BodyExt;
//! /// Reads the rest of an answer whose client has left.
//! fn drain<B>(body: B)
//! where
//!     B: Body<Data = Bytes> + Send + Unpin + 'static,
//! {
//!     tokio::spawn(async move {
//!         let mut body = body;
//!         while let Some(Ok(_)) = body.frame().await {}
//!     });
//! }
//! ```
//!
//! # Handlers
//!
//! At a server, the handler below finds a [`ResponseUsage`] in the extensions of every metered
//! request. With it the handler can state the usage of its answer, and a task beside it can wait
//! for the report.
//!
//! # Requests that cannot be read
//!
//! The Meter reads the request's body if no layer above has. A request that cannot be read never
//! reaches the inner service: the answer is 400 or 413, without a body, and with the reason as
//! [`BodyRejection`] in its extensions.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use tower::{ServiceExt, service_fn};
//! use tower_layer::Layer;
//! use tower_qwen_tokens::{Ledger, MeterLayer, PriceBook};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let transport = service_fn(|_: Request<Full<Bytes>>| async {
//!     let body = r#"{"choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":200,"total_tokens":1200}}"#;
//!     Response::builder().header("content-type", "application/json").body(Full::<Bytes>::from(body))
//! });
//! let ledger = Ledger::new(PriceBook::builtin());
//! let client = MeterLayer::new(ledger.clone()).layer(transport);
//!
//! let request = Request::post("https://dashscope-intl.aliyuncs.com/compatible-mode/v1/chat/completions")
//!     .header("content-type", "application/json")
//!     .body(Full::from(r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Hello!"}]}"#))?;
//! let answer = client.oneshot(request).await?;
//! answer.into_body().collect().await?;
//! assert_eq!(ledger.snapshot().total.cost[0].to_string(), "0.00064 USD");
//! # Ok(())
//! # }
//! ```
//!
//! # Errors
//!
//! Those of the inner service and of its bodies; none of its own.
//!
//! # Backpressure
//!
//! The Meter is ready when the inner service is. If the request has yet to be read, the future
//! keeps the ready inner service until then.
//!
//! # Cancel safety
//!
//! Dropping the future while the request is being read has no effect. Dropped after the send, the
//! attempt is recorded as cancelled. Dropping the body reports what came until then.
//!
//! # Clone
//!
//! Clones, and services of the same layer, share the ledger.

mod answer_usage;
mod attempt;
mod body;
mod body_rejection;
mod counter;
mod future;
mod layer;
mod outside;
mod request_usage;
mod response_usage;
mod service;
mod settings;
mod usage_bound;
mod usage_event_filter;
mod usage_parts;

pub use body::ResponseBody;
pub use body_rejection::BodyRejection;
pub use future::ResponseFuture;
pub use layer::MeterLayer;
pub use response_usage::ResponseUsage;
pub use service::Meter;
