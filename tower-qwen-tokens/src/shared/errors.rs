//! What errors of the transport say, whichever client they come from.

use std::{
    error::Error,
    io::{self, ErrorKind},
    iter,
};

/// An error and what is inside of it, from the outside.
pub fn chain<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error: &&'a (dyn Error + 'static)| {
        // `source` of an `io::Error` skips the error that it wraps, and goes on with that one's
        // source.
        match error.downcast_ref::<io::Error>() {
            Some(error) => error.get_ref().map(|inside| inside as _),
            None => error.source(),
        }
    })
}

/// Whether a failed call was provably never worked on, by one error of its chain: nobody was there to
/// take it, or the server says so itself.
pub fn was_never_begun(error: &(dyn Error + 'static)) -> bool {
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return error.kind() == ErrorKind::ConnectionRefused;
    }
    // No name, no address, no handshake: a client has nothing to write to.
    #[cfg(feature = "hyper-util-0-1")]
    if let Some(error) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
        return error.is_connect();
    }
    #[cfg(feature = "reqwest-0-13")]
    if let Some(error) = error.downcast_ref::<reqwest::Error>() {
        return error.is_connect();
    }
    #[cfg(feature = "h2-0-4")]
    if let Some(error) = error.downcast_ref::<h2::Error>() {
        // RFC 9113, section 8.7: a refused stream was not processed, nor was any above the last one
        // that GOAWAY names. h2 hands the server's GOAWAY to those alone; what it has begun breaks off
        // with the connection instead.
        return error.is_remote()
            && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM));
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejected_connection_has_taken_no_call() {
        let begun = |error: io::Error| !chain(&error).any(was_never_begun);
        assert!(!begun(ErrorKind::ConnectionRefused.into()));
        let deep = io::Error::other(io::Error::from(ErrorKind::ConnectionRefused));
        assert!(!begun(deep));
        for kind in [
            ErrorKind::ConnectionReset,
            ErrorKind::BrokenPipe,
            ErrorKind::UnexpectedEof,
            ErrorKind::TimedOut,
        ] {
            assert!(begun(kind.into()), "{kind:?}");
        }
    }

    /// A name that nobody has, and a server that speaks no TLS.
    #[cfg(feature = "reqwest-0-13")]
    #[tokio::test]
    async fn a_client_without_a_connection_has_sent_nothing() {
        let client = reqwest::Client::builder().no_proxy().build();
        let sent = client
            .expect("a client")
            .get("http://nobody.invalid/")
            .send();
        let error = sent.await.expect_err("no address");
        assert!(chain(&error).any(was_never_begun), "{error:?}");
    }

    #[cfg(feature = "hyper-util-0-1")]
    mod connections {
        use bytes::Bytes;
        use http_body_util::Full;
        use hyper_util::{
            client::legacy::{Client, connect::HttpConnector},
            rt::TokioExecutor,
        };

        use super::*;

        async fn error_of(url: String) -> hyper_util::client::legacy::Error {
            let client: Client<HttpConnector, Full<Bytes>> =
                Client::builder(TokioExecutor::new()).build_http();
            let url = url.parse().expect("a URL");
            client.get(url).await.expect_err("no answer")
        }

        #[tokio::test]
        async fn who_found_no_address_has_sent_nothing() {
            let error = error_of("http://nobody.invalid/".into()).await;
            assert!(chain(&error).any(was_never_begun), "{error:?}");
        }

        #[tokio::test]
        async fn who_was_cut_off_may_have_been_heard() {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
            let listener = listener.expect("a port");
            let address = listener.local_addr().expect("an address");
            let cut = async { drop(listener.accept().await.expect("a connection")) };
            let (error, ()) = tokio::join!(error_of(format!("http://{address}/")), cut);
            assert!(!chain(&error).any(was_never_begun), "{error:?}");
        }
    }

    /// Frames of HTTP/2 by their bytes, since no server of ours leaves a stream alone on purpose.
    #[cfg(feature = "h2-0-4")]
    mod http2 {
        use bytes::Bytes;
        use http::Request;
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        use super::*;

        const HEADERS: u8 = 1;
        const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

        fn go_away(last_stream: u8, reason: u8) -> Vec<u8> {
            let head = [0, 0, 8, 7, 0, 0, 0, 0, 0];
            [&head[..], &[0, 0, 0, last_stream], &[0, 0, 0, reason]].concat()
        }

        fn reset(reason: u8) -> Vec<u8> {
            vec![0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, reason]
        }

        /// What the client's first stream, number 1, comes to when the server says this and leaves.
        async fn error_after(frames: Vec<u8>) -> h2::Error {
            let (client, mut server) = tokio::io::duplex(65_536);
            let server = async move {
                server.write_all(&SETTINGS).await.expect("room");
                let mut preface = [0; 24];
                server.read_exact(&mut preface).await.expect("a preface");
                let mut frame = [0; 9];
                while frame[3] != HEADERS {
                    server.read_exact(&mut frame).await.expect("a frame");
                    let length = usize::from(frame[1]) << 8 | usize::from(frame[2]);
                    let mut payload = vec![0; length];
                    server.read_exact(&mut payload).await.expect("a frame");
                }
                server.write_all(&frames).await.expect("room");
                server.shutdown().await.expect("open");
                let _ = server.read_to_end(&mut Vec::new()).await;
            };
            let client = async move {
                let (mut client, connection) = h2::client::Builder::new()
                    .handshake::<_, Bytes>(client)
                    .await
                    .expect("a handshake");
                let request = Request::get("http://host/").body(()).expect("a request");
                let (answer, _) = client.send_request(request, true).expect("open");
                let (answer, _) = tokio::join!(answer, connection);
                answer.expect_err("no answer")
            };
            tokio::join!(client, server).0
        }

        #[tokio::test]
        async fn a_stream_that_the_server_has_not_begun_is_told_from_one_that_breaks_off() {
            for (name, frames, expected) in [
                ("REFUSED_STREAM", reset(7), true),
                ("INTERNAL_ERROR", reset(2), false),
                ("CANCEL", reset(8), false),
                ("GOAWAY below", go_away(0, 0), true),
                ("GOAWAY below, for a fault", go_away(0, 1), true),
                ("GOAWAY at the stream", go_away(1, 0), false),
                ("nothing", Vec::new(), false),
            ] {
                let error = error_after(frames).await;
                assert_eq!(
                    chain(&error).any(was_never_begun),
                    expected,
                    "{name}: {error:?}"
                );
            }
        }
    }
}
