//! Servers that take connections and refuse work.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use tower_qwen_ratelimit::{Limiter, Pacing, Quota, fleet::redis::RedisStore};

use crate::{
    server::Server,
    support::{cost, key},
};

/// A server that takes no writes: a replica whose primary is gone.
fn replica() -> Option<Server> {
    Server::start_with(&["--replicaof", "127.0.0.1", "1"])
}

/// What the server has counted so far.
fn connections(server: &Server) -> u64 {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream.write_all(b"INFO stats\r\nQUIT\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let count = text
        .lines()
        .find_map(|line| line.strip_prefix("total_connections_received:"));
    count.unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn a_password_that_is_missing_or_wrong_is_an_error_at_the_start() {
    let Some(server) = Server::start_with(&["--requirepass", "right"]) else {
        return;
    };
    let connect = |password: &str| {
        let url = format!("redis://{password}127.0.0.1:{}", server.port());
        async move { RedisStore::connect(&url).await.map(drop) }
    };
    let missing = connect("").await.unwrap_err().to_string();
    assert!(missing.contains("NOAUTH"), "{missing}");
    let wrong = connect(":wrong@").await.unwrap_err().to_string();
    assert!(!wrong.contains(":wrong"), "{wrong}");
    connect(":right@").await.unwrap();
}

#[tokio::test]
async fn a_server_that_refuses_all_work_is_not_stormed() {
    let Some(server) = replica() else {
        return;
    };
    let before = connections(&server);
    let mut drivers = Vec::new();
    for _ in 0..5 {
        let (store, driver) = RedisStore::connect(&server.url()).await.unwrap();
        drivers.push((store, tokio::spawn(driver)));
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let opened = connections(&server) - before;
    // The first of each, its sessions at 20 ms, 40 ms and so on, and our own question.
    assert!(opened <= 5 * 10 + 1, "{opened} connections in 3 s");
    for (store, driver) in drivers {
        assert!(store.snapshot().is_away);
        driver.abort();
    }
}

#[tokio::test]
async fn a_process_that_was_never_answered_takes_a_part_of_the_quota() {
    let Some(server) = replica() else {
        return;
    };
    let (store, driver) = RedisStore::connect(&server.url()).await.unwrap();
    let driver = tokio::spawn(driver);
    while !store.snapshot().is_away {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let quota = Quota::per_minute(80, 80_000)
        .headroom(0)
        .pacing(Pacing::Window);
    let limiter = Limiter::builder(quota).store(&store).build().unwrap();
    // Kept: a call that is dropped unsent gives its request back.
    let calls = std::iter::from_fn(|| limiter.try_acquire(&key(), cost(1)).ok());
    let admitted: Vec<_> = calls.take(80).collect();
    assert_eq!(admitted.len(), 10, "eight processes are expected");
    driver.abort();
}
