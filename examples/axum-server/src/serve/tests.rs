//! The times of a connection, to the second.

use std::{convert::Infallible, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    routing::get,
};
use clap::Parser;
use futures_util::stream;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::watch::{Sender, channel},
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{
    Answers,
    connection::{Connections, builder},
    strangers::Strangers,
};
use crate::{Args, readiness::Readiness};

/// The caller's end, the connection, and what ends it.
fn connect() -> (DuplexStream, JoinHandle<()>, Sender<bool>) {
    let endless = async || {
        let event = Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 1_000]));
        Body::from_stream(stream::repeat(event))
    };
    let args = Args::try_parse_from(["axum-server"]).expect("good usage");
    let (end, ending) = channel(false);
    let connections = Connections {
        builder: builder(),
        answers: Answers::new(
            Router::new()
                .route("/", get(async || "ok"))
                .route("/endless", get(endless)),
        ),
        limits: args.limits,
        readiness: Readiness::default(),
        strangers: Strangers::default(),
        ending,
    };
    let (caller, io) = duplex(4_096);
    (caller, tokio::spawn(connections.run(io, None, None)), end)
}

async fn ask(caller: &mut DuplexStream, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: gateway\r\n\r\n");
    caller.write_all(request.as_bytes()).await.expect("room");
}

async fn answer(caller: &mut DuplexStream) {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\nok") {
        assert_ne!(caller.read_buf(&mut text).await.expect("open"), 0);
    }
}

/// In how many whole seconds the connection ends.
async fn ends(connection: JoinHandle<()>) -> u64 {
    let began = Instant::now();
    connection.await.expect("no panic");
    began.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn a_first_head_has_ten_seconds_however_it_comes() {
    for first in ["", "G", "GET / HTTP/1.1\r\nhost: g"] {
        let (mut caller, connection, _end) = connect();
        caller.write_all(first.as_bytes()).await.expect("room");
        assert_eq!(ends(connection).await, 10, "{first}");
    }
    let (mut caller, connection, _end) = connect();
    tokio::spawn(async move {
        while caller.write_all(b"x").await.is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
    });
    assert_eq!(ends(connection).await, 10);
}

#[tokio::test(start_paused = true)]
async fn between_requests_there_are_seventy_five_and_for_the_next_head_ten() {
    let (mut caller, connection, _end) = connect();
    for _ in 0..3 {
        ask(&mut caller, "/").await;
        answer(&mut caller).await;
        sleep(Duration::from_secs(74)).await;
    }
    ask(&mut caller, "/").await;
    answer(&mut caller).await;
    let began = Instant::now();
    assert_eq!(caller.read(&mut [0; 1]).await.expect("closed"), 0);
    assert_eq!(began.elapsed().as_secs(), 75);
    assert_eq!(ends(connection).await, 0);

    let (mut caller, connection, _end) = connect();
    ask(&mut caller, "/").await;
    answer(&mut caller).await;
    sleep(Duration::from_secs(30)).await;
    caller.write_all(b"GET").await.expect("room");
    assert_eq!(ends(connection).await, 10);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_has_sixty_and_a_slow_one_goes_on() {
    let (mut caller, connection, _end) = connect();
    ask(&mut caller, "/endless").await;
    // It takes some of it now and then.
    for _ in 0..20 {
        sleep(Duration::from_secs(50)).await;
        assert_ne!(caller.read(&mut [0; 64]).await.expect("open"), 0);
    }
    let seconds = ends(connection).await;
    assert!((59..=61).contains(&seconds), "{seconds}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_request_ends_with_the_server() {
    let (mut caller, connection, end) = connect();
    ask(&mut caller, "/").await;
    answer(&mut caller).await;
    end.send(true).expect("a connection");
    assert_eq!(ends(connection).await, 0);
}
