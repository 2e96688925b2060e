//! A gateway whose transport is the mock's router.

use std::{error::Error, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    response::Response,
};
use axum_server::{Args, Gateway, limits::Limits, metrics, serve::Answers};
use clap::Parser;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use mock_qwen::{Config, MockQwen};
use serde_json::{Value, json};
use tower::{Service, ServiceExt};
use tower_qwen_tokens::{call::BoxError, ledger::Totals};

pub(crate) type TestResult<T = ()> = Result<T, Box<dyn Error>>;

pub(crate) const CHAT: &str = "/v1/chat/completions";
pub(crate) const NATIVE: &str = "/api/v1/services/aigc/text-generation/generation";
pub(crate) const ANTHROPIC: &str = "/apps/anthropic/v1/messages";

/// Room for everybody, at the gateway and behind it.
pub(crate) const WIDE: [&str; 6] = [
    "--rpm=1000000",
    "--tpm=1000000000",
    "--upstream-rpm=1000000",
    "--upstream-tpm=1000000000",
    "--key=acme=sk-secret-acme",
    "--key=zed=sk-secret-zed",
];

/// A gateway, and the provider behind it where that is the mock.
pub(crate) struct Harness {
    pub(crate) mock: MockQwen,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) router: Answers,
    pub(crate) limits: Limits,
}

impl Harness {
    /// In front of a mock.
    pub(crate) fn new(config: Config, flags: &[&str]) -> TestResult<Self> {
        let mock = MockQwen::new(config);
        Self::before(mock.router(), mock, flags)
    }

    /// In front of anything.
    pub(crate) fn before<T, B>(transport: T, mock: MockQwen, flags: &[&str]) -> TestResult<Self>
    where
        T: Service<
                Request<Body>,
                Response = http::Response<B>,
                Error: Into<BoxError>,
                Future: Send + 'static,
            > + Clone
            + Send
            + Sync
            + 'static,
        B: http_body::Body<Data = Bytes, Error: Into<BoxError> + Send> + Send + 'static,
    {
        let args = Args::try_parse_from(["axum-server"].iter().chain(&WIDE).chain(flags))?;
        // Of this thread, on which the whole test runs.
        let recorder = Box::leak(Box::new(metrics::recorder(Duration::ZERO)?));
        std::mem::forget(::metrics::set_default_local_recorder(recorder));
        let limits = args.limits.clone();
        let target = "http://upstream/compatible-mode/v1".parse()?;
        let gateway = Gateway::new(&args, target, transport, recorder.handle())?;
        let gateway = Arc::new(gateway);
        Ok(Self {
            mock,
            router: gateway.router(),
            gateway,
            limits,
        })
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Response {
        let Ok(answer) = self.router.clone().oneshot(request).await;
        answer
    }

    /// Sends a call and reads its answer to the end.
    pub(crate) async fn text(&self, request: Request<Body>) -> TestResult<(StatusCode, String)> {
        let (status, body) = read(self.send(request).await).await?;
        Ok((status, String::from_utf8(body)?))
    }

    pub(crate) fn total(&self) -> Totals {
        self.gateway.ledger().snapshot().total
    }
}

pub(crate) async fn read(answer: Response) -> TestResult<(StatusCode, Vec<u8>)> {
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    Ok((status, body.to_vec()))
}

/// A call of acme's.
pub(crate) fn call(path: &str, prompt: &str, stream: bool) -> Request<Body> {
    call_of("sk-secret-acme", path, prompt, stream)
}

pub(crate) fn call_of(key: &str, path: &str, prompt: &str, stream: bool) -> Request<Body> {
    let messages = json!([{"role": "user", "content": prompt}]);
    let body = if path == NATIVE {
        json!({"model": "qwen-plus", "input": {"messages": messages}})
    } else {
        json!({"model": "qwen-plus", "messages": messages, "stream": stream, "max_tokens": 400})
    };
    let mut request = Request::post(path)
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json");
    if path == NATIVE && stream {
        request = request.header("x-dashscope-sse", "enable");
    }
    request
        .body(Body::from(body.to_string()))
        .expect("a request")
}

/// The message of an error in any dialect, and its code or, where it has none, its type.
pub(crate) fn problem(body: &str) -> TestResult<(String, String)> {
    let body: Value = serde_json::from_str(body)?;
    let error = body.get("error").unwrap_or(&body);
    let text = |name: &str| error[name].as_str().map(str::to_owned);
    let code = text("code").or(text("type")).ok_or("no code")?;
    Ok((text("message").ok_or("no message")?, code))
}
