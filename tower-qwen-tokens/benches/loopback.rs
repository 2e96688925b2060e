//! How much the Meter slows a stream down that comes over hyper on loopback, and what its body costs in memory.
//!
//! `cargo bench -p tower-qwen-tokens --bench loopback`
//!
//! One connection, one stream after the other. Plain and metered streams alternate, so that a change of the machine's
//! mood meets both; what is reported is the median over the pairs.
#![allow(missing_docs)]

use std::{
    convert::Infallible,
    hint::black_box,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::{body::Incoming, client::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tower::{Layer, Service};
use tower_qwen_tokens::{Ledger, MeterLayer};

const EVENTS: usize = 2_000;
const ROUNDS: usize = 300;
const PATH: &str = "/compatible-mode/v1/chat/completions";
const PROMPT: &str = r#"{"model":"qwen-plus","stream":true,"messages":[]}"#;

fn events() -> Vec<Bytes> {
    let pieces = [" The", " quick", "你好", "，世界", ".\\n"];
    let event = |at: usize| {
        let piece = pieces[at % pieces.len()];
        Bytes::from(format!(
            "data: {{\"choices\":[{{\"finish_reason\":null,\"logprobs\":null,\"delta\":{{\"content\":\"{piece}\"}},\"index\":0}}],\
             \"object\":\"chat.completion.chunk\",\"usage\":null,\"created\":1728455191,\"system_fingerprint\":null,\"service_tier\":\"default\",\
             \"model\":\"qwen-plus\",\"id\":\"chatcmpl-e30f5ae7-3063-93c4-90fe-beb5f900bd57\"}}\n\n"
        ))
    };
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":22,\"completion_tokens\":17,\"total_tokens\":39}}\n\n";
    let mut events: Vec<Bytes> = (0..EVENTS).map(event).collect();
    events.extend([
        Bytes::from_static(usage.as_bytes()),
        Bytes::from_static(b"data: [DONE]\n\n"),
    ]);
    events
}

/// A stream whose events are all there at once, or come one by one, each in a write of its own.
fn streamed(
    events: Vec<Bytes>,
    one_by_one: bool,
) -> Response<impl Body<Data = Bytes, Error = Infallible>> {
    let frames = stream::iter(events).then(move |event| async move {
        if one_by_one {
            tokio::task::yield_now().await;
        }
        Ok::<_, Infallible>(Frame::data(event))
    });
    Response::builder()
        .header("content-type", "text/event-stream")
        .body(StreamBody::new(frames))
        .expect("an answer")
}

async fn serve() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let events = events();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            let events = events.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let one_by_one = request.headers().contains_key("one-by-one");
                let answer = streamed(events.clone(), one_by_one);
                async { Ok::<_, Infallible>(answer) }
            });
            let serving = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            tokio::spawn(async move { serving.await.expect("served") });
        }
    });
    address
}

fn request(one_by_one: bool) -> Request<Full<Bytes>> {
    let mut request = Request::post(PATH).header("host", "localhost");
    if one_by_one {
        request = request.header("one-by-one", "yes");
    }
    request.body(Full::from(PROMPT)).expect("a request")
}

async fn drain(body: impl Body<Data = Bytes>) -> usize {
    let mut body = std::pin::pin!(body);
    let mut bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        bytes += frame.data_ref().map_or(0, Bytes::len);
    }
    bytes
}

async fn timed(run: impl Future<Output = usize>) -> Duration {
    #[allow(clippy::disallowed_methods)]
    let begun = Instant::now();
    assert!(black_box(run.await) > EVENTS * 200);
    begun.elapsed()
}

fn median<T: PartialOrd + Copy>(mut values: Vec<T>) -> T {
    values.sort_unstable_by(|a, b| a.partial_cmp(b).expect("numbers"));
    values[values.len() / 2]
}

async fn loopback(one_by_one: bool) {
    let address = serve().await;
    let stream = TcpStream::connect(address).await.expect("connected");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("hyper");
    tokio::spawn(async move { connection.await.expect("served") });
    let layer = MeterLayer::new(Ledger::default());
    let (mut plain, mut metered) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        sender.ready().await.expect("ready");
        let run = async {
            let answer = sender
                .send_request(request(one_by_one))
                .await
                .expect("sent");
            drain(answer.into_body()).await
        };
        plain.push(timed(run).await);
        sender.ready().await.expect("ready");
        // The client of one connection cannot be cloned, so the Meter gets its answer from here.
        let run = async {
            let answer = sender
                .send_request(request(one_by_one))
                .await
                .expect("sent");
            drain(meter(&layer, answer).await).await
        };
        metered.push(timed(run).await);
    }
    let name = if one_by_one {
        "hyper on loopback, event by event"
    } else {
        "hyper on loopback, all at once"
    };
    report(name, plain, metered);
}

async fn meter<B: Body<Data = Bytes> + Send + 'static>(
    layer: &MeterLayer,
    answer: Response<B>,
) -> impl Body<Data = Bytes> + use<B> {
    let answer = std::sync::Arc::new(std::sync::Mutex::new(Some(answer)));
    let mut service = layer.layer(tower::service_fn(move |_: Request<Full<Bytes>>| {
        let answer = answer.lock().expect("no panic while held").take();
        async move { Ok::<_, Infallible>(answer.expect("one call")) }
    }));
    let answer = service.call(request(false)).await.expect("infallible");
    answer.into_body()
}

async fn memory() {
    let layer = MeterLayer::new(Ledger::default());
    let (mut plain, mut metered) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        plain.push(timed(drain(streamed(events(), false).into_body())).await);
        let answer = streamed(events(), false);
        metered.push(timed(async { drain(meter(&layer, answer).await).await }).await);
    }
    report("in memory", plain, metered);
}

fn report(name: &str, plain: Vec<Duration>, metered: Vec<Duration>) {
    let pairs = plain.iter().zip(&metered);
    let ratio =
        |(plain, metered): (&Duration, &Duration)| metered.as_secs_f64() / plain.as_secs_f64();
    let more = (median(pairs.map(ratio).collect()) - 1.0) * 100.0;
    let (plain, metered) = (median(plain), median(metered));
    let each = metered.saturating_sub(plain).as_nanos() / EVENTS as u128;
    println!("{name}: plain {plain:?}, metered {metered:?}: {more:+.2} %, {each} ns per event");
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        memory().await;
        loopback(true).await;
        loopback(false).await;
    });
}
