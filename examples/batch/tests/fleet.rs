//! Two runs that share a quota through a server of the test's own, by the clock.

#[path = "../../../tower-qwen-ratelimit/tests/redis/server.rs"]
mod server;

use std::{error::Error, fmt::Write};

use batch::{Args, Environment, Exit, execute, stop};
use clap::Parser;
use mock_qwen::{Config, MockQwen};
use server::Server;
use tokio::net::TcpListener;

const RPM: u64 = 100;

#[tokio::test]
async fn two_runs_keep_to_one_quota() -> Result<(), Box<dyn Error>> {
    two_runs(&["--rpm", "100", "--window", "2s"]).await
}

#[tokio::test]
async fn two_runs_share_the_quota_of_the_accounts_list() -> Result<(), Box<dyn Error>> {
    two_runs(&[]).await
}

async fn two_runs(figures: &[&str]) -> Result<(), Box<dyn Error>> {
    let Some(redis) = Server::start() else {
        return Ok(());
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}/compatible-mode/v1", listener.local_addr()?);
    let mock = MockQwen::new(Config {
        rpm: RPM,
        window: std::time::Duration::from_secs(2),
        ..Config::default()
    });
    let serving = tokio::spawn(mock_qwen::serve(listener, mock.clone()));
    let folder = tempfile::tempdir()?;
    let run = async |name: &str, mode: &[&str]| {
        let input = folder.path().join(format!("{name}.jsonl"));
        let mut lines = String::new();
        for number in 0..150 {
            let body = r#"{"model":"qwen-plus","messages":[{"role":"user","content":"How far?"}]}"#;
            writeln!(
                lines,
                r#"{{"custom_id":"{number}","method":"POST","url":"/v1/chat/completions","body":{body}}}"#
            )?;
        }
        std::fs::write(&input, lines)?;
        let (input, url) = (input.display().to_string(), redis.url());
        let mut words = vec![
            "batch",
            "--input",
            &input,
            "--base-url",
            &base,
            "--redis",
            &url,
        ];
        words.extend(figures);
        words.extend(mode);
        let (_stopper, stop) = stop();
        let args = Args::try_parse_from(words)?;
        execute(&args, &Environment::default(), stop)
            .await
            .map_err(|failure| Box::from(failure.to_string()))
    };
    let (one, other): (Result<_, Box<dyn Error>>, Result<_, _>) =
        tokio::join!(run("one", &[]), run("other", &[]));
    assert_eq!((one?, other?), (Exit::Done, Exit::Done));
    let stats = mock.stats();
    // Each for itself they would send twice the quota, and half of it would be throttled.
    let throttled = stats.throttled.total();
    assert!(throttled < 30, "{throttled}");
    assert_eq!(stats.completed, 300);
    serving.abort();
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_shared_is_bad_usage() -> Result<(), Box<dyn Error>> {
    for words in [
        &[
            "--redis",
            "http://h",
            "--base-url",
            "http://h/v1",
            "--bundled",
        ][..],
        // Nobody listens there.
        &[
            "--redis",
            "redis://127.0.0.1:1",
            "--base-url",
            "http://h/v1",
            "--bundled",
        ],
        // Nobody else reaches the mock.
        &["--redis", "redis://127.0.0.1:1"],
    ] {
        let folder = tempfile::tempdir()?;
        let output = folder.path().join("output").display().to_string();
        let words = ["batch", "--output", &output]
            .into_iter()
            .chain(words.iter().copied());
        let args = Args::try_parse_from(words)?;
        let (_stopper, stop) = stop();
        let failure = execute(&args, &Environment::default(), stop)
            .await
            .unwrap_err();
        assert!(failure.to_string().contains("--redis"), "{failure}");
    }
    Ok(())
}
