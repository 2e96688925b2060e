//! Extractors for handlers of axum 0.8.
//!
//! | a handler asks for | and gets | put there by |
//! |---|---|---|
//! | [`SharedCall`] | the call, read once: dialect, model, estimate, the body's bytes | the first of our layers |
//! | [`ResponseUsage`](crate::meter::ResponseUsage) | a handle to state the usage of its answer, or to learn it | `MeterLayer` |
//! | [`Tenant`](crate::ledger::Tenant) | whose call it is | your auth |
//! | `Reserved` (of tower-qwen-ratelimit) | what was set aside for the call | `EnforceLayer` |
//!
//! The body was read by then, and stands in the request again: a handler may have `Json` or `Bytes` beside them.
//!
//! # Errors
//!
//! Where the layer is missing they reject with [`Missing`]: 500 in the caller's dialect, with a message that names the
//! layer. So does `ResponseUsage` of a request that is not metered. As an `Option` they give `None` instead.
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
//!     // An answer in a shape of its own, whose cost the Meter could not find.
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

mod missing;
mod response_usage;
mod shared_call;
mod tenant;

pub use missing::Missing;
pub use shared_call::SharedCall;
