//! The provider, which notes whose calls reach it, and when.

use std::{
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

use anyhow::Context;
use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    serve::ListenerExt,
};
use http::StatusCode;
use http_body_util::BodyExt;
use mock_qwen::{Config, Enforce, MockQwen, Stats};
use serde::Deserialize;
use tokio::{net::TcpListener, time::sleep};

use super::{
    headers::{RESERVED, SENT, TENANT, number, text},
    tenants,
};

const LONGEST_END: Duration = Duration::from_secs(10);

/// A call that a server has admitted: it was sent before that, and reached the provider after it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Admitted {
    pub(crate) tenant: u32,
    /// Microseconds, as in [`SENT`].
    pub(crate) sent: u64,
    pub(crate) reached: u64,
    /// What the server has reserved for it. Unit: tokens.
    pub(crate) reserved: u64,
    /// What it has cost; 0 for a call that was cut.
    pub(crate) tokens: u64,
}

#[derive(Debug)]
pub(crate) struct Provider {
    mock: MockQwen,
    pub(crate) base: String,
    notes: Notes,
}

/// Clones share them.
#[derive(Debug, Clone)]
struct Notes {
    calls: Arc<Mutex<Vec<Admitted>>>,
    /// The instant 0.
    zero: Instant,
}

#[derive(Deserialize)]
struct Answer {
    usage: Usage,
}

#[derive(Deserialize)]
struct Usage {
    total_tokens: u64,
}

impl Provider {
    /// Answers within this process, and throttles nobody. Times count from `zero` on.
    pub(crate) async fn start(zero: Instant) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let base = format!("http://{}", listener.local_addr()?);
        let mock = MockQwen::new(Config {
            rpm: 1_000_000_000,
            tpm: 1_000_000_000_000,
            // A log of every charge would be long.
            enforce: Enforce::Bucket,
            ttft: Duration::from_millis(5),
            tpot: Duration::from_micros(100),
            output_tokens: 60,
            ..Config::default()
        });
        let notes = Notes {
            calls: Arc::default(),
            zero,
        };
        let router = mock.router().layer(from_fn_with_state(notes.clone(), note));
        let listener = listener.tap_io(|stream| {
            // A socket without it is only slower.
            let _ = stream.set_nodelay(true);
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { mock, base, notes })
    }

    /// What it has seen, once no call is under way any more.
    pub(crate) async fn end(self) -> anyhow::Result<(Stats, Vec<Admitted>)> {
        let began = Instant::now();
        while self.mock.stats().in_flight > 0 {
            anyhow::ensure!(began.elapsed() < LONGEST_END, "calls do not end");
            sleep(Duration::from_millis(10)).await;
        }
        let calls = std::mem::take(&mut *self.notes.lock());
        Ok((self.mock.stats(), calls))
    }
}

/// Notes a call as it comes, and what it costs as it goes.
async fn note(State(notes): State<Notes>, request: Request, next: Next) -> Response {
    let at = notes.add(&request);
    let answered = async {
        let (head, body) = next.run(request).await.into_parts();
        let body = body.collect().await?.to_bytes();
        if let Some(at) = at {
            notes.cost(at, &body)?;
        }
        anyhow::Ok(Response::from_parts(head, Body::from(body)))
    };
    let answer = answered.await;
    answer.unwrap_or_else(|error| {
        (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")).into_response()
    })
}

impl Notes {
    fn add(&self, request: &Request) -> Option<usize> {
        let headers = request.headers();
        let call = Admitted {
            tenant: tenants::number(text(headers, &TENANT)?)?,
            sent: number(headers, &SENT)?,
            reached: micros(self.zero),
            reserved: number(headers, &RESERVED)?,
            tokens: 0,
        };
        let calls = &mut *self.lock();
        calls.push(call);
        Some(calls.len() - 1)
    }

    fn cost(&self, at: usize, body: &Bytes) -> anyhow::Result<()> {
        let answer: Answer = serde_json::from_slice(body).context("the usage of an answer")?;
        if let Some(call) = self.lock().get_mut(at) {
            call.tokens = answer.usage.total_tokens;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Admitted>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Microseconds since the instant 0.
pub(crate) fn micros(zero: Instant) -> u64 {
    u64::try_from(zero.elapsed().as_micros()).unwrap_or(u64::MAX)
}
