//! Extractors for handlers of axum 0.8.
//!
//! | an argument of type | gets the handler | put there by |
//! |---|---|---|
//! | [`SharedCall`] | the call, read once: dialect, model, estimate, the body's bytes | the first of our layers |
//! | [`ResponseUsage`](crate::meter::ResponseUsage) | a handle to state the usage of its answer, or to read it | `MeterLayer` |
//! | [`Tenant`](crate::ledger::Tenant) | the tenant whose call it is | your auth |
//! | `Reserved` (of tower-qwen-ratelimit) | the reservation for the call | `EnforceLayer` |
//!
//! The layers put the body back into the request after reading it: a handler may have `Json` or
//! `Bytes` as well.
//!
//! # Errors
//!
//! If the layer is missing they reject with [`Missing`]: 500 in the caller's dialect, with a
//! message that names the layer. So does `ResponseUsage` if the request is not metered. As an
//! `Option` they return `None` instead.
//!
//! # Example
//!
//! ```
//! use axum::{Json, Router, routing::post};
//! use serde_json::{Value, json};
//! use tower_qwen_tokens::{Ledger, MeterLayer, Usage, extract::SharedCall, meter::ResponseUsage};
//!
//! async fn chat(call: SharedCall, usage: ResponseUsage) -> Json<Value> {
//!     let model = call.model_call().map_or("", |call| &*call.model);
//!     // An answer in a shape of your own, in which the Meter cannot find the usage.
//!     usage.state(Usage::new(12, 3));
//!     Json(json!({"model": model, "text": "Hi!"}))
//! }
//!
//! let ledger = Ledger::default();
//! let app: Router = Router::new()
//!     .route("/v1/chat/completions", post(chat))
//!     .layer(MeterLayer::new(ledger.clone()));
//! # let _ = app;
//! ```

mod extension;
mod missing;
mod response_usage;
mod shared_call;
mod tenant;

pub use missing::Missing;
pub use shared_call::SharedCall;
