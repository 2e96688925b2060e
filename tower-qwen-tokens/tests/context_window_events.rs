//! What the guard of the context window tells `tracing`.
//!
//! A program of its own: `tracing` keeps for the whole process whether anybody listens to an event, so tests beside this
//! one that cause the same events unheard would silence it.
#![cfg(all(feature = "tracing", feature = "http"))]

#[path = "support/events.rs"]
mod events;

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, ServiceExt};
use tower_qwen_tokens::{ContextWindowLayer, WindowBook, context_window::OnExceed, data::Window};

fn request(more: &str) -> Request<Full<Bytes>> {
    let body =
        format!(r#"{{"model":"mine","messages":[{{"role":"user","content":"Hello!"}}]{more}}}"#);
    Request::post("http://host/compatible-mode/v1/chat/completions")
        .body(Full::from(body))
        .expect("a valid request")
}

#[tokio::test(start_paused = true)]
async fn whatever_is_done_is_an_event() {
    let events = events::Events::default();
    let _subscribed = tracing::subscriber::set_default(events.clone());
    let window = Window::new(100).max_input(80).max_output(50);
    for (on_exceed, action) in [
        (OnExceed::Reject, "\"rejected\""),
        (OnExceed::Clamp, "\"clamped\""),
        (OnExceed::Warn, "\"warned\""),
    ] {
        let layer = ContextWindowLayer::new(WindowBook::builtin().with("mine", window))
            .on_exceed(on_exceed);
        let guard = layer.layer(tower::service_fn(|_: Request<Full<Bytes>>| async {
            Ok::<_, Infallible>(Response::new(()))
        }));
        let answer = guard.clone().oneshot(request(r#","max_tokens":51"#)).await;
        assert_eq!(answer.is_err(), on_exceed == OnExceed::Reject);
        assert!(guard.oneshot(request("")).await.is_ok());
        let told = events.take();
        assert_eq!(told.len(), 1, "none of what fits");
        let (head, fields) = &told[0];
        assert_eq!(head, "WARN tower_qwen_tokens::context_window");
        assert_eq!(fields["action"], action);
        assert_eq!(fields["ceiling"], "51");
        assert!(!fields.values().any(|value| value.contains("Hello")));
    }
}
