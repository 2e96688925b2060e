//! The server on a socket.

use std::future::{Future, pending};
use std::io;

use axum::serve::ListenerExt;
use tokio::net::TcpListener;

use crate::server::MockQwen;

/// Answers on a listener until its task is dropped.
///
/// # Errors
///
/// When the listener fails.
pub async fn serve(listener: TcpListener, mock: MockQwen) -> io::Result<()> {
    serve_until(listener, mock, pending()).await
}

/// Answers on a listener until `stop` is done, then ends the calls in flight.
///
/// # Errors
///
/// When the listener fails.
pub async fn serve_until(
    listener: TcpListener,
    mock: MockQwen,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let listener = listener.tap_io(|stream| {
        // A socket that cannot be told so is only slower.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, mock.router())
        .with_graceful_shutdown(stop)
        .await
}
