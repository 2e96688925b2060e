//! Guards the context window: what one interaction may have of prompt and answer together.
//!
//! Beyond it the provider truncates or rejects, after the prompt was sent. The guard rejects before
//! anything is sent, lowers the ceiling of the answer to what is left, or warns: see [`OnExceed`].
//!
//! # Where in the stack
//!
//! Outermost, above Retry and Admission: what does not fit is neither queued nor tried again, and a lowered ceiling is what
//! is reserved. Further in it works too, for every attempt.
//!
//! # What it does
//!
//! The prompt is the [`Call`](crate::Call)'s estimate, the answer the request's own ceiling: `max_tokens`,
//! `max_completion_tokens` and the like. A call without a ceiling only has to leave room for an answer at all. Of several
//! answers (`n`) each has the window to itself. The windows are data
//! ([`WindowBook`](crate::WindowBook)) and can be replaced; where public pages differ, the larger
//! figure is taken, since a guard must not reject what the provider allows. An unknown model
//! passes, and so does what is no model call or was left unread.
//!
//! Answer and reasoning are bounded by the sum of what the model allows for both: a request does not always tell them
//! apart.
//!
//! [`OnExceed::Clamp`] changes the number of the ceiling in the body, `Content-Length` and the `Call`, and nothing else. A
//! body that is encoded or signed is left alone, and the call is rejected.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{ServiceExt, service_fn};
//! use tower_layer::Layer;
//! use tower_qwen_tokens::{
//!     ContextWindowLayer, WindowBook, context_window::{ContextWindowExceeded, OnExceed}, data::Window,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let transport = service_fn(|request: Request<Full<Bytes>>| async move {
//!     Ok::<_, std::convert::Infallible>(Response::new(request.into_body()))
//! });
//! let request = |most: u32| {
//!     Request::post("https://dashscope-intl.aliyuncs.com/compatible-mode/v1/chat/completions").body(Full::from(format!(
//!         r#"{{"model":"mine","messages":[{{"role":"user","content":"Hello!"}}],"max_tokens":{most}}}"#
//!     )))
//! };
//! let windows = WindowBook::builtin().with("mine", Window::new(8_192).max_output(4_096));
//!
//! let client = ContextWindowLayer::new(windows.clone()).layer(transport);
//! assert!(client.clone().oneshot(request(4_000)?).await.is_ok());
//! let rejected = client.oneshot(request(5_000)?).await.err().ok_or("sent")?;
//! let exceeded: &ContextWindowExceeded = rejected.downcast_ref().ok_or("another error")?;
//! assert_eq!((exceeded.window.context, exceeded.ceiling), (8_192, Some(5_000)));
//!
//! let client = ContextWindowLayer::new(windows).on_exceed(OnExceed::Clamp).layer(transport);
//! assert!(client.oneshot(request(5_000)?).await.is_ok());
//! # Ok(())
//! # }
//! ```
//!
//! # Errors
//!
//! [`ContextWindowExceeded`], boxed; a [`ReadError`](crate::call::ReadError) where the request could not be read; the
//! inner service's errors, boxed.
//!
//! # Backpressure
//!
//! The inner service's readiness is passed on. Where the request has yet to be read, the ready inner service is taken along
//! into the future.
//!
//! # Cancel safety
//!
//! Dropping the future while the request is being read leaves no trace; later it drops the inner service's future.
//!
//! # Clone
//!
//! Clones, and services of the same layer, share the windows. There is no other state.

mod ceiling;
mod exceeded;
mod future;
mod guard;
mod layer;
mod service;

pub use exceeded::{ContextWindowClamped, ContextWindowExceeded, ContextWindowWarning};
pub use future::ResponseFuture;
pub use guard::OnExceed;
pub use layer::ContextWindowLayer;
pub use service::ContextWindow;
