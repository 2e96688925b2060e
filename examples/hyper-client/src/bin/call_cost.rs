//! The processor's time of a call through the stack, beside the same call through hyper's client alone. Linux only.
//!
//! ```text
//! cargo run --release -p mock-qwen -- --rpm 1000000000 --tpm 1000000000000 --output-tokens 10
//! cargo run --release -p hyper-client --bin call_cost -- http://127.0.0.1:8080/compatible-mode/v1
//! ```
//!
//! The mock is another process, so that its time is not in the figure. Calls begin 5,000 times a second, which is 30,000 in a
//! window of six seconds, whether earlier ones have been answered or not. `bash .ci/accept call_cost` runs both.

use std::{env, fs, io, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{task::JoinSet, time};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_qwen_ratelimit::{AdmissionLayer, BoxError, Limiter, Quota};
use tower_qwen_retry::{RetryLayer, RetryPolicy};
use tower_qwen_tokens::{Ledger, MeterLayer, PriceBook};

/// Five each millisecond, which is how finely the timer ticks. At a tenth of that rate the processor sleeps between two calls,
/// and what a call costs is what waking costs.
const BETWEEN_CALLS: Duration = Duration::from_micros(200);
/// Six seconds: more than 150 ms of the processor's time, of which the clock of a thread shows microseconds.
const CALLS: u32 = 30_000;
/// Connections and the account are made before the time is taken.
const CALLS_BEFORE: u32 = 3_000;
const ROUNDS: usize = 3;
/// A minute's quota in the time that a round takes.
const WINDOW: Duration = Duration::from_secs(6);
/// A chat of some 20 tokens.
const BODY: &str = r#"{"model":"qwen-plus","max_tokens":10,"messages":[{"role":"user","content":"Why is the sea salty, and are lakes not, though rivers fill both?"}]}"#;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let base_url = env::args().nth(1).ok_or("whom to call: the base URL")?;
    let url = format!("{}/chat/completions", base_url.trim_end_matches('/'));
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let plain = Client::builder(TokioExecutor::new()).build::<_, Full<Bytes>>(connector);
    let stack = |quota| {
        ServiceBuilder::new()
            .layer(RetryLayer::new(RetryPolicy::default()))
            .layer(AdmissionLayer::new(Limiter::new(quota)))
            .layer(MeterLayer::new(Ledger::new(PriceBook::builtin())))
            .service(plain.clone())
    };
    // No call waits.
    let open = stack(Quota::per_minute(1 << 30, 1 << 40));
    // Calls begin at the whole rate of this quota, of which the headroom leaves 0.98: each one waits for its turn.
    let waiting = stack(Quota::per_minute(30_000, 10_000_000).window(WINDOW));

    let mut micros = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        micros[0].push(micros_a_call(&plain, &url).await?);
        micros[1].push(micros_a_call(&open, &url).await?);
        micros[2].push(micros_a_call(&waiting, &url).await?);
    }
    let [plain, open, waiting] = micros.map(median);
    println!("plain {plain:.1} us a call");
    println!("open {open:.1} us a call, {:.1} more", open - plain);
    println!(
        "waiting {waiting:.1} us a call, {:.1} more",
        waiting - plain
    );
    Ok(())
}

/// The processor's time of one call.
async fn micros_a_call<S, B>(client: &S, url: &str) -> Result<f64, BoxError>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    send(client, url, CALLS_BEFORE).await?;
    let before = processor()?;
    send(client, url, CALLS).await?;
    let took = processor()?.saturating_sub(before);
    Ok(took.as_secs_f64() * 1e6 / f64::from(CALLS))
}

/// Sends so many calls, one every two milliseconds, and reads all answers.
async fn send<S, B>(client: &S, url: &str, calls: u32) -> Result<(), BoxError>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    let mut ticks = time::interval(BETWEEN_CALLS);
    let mut tasks = JoinSet::new();
    for _ in 0..calls {
        ticks.tick().await;
        let request = Request::post(url)
            .header("authorization", "Bearer sk-mock")
            .header("content-type", "application/json")
            .body(Full::from(BODY))?;
        let client = client.clone();
        tasks.spawn(async move {
            let answer = client.oneshot(request).await.map_err(Into::into)?;
            let status = answer.status();
            answer.into_body().collect().await.map_err(Into::into)?;
            Ok::<_, BoxError>(status)
        });
    }
    while let Some(status) = tasks.join_next().await {
        if status?? != StatusCode::OK {
            return Err("a call was not answered".into());
        }
    }
    Ok(())
}

/// How long all threads of this process have run.
fn processor() -> io::Result<Duration> {
    let mut nanos = 0;
    for thread in fs::read_dir("/proc/self/task")? {
        let stat = fs::read_to_string(thread?.path().join("schedstat"))?;
        let own = stat.split(' ').next().and_then(|first| first.parse().ok());
        nanos += own.unwrap_or(0u64);
    }
    Ok(Duration::from_nanos(nanos))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
