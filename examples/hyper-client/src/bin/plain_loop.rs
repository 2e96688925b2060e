//! Calls a second of hyper's client alone, so many calls at a time: what a runner of many calls is held against.
//!
//! ```text
//! cargo run --release -p mock-qwen -- --rpm 1000000000 --tpm 1000000000000 --output-tokens 1 --ttft 0ms --tpot 0ms
//! cargo run --release -p hyper-client --bin plain_loop -- http://127.0.0.1:8080/compatible-mode/v1 100000 256
//! ```
//!
//! `bash .ci/accept batch_speed` runs both, and `batch` beside them.

use std::{
    env,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{task::JoinSet, time::Instant};
use tower_qwen_ratelimit::BoxError;

const USAGE: &str = "the base URL, how many calls, and how many at a time";

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let mut args = env::args().skip(1);
    let base_url = args.next().ok_or(USAGE)?;
    let calls: u64 = args.next().ok_or(USAGE)?.parse()?;
    let at_a_time: u64 = args.next().ok_or(USAGE)?.parse()?;
    let url: Arc<str> = format!("{}/chat/completions", base_url.trim_end_matches('/')).into();
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).build::<_, Full<Bytes>>(connector);

    let begun = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..at_a_time {
        let (client, url, begun) = (client.clone(), Arc::clone(&url), Arc::clone(&begun));
        tasks.spawn(async move {
            loop {
                let number = begun.fetch_add(1, Relaxed);
                if number >= calls {
                    return Ok::<_, BoxError>(());
                }
                let body = format!(
                    r#"{{"model":"qwen-plus","max_tokens":1,"messages":[{{"role":"user","content":"{number}"}}]}}"#
                );
                let request = Request::post(&*url)
                    .header("authorization", "Bearer sk-mock")
                    .header("content-type", "application/json")
                    .body(Full::from(body))?;
                let answer = client.request(request).await?;
                if answer.status() != StatusCode::OK {
                    return Err("a call was not answered".into());
                }
                answer.into_body().collect().await?;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    println!("{:.0}", calls as f64 / began.elapsed().as_secs_f64());
    Ok(())
}
