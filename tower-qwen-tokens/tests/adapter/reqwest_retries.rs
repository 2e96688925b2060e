//! What reqwest sends again by itself: streams of HTTP/2 that the server refuses.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use h2::Reason;
use http::Request;
use tokio::net::TcpListener;
use tower::ServiceExt;
use tower_qwen_tokens::adapter::reqwest_0_13::ReqwestTransport;

use crate::support::builder;

/// Refuses every stream, and counts them.
async fn refusing() -> (SocketAddr, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let seen = Arc::new(AtomicU32::new(0));
    let counting = seen.clone();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let mut connection = h2::server::handshake(socket).await.expect("HTTP/2");
            let counting = counting.clone();
            tokio::spawn(async move {
                while let Some(Ok((_, mut stream))) = connection.accept().await {
                    counting.fetch_add(1, Ordering::Relaxed);
                    stream.send_reset(Reason::REFUSED_STREAM);
                }
            });
        }
    });
    (address, seen)
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_was_built_sends_once() {
    let builder = || builder().http2_prior_knowledge();
    let built = ReqwestTransport::build(builder()).expect("a client");
    let as_it_comes = ReqwestTransport::new(builder().build().expect("a client"));
    for (transport, sent) in [(built, 1), (as_it_comes, 3)] {
        let (address, seen) = refusing().await;
        let request = Request::post(format!("http://{address}/v1/chat/completions"));
        let request = request.body("{}".into()).expect("a request");
        transport.oneshot(request).await.expect_err("refused");
        assert_eq!(seen.load(Ordering::Relaxed), sent);
    }
}
