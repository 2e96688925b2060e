use std::{net::SocketAddr, time::Duration};

use axum::body::Body;
use axum_server::{
    client::transport,
    serve::{Serve, serve},
};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use mock_qwen::{Config, MockQwen};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};

use crate::{
    secrets::Log,
    support::{CHAT, Harness, TestResult, call},
};

/// A gateway on a socket, before a mock on another.
struct Running {
    harness: Harness,
    at: SocketAddr,
    stop: mpsc::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
}

async fn run(config: Config, grace: Duration) -> TestResult<Running> {
    let mock = MockQwen::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let upstream = listener.local_addr()?;
    tokio::spawn(mock_qwen::serve(listener, mock.clone()));
    let to_mock = tower::ServiceBuilder::new()
        .map_request(move |mut request: Request<Body>| {
            let uri = request.uri().to_string();
            let uri = uri.replace("http://upstream", &format!("http://{upstream}"));
            *request.uri_mut() = uri.parse().expect("a URI");
            request
        })
        .service(transport());
    let harness = Harness::before(to_mock, mock, &["--upstream-key=sk-secret-upstream"])?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let at = listener.local_addr()?;
    let (stop, stops) = mpsc::channel(2);
    let settings = Serve {
        limits: harness.limits.clone(),
        tls: None,
        drain: Duration::ZERO,
        grace,
        readiness: harness.gateway.readiness().clone(),
    };
    let served = tokio::spawn(serve(listener, harness.router.clone(), settings, stops));
    Ok(Running {
        harness,
        at,
        stop,
        served,
    })
}

impl Running {
    fn call(&self, stream: bool) -> Request<Body> {
        let mut request = call(CHAT, "Tell me of rivers.", stream);
        let uri = format!("http://{}{CHAT}", self.at);
        *request.uri_mut() = uri.parse().expect("a URI");
        request
    }

    /// Waits until so many calls are booked.
    async fn booked(&self, calls: u64) {
        while self.harness.total().calls < calls {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

pub(crate) fn caller() -> Client<hyper_util::client::legacy::connect::HttpConnector, Body> {
    Client::builder(TokioExecutor::new()).build_http()
}

#[tokio::test]
async fn over_sockets_too_the_cut_of_a_stream_goes_through_and_no_key_is_logged() -> TestResult {
    let log = Log::listen();
    // A hundred times as slow as it takes to be left.
    let config = Config {
        ttft: Duration::from_millis(1),
        tpot: Duration::from_millis(10),
        ..Config::default()
    };
    let running = run(config, Duration::from_secs(30)).await?;
    let answer = caller().request(running.call(true)).await?;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut body = answer.into_body();
    for _ in 0..3 {
        body.frame().await.ok_or("too short")??;
    }
    // The last of the pool's: its connection ends.
    drop(body);
    running.booked(1).await;
    let total = running.harness.total();
    assert_eq!((total.calls, total.cancelled, total.estimated), (1, 1, 1));
    while running.harness.mock.stats().in_flight > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let stats = running.harness.mock.stats();
    assert_eq!((stats.aborted, stats.completed), (1, 0));
    assert!(!log.text().contains("sk-secret"), "no key in the log");
    assert!(log.text().contains("hyper"), "which is one of everything");
    Ok(())
}

#[tokio::test]
async fn a_stop_lets_calls_under_way_end() -> TestResult {
    let config = Config {
        ttft: Duration::from_millis(1),
        tpot: Duration::from_millis(1),
        ..Config::default()
    };
    let running = run(config, Duration::from_secs(60)).await?;
    let answer = caller().request(running.call(true)).await?;
    let mut body = answer.into_body();
    body.frame().await.ok_or("too short")??;
    running.stop.send(()).await?;
    let rest = body.collect().await?.to_bytes();
    assert!(rest.ends_with(b"data: [DONE]\n\n"));
    running.served.await??;
    let total = running.harness.total();
    assert_eq!((total.calls, total.cancelled, total.estimated), (1, 0, 0));
    assert!(caller().request(call_at(running.at)).await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() -> TestResult {
    let config = Config {
        tpot: Duration::from_secs(3_600),
        ttft: Duration::from_millis(1),
        ..Config::default()
    };
    let running = run(config, Duration::from_millis(20)).await?;
    let answer = caller().request(running.call(true)).await?;
    running.stop.send(()).await?;
    running.served.await??;
    drop(answer);
    Ok(())
}

fn call_at(at: SocketAddr) -> Request<Body> {
    let mut request = call(CHAT, "Hi", false);
    *request.uri_mut() = format!("http://{at}{CHAT}").parse().expect("a URI");
    request
}
