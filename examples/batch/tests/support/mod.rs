//! What the tests of the run share: the mock's router as transport, and reading the output.

#![allow(dead_code, reason = "each test uses its part")]

use std::{
    collections::BTreeMap,
    convert::Infallible,
    error::Error,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use axum::body::Body;
use batch::{
    base_url::BaseUrl,
    counts::Counts,
    input::{BadLine, Reader},
    output,
    request::Requests,
    run::{Observe, Run},
    stack::Stack,
    stop::{Stop, Stopper, stop},
    tally::Tally,
};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use mock_qwen::MockQwen;
use serde_json::Value;
use tower::{Service, ServiceExt};
use tower_qwen_ratelimit::{Limiter, Quota};
use tower_qwen_retry::RetryPolicy;
use tower_qwen_tokens::{Ledger, call::BoxError};

pub(crate) type TestResult<T = ()> = Result<T, Box<dyn Error>>;

/// The provider of a harness's run.
const PROVIDER: &str = "http://mock";

/// A run against a mock in this process.
pub(crate) struct Harness {
    pub(crate) mock: MockQwen,
    pub(crate) stack: Stack,
    pub(crate) run: Run,
    pub(crate) output: PathBuf,
    _folder: tempfile::TempDir,
}

/// Notes bad lines, and presses a stopper once so many calls are done.
#[derive(Default)]
pub(crate) struct Watch {
    pub(crate) bad_lines: Vec<String>,
    pub(crate) most_held: u64,
    pub(crate) stop_after: Option<(u64, Stopper)>,
}

impl Observe for Watch {
    fn bad_line(&mut self, line: &BadLine) {
        self.bad_lines.push(line.to_string());
    }

    fn tick(&mut self, counts: &Counts) {
        self.most_held = self.most_held.max(counts.held);
        if self
            .stop_after
            .as_ref()
            .is_some_and(|(after, _)| counts.done() >= *after)
            && let Some((_, stopper)) = self.stop_after.take()
        {
            stopper.press();
        }
    }
}

impl Harness {
    pub(crate) fn new(mock: MockQwen, quota: Quota) -> TestResult<Self> {
        let folder = tempfile::tempdir()?;
        Ok(Self {
            mock,
            stack: Stack {
                limiter: Limiter::new(quota),
                ledger: Ledger::default(),
                tally: Tally::default(),
                accounts: None,
                policy: RetryPolicy::default().seed(7),
                budgets: None,
            },
            run: Run {
                requests: Requests::new(base()?),
                provider: PROVIDER.to_owned(),
                accounts: None,
                concurrency: 64.into(),
                deadline: Duration::from_secs(3_600),
                max_failures: None,
            },
            output: folder.path().join("out.jsonl"),
            _folder: folder,
        })
    }

    /// Runs the input to its end, or until the watch stops it.
    pub(crate) async fn run(&self, input: &[u8], watch: &mut Watch) -> TestResult<Counts> {
        let (_stopper, stop) = stop();
        self.run_with(input, watch, stop).await
    }

    pub(crate) async fn run_with(
        &self,
        input: &[u8],
        watch: &mut Watch,
        stop: Stop,
    ) -> TestResult<Counts> {
        self.run_over(transport(&self.mock), input, watch, stop)
            .await
    }

    /// The same over another transport.
    pub(crate) async fn run_over<T>(
        &self,
        transport: T,
        input: &[u8],
        watch: &mut Watch,
        stop: Stop,
    ) -> TestResult<Counts>
    where
        T: Service<
                Request<Full<Bytes>>,
                Response = Response<Body>,
                Error: Into<BoxError>,
                Future: Send,
            > + Clone
            + Send,
    {
        let (mut writer, existing) = output::open(&self.output, &[PROVIDER])?;
        let mut reader = Reader::new(input, base()?);
        let client = self.stack.client(transport);
        Ok(self
            .run
            .run(
                client,
                &mut reader,
                &existing.answered,
                &mut writer,
                stop,
                watch,
            )
            .await?)
    }

    pub(crate) fn lines(&self) -> TestResult<BTreeMap<String, Value>> {
        lines(&self.output)
    }
}

pub(crate) fn base() -> Result<BaseUrl, batch::base_url::BadUrl> {
    "http://mock/compatible-mode/v1".parse()
}

/// The mock's router as a transport.
pub(crate) fn transport(
    mock: &MockQwen,
) -> impl Service<Request<Full<Bytes>>, Response = Response<Body>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ use<> {
    mock.router()
        .map_request(|request: Request<Full<Bytes>>| request.map(Body::new))
}

/// The lines of an output file by id. Fails where one is not whole, or an id stands twice.
pub(crate) fn lines(path: &Path) -> TestResult<BTreeMap<String, Value>> {
    let text = fs::read_to_string(path)?;
    if !text.is_empty() && !text.ends_with('\n') {
        return Err("the last line is torn".into());
    }
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let value: Value = serde_json::from_str(line)?;
        let id = value["custom_id"]
            .as_str()
            .ok_or("no custom_id")?
            .to_owned();
        if found.insert(id.clone(), value).is_some() {
            return Err(io::Error::other(format!("{id} stands twice")).into());
        }
    }
    Ok(found)
}

/// The ids of the bundled prompts.
pub(crate) fn bundled_ids() -> TestResult<Vec<String>> {
    let mut ids = Vec::new();
    for line in batch::input::bundled()
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let value: Value = serde_json::from_slice(line)?;
        ids.push(
            value["custom_id"]
                .as_str()
                .ok_or("no custom_id")?
                .to_owned(),
        );
    }
    ids.sort();
    Ok(ids)
}

/// A line of input in the compatible dialect.
pub(crate) fn chat(id: &str, text: &str) -> String {
    let body = serde_json::json!({
        "model": "qwen-plus",
        "messages": [{"role": "user", "content": text}],
        "max_tokens": 100,
    });
    line(id, "/v1/chat/completions", &body)
}

pub(crate) fn line(id: &str, url: &str, body: &Value) -> String {
    serde_json::json!({"custom_id": id, "method": "POST", "url": url, "body": body}).to_string()
        + "\n"
}
