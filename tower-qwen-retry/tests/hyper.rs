//! Errors as hyper really makes them.

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
async fn a_connection_that_closes_in_mid_answer_is_transient() {
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
async fn what_is_no_http_at_all_is_permanent() {
    let script = vec![Err(error_of(b"SSH-2.0-OpenSSH\r\n\r\n").await.into())];
    assert!(
        run(RetryPolicy::default(), request(), script)
            .await
            .result
            .is_err()
    );
}
