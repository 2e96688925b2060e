//! Errors as transports really make them.

#![cfg(feature = "hyper-1")]

mod support;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use support::{ok, request, run};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower_qwen_retry::RetryPolicy;

/// What hyper says of a server that reads the request, sends `answer` and closes the connection.
async fn error_of(answer: &'static [u8]) -> hyper::Error {
    let (client, mut server) = tokio::io::duplex(4_096);
    let (mut sender, connection) = http1::handshake::<_, Full<Bytes>>(TokioIo::new(client))
        .await
        .expect("a handshake");
    let server = async move {
        server.read_u8().await.expect("a request");
        server.write_all(answer).await.expect("room");
    };
    let exchange = async {
        let sent = sender.send_request(request());
        let (sent, ()) = tokio::join!(sent, server);
        sent.expect_err("no answer")
    };
    tokio::select! {
        biased;
        error = exchange => error,
        error = async { let _ = connection.await; std::future::pending().await } => error,
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_closed_amid_an_answer_is_transient() {
    let script = vec![Err(error_of(b"HTTP/1.1 200").await.into()), Ok(ok())];
    assert_eq!(
        run(RetryPolicy::default(), request(), script)
            .await
            .attempts()
            .number,
        2
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_http_is_permanent() {
    let script = vec![Err(error_of(b"SSH-2.0-OpenSSH\r\n\r\n").await.into())];
    assert!(
        run(RetryPolicy::default(), request(), script)
            .await
            .result
            .is_err()
    );
}

/// Whether a call is sent again whose first attempt fails so.
#[cfg(any(
    feature = "hyper-util-0-1",
    feature = "h2-0-4",
    feature = "reqwest-0-13"
))]
async fn is_retried(error: impl Into<tower_qwen_retry::BoxError>) -> bool {
    let error = std::sync::Mutex::new(Some(error.into()));
    let error = &error;
    let inner = tower::service_fn(move |_: http::Request<support::RequestBody>| {
        let failed = error.lock().expect("unbroken").take();
        async { failed.map_or_else(|| Ok(ok()), Err) }
    });
    let layer = tower_qwen_retry::RetryLayer::new(RetryPolicy::default());
    let service = tower::Layer::layer(&layer, inner);
    tower::ServiceExt::oneshot(service, request()).await.is_ok()
}

#[cfg(feature = "hyper-util-0-1")]
mod hyper_util_client {
    use std::io;

    use hyper::Uri;
    use hyper_util::{client::legacy::Client, rt::TokioExecutor};
    use tokio::net::TcpStream;

    use super::*;

    /// What the client says of a connection that cannot be made.
    async fn error_of(kind: io::ErrorKind) -> hyper_util::client::legacy::Error {
        let connector = tower::service_fn(move |_: Uri| {
            let failed = io::Error::new(kind, "no address, or no trust");
            std::future::ready(Err::<TokioIo<TcpStream>, _>(failed))
        });
        let client = Client::builder(TokioExecutor::new()).build::<_, Full<Bytes>>(connector);
        client.request(request()).await.expect_err("no connection")
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_connect_is_transient_unless_the_certificate_is_rejected() {
        assert!(is_retried(error_of(io::ErrorKind::Other).await).await);
        assert!(is_retried(error_of(io::ErrorKind::ConnectionRefused).await).await);
        assert!(!is_retried(error_of(io::ErrorKind::InvalidData).await).await);
    }
}

#[cfg(feature = "h2-0-4")]
mod http2 {
    use h2::Reason;
    use hyper::client::conn::http2;
    use hyper_util::rt::TokioExecutor;

    use super::*;

    /// What hyper says of a server that ends the stream so, or winds the connection up.
    async fn error_of(reason: Reason, goes_away: bool) -> hyper::Error {
        let (client, server) = tokio::io::duplex(65_536);
        let server = async move {
            let mut server = h2::server::handshake(server).await.expect("a handshake");
            let (_, mut respond) = server.accept().await.expect("open").expect("a request");
            if goes_away {
                server.abrupt_shutdown(reason);
            } else {
                respond.send_reset(reason);
            }
            while server.accept().await.is_some() {}
        };
        let client = async move {
            let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(client));
            let (mut sender, connection) = handshake.await.expect("a handshake");
            let sent = sender.send_request(request());
            tokio::select! {
                sent = sent => sent.expect_err("no answer"),
                _ = async { connection.await.ok(); std::future::pending::<()>().await } => unreachable!(),
            }
        };
        tokio::join!(client, server).0
    }

    #[tokio::test(start_paused = true)]
    async fn streams_that_the_server_rejected_are_sent_again() {
        for (reason, expected) in [
            (Reason::REFUSED_STREAM, true),
            (Reason::ENHANCE_YOUR_CALM, true),
            (Reason::INTERNAL_ERROR, true),
            (Reason::PROTOCOL_ERROR, false),
            (Reason::HTTP_1_1_REQUIRED, false),
        ] {
            let error = error_of(reason, false).await;
            assert_eq!(is_retried(error).await, expected, "{reason:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_goaway_the_call_is_sent_again() {
        for reason in [
            Reason::NO_ERROR,
            Reason::PROTOCOL_ERROR,
            Reason::INTERNAL_ERROR,
        ] {
            assert!(is_retried(error_of(reason, true).await).await, "{reason:?}");
        }
    }
}

#[cfg(feature = "reqwest-0-13")]
mod reqwest_client {
    use std::time::Duration;

    use tokio::net::TcpListener;

    use super::*;

    /// A server that listens and says nothing.
    async fn mute() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        (listener, url)
    }

    #[tokio::test(start_paused = true)]
    async fn errors_of_reqwest_are_classified_by_kind() {
        let client = reqwest::Client::new();
        let (listener, url) = mute().await;
        let timed_out = client
            .get(&url)
            .timeout(Duration::from_secs(1))
            .send()
            .await;
        assert!(is_retried(timed_out.expect_err("no answer")).await);
        drop(listener);
        let failed = client.get(&url).send().await.expect_err("nobody listens");
        assert!(is_retried(failed).await);
        let nonsense = client.get("nonsense").send().await.expect_err("no address");
        assert!(!is_retried(nonsense).await);
    }
}
