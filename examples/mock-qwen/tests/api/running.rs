//! A mock on a port, and how examples come by one.

use mock_qwen::{Config, MockQwen, Provider, RunningMock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The first line of the answer at this address.
async fn head(base_url: &str) -> std::io::Result<String> {
    let authority = base_url.trim_start_matches("http://");
    let authority = authority.split('/').next().unwrap_or_default();
    let mut socket = TcpStream::connect(authority).await?;
    socket
        .write_all(b"GET /stats HTTP/1.1\r\nhost: mock\r\nconnection: close\r\n\r\n")
        .await?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn it_answers_until_it_is_dropped() {
    let running = RunningMock::start(MockQwen::new(Config::default()))
        .await
        .expect("a port");
    let base_url = running.base_url();
    assert!(base_url.ends_with("/compatible-mode/v1"));
    assert_eq!(head(&base_url).await.expect("an answer"), "HTTP/1.1 200 OK");
    assert_eq!(running.stats().seen, 0);
    drop(running);
    while head(&base_url).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_mock_is_a_provider_and_its_key_is_not_shown() {
    let provider = Provider::mock(Config::default()).await.expect("a port");
    assert_eq!(
        provider.chat_url(),
        format!("{}/chat/completions", provider.base_url())
    );
    assert_eq!(provider.stats().map(|stats| stats.seen), Some(0));
    assert!(!format!("{provider:?}").contains(provider.key()));
}
