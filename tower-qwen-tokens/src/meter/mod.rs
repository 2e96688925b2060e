//! Reads the usage of every answer and reports it.
//!
//! # Where in the stack
//!
//! Innermost, next to the transport and inside Retry and Admission, so that each attempt counts, the failed ones
//! included. A decompressing layer belongs below it: a compressed answer is passed on unread. So does
//! [`StallTimeoutLayer`](crate::stall_timeout::StallTimeoutLayer), for streams that fall silent.
//!
//! # What it does
//!
//! The answer passes unchanged, but for the one event below: status, headers, frames, trailers, `size_hint`,
//! `is_end_stream` and errors are the inner service's. While its body passes, a [`Scanner`](crate::scan::Scanner) looks
//! for usage and errors. At the end, however it ends, exactly one [`Report`](crate::Report) goes to the
//! [`UsageSink`](crate::UsageSink) in the request's extensions (if there is one) and one
//! [`Entry`](crate::ledger::Entry) to the [`Ledger`](crate::Ledger), for the [`Tenant`](crate::ledger::Tenant) and with
//! the [`Labels`](crate::ledger::Labels) in the request's extensions.
//!
//! | the answer | basis |
//! |---|---|
//! | states its usage, and is whole or says that it is finished | `Reported` |
//! | a stream cut after usage that was not yet the last | `Estimated`: the larger of what was stated and what was delivered |
//! | text of the model without any usage, whole or cut, stream or not | `Estimated` from that text and the request |
//! | nothing, before it was cut or left | `Estimated`: the prompt alone, by the request; of the output nothing is known |
//! | an error answer, a compressed one, neither JSON nor events, or nothing in a whole one | `Unknown`, with the [reason](crate::UnknownReason) |
//!
//! An attempt without an answer (a transport error, or dropped before) is booked as failed (`Unknown`: it may not have been
//! sent) or cancelled (`Estimated`: the prompt alone), and its sink is dropped uncalled: whoever asked keeps its estimate. A request that is no model call is not metered at all. A model
//! call whose body was left unread (too large, compressed, [`UnbufferedBody`](crate::call::UnbufferedBody)) is metered as far
//! as its answer states model and usage; of its prompt nothing is known otherwise.
//!
//! Error answers carry a [`Verdict`](crate::Verdict) in their extensions; see [`classify`](crate::classify). An error event
//! inside a stream of status 200 stands in the report.
//!
//! # Asking for usage
//!
//! A compatible stream states its usage only where the request asks for it (`stream_options.include_usage`), in one more
//! event before the end. Where the caller did not ask, the Meter does: it sends a copy of the body with that option (one
//! copy for all attempts, the `Content-Length` corrected), and takes the event out again. Everything else passes byte for
//! byte. An event that may be the one is held back until that is clear, up to 8 KiB; others are never held. While it
//! looks for it, `size_hint` leaves open whether it comes. The [`Call`](crate::Call) in the extensions is from there on one
//! that asks, so that a client further in, its retries included, sends what was asked for and leaves the event alone.
//!
//! Left alone are requests that are encoded or signed, and answers with a `Content-Length` or a digest. Some hosts put
//! `"usage":null` into the other events once they are asked; that stays. Switched off by
//! [`MeterLayer::ask_for_usage`].
//!
//! # Streams that the caller leaves
//!
//! The provider bills what it has generated when it notices that the caller is gone. The Meter counts what was delivered
//! ([`MeterLayer::count_cut_streams`]) and marks it `Estimated`. Whoever wants the provider's own figure reads on when its
//! client has left:
//!
//! ```no_run
//! # use bytes::Bytes;
//! # use http_body::Body;
//! # use http_body_util::BodyExt;
//! /// Reads the rest of an answer that nobody waits for any more.
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
//! At a server, the handler below finds an [`ResponseUsage`] in the extensions of every request that is metered: by it it can
//! state what its answer costs, and a task beside it can wait for the report.
//!
//! # Requests that cannot be read
//!
//! The request's body is read if no layer above has read it. One that cannot be read never reaches the inner service: it
//! is answered with 400 or 413, without a body, and the reason as [`BodyRejection`] in the extensions.
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
//! None of its own: a request that cannot be read is answered. Those of the inner service and of its bodies are passed on.
//!
//! # Backpressure
//!
//! The inner service's readiness is passed on. Where the request has yet to be read, the ready inner service is taken
//! along into the future.
//!
//! # Cancel safety
//!
//! Dropping the future while the request is being read leaves no trace. Dropped after the send, the attempt is booked as
//! cancelled. Dropping the body reports what was seen until then.
//!
//! # Clone
//!
//! Clones, and services of the same layer, share the ledger.

mod ask;
mod attempt;
mod body;
mod body_rejection;
mod counter;
mod extra_event;
mod future;
mod layer;
mod response_usage;
mod service;

pub use body::ResponseBody;
pub use body_rejection::BodyRejection;
pub use future::ResponseFuture;
pub use layer::MeterLayer;
pub use response_usage::ResponseUsage;
pub use service::Meter;
