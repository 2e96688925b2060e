//! `cargo run --release -p axum-server --bin load -- --url http://127.0.0.1:8000 --key sk-demo`: streamed calls of which a
//! share is left in the middle. For the studies of `.ci/accept`.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use clap::Parser;
use http::{Request, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::Serialize;
use tokio::sync::Semaphore;

/// Streamed calls of which a share is left in the middle. Prints what became of them as JSON.
#[derive(Debug, Parser)]
struct Args {
    /// Address of the gateway.
    #[arg(long)]
    url: Uri,
    /// Key for the gateway.
    #[arg(long)]
    key: String,
    /// How many calls.
    #[arg(long, default_value_t = 1_000)]
    calls: u32,
    /// How many at one time.
    #[arg(long, default_value_t = 64)]
    concurrency: usize,
    /// One of so many is left.
    #[arg(long, default_value_t = 10)]
    leave_one_of: u32,
    /// After how many frames.
    #[arg(long, default_value_t = 5)]
    leave_after: u32,
}

#[derive(Debug, Default, Serialize)]
struct Outcomes {
    completed: u32,
    left: u32,
    refused: u32,
    broken: u32,
}

enum Outcome {
    Completed,
    Left,
    Refused,
    Broken,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Arc::new(Args::parse());
    let client = Client::builder(TokioExecutor::new())
        .pool_idle_timeout(Duration::from_secs(5))
        .build_http::<Body>();
    let slots = Arc::new(Semaphore::new(args.concurrency));
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..args.calls {
        let slot = Arc::clone(&slots).acquire_owned().await?;
        let (args, client) = (Arc::clone(&args), client.clone());
        calls.spawn(async move {
            let outcome = call(&args, &client, number).await;
            drop(slot);
            outcome.unwrap_or(Outcome::Broken)
        });
    }
    let mut outcomes = Outcomes::default();
    while let Some(outcome) = calls.join_next().await {
        *match outcome? {
            Outcome::Completed => &mut outcomes.completed,
            Outcome::Left => &mut outcomes.left,
            Outcome::Refused => &mut outcomes.refused,
            Outcome::Broken => &mut outcomes.broken,
        } += 1;
    }
    println!("{}", serde_json::to_string(&outcomes)?);
    Ok(())
}

async fn call(
    args: &Args,
    client: &Client<HttpConnector, Body>,
    number: u32,
) -> anyhow::Result<Outcome> {
    let body = serde_json::json!({
        "model": "qwen-plus",
        "stream": true,
        "messages": [{"role": "user", "content": format!("{number}: tell me of rivers.")}],
    });
    let origin = args.url.to_string();
    let request = Request::post(format!(
        "{}/v1/chat/completions",
        origin.trim_end_matches('/')
    ))
    .header("authorization", format!("Bearer {}", args.key))
    .header("content-type", "application/json")
    .body(Body::from(body.to_string()))?;
    let answer = client.request(request).await?;
    if answer.status() != StatusCode::OK {
        return Ok(Outcome::Refused);
    }
    let is_left = number.is_multiple_of(args.leave_one_of.max(1));
    let mut body = answer.into_body();
    let mut frames = 0;
    while let Some(frame) = body.frame().await {
        frame?;
        frames += 1;
        if is_left && frames == args.leave_after {
            return Ok(Outcome::Left);
        }
    }
    Ok(Outcome::Completed)
}
