//! A provider that notes the keys of its calls and can reject them, and runs of the program.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::Output,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header::AUTHORIZATION},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use mock_qwen::{Config, MockQwen, Stats};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{net::TcpListener, process::Command, task::JoinHandle};

use crate::support::{TestResult, chat};

const BAD_KEY: &str = r#"{"error":{"code":"invalid_api_key","message":"Incorrect API key provided.","type":"invalid_request_error"}}"#;
const USED_UP: &str = r#"{"error":{"type":"usage_limit_reached","message":"The usage limit has been reached","resets_in_seconds":7139}}"#;
const NO_MODEL: &str = r#"{"error":{"code":"model_not_found","message":"The model does not exist.","type":"invalid_request_error"}}"#;

/// What becomes of the calls to a provider from some call on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    BadKey,
    UsedUp,
    NoModel,
    WebPage,
}

/// A mock behind a check of its calls.
pub(crate) struct Provider {
    pub(crate) base: String,
    mock: MockQwen,
    seen: Arc<Seen>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    calls: AtomicU64,
    /// From which call on, counted from 1.
    fate: Option<(u64, Fate)>,
    keys: Mutex<BTreeMap<String, u64>>,
}

impl Seen {
    fn note(&self, key: &str) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        *keys.entry(key.to_owned()).or_default() += 1;
    }
}

impl Provider {
    /// A provider that grants so many requests a minute.
    pub(crate) async fn granting(rpm: u64) -> TestResult<Self> {
        Self::with(rpm, None).await
    }

    pub(crate) async fn with(rpm: u64, fate: Option<(u64, Fate)>) -> TestResult<Self> {
        let mock = MockQwen::new(Config {
            rpm,
            tpm: 100_000_000,
            ttft: std::time::Duration::from_millis(5),
            tpot: std::time::Duration::from_micros(100),
            ..Config::default()
        });
        let seen = Arc::new(Seen {
            fate,
            ..Seen::default()
        });
        let router: Router = mock.router().layer(from_fn_with_state(seen.clone(), check));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base = format!("http://{}/compatible-mode/v1", listener.local_addr()?);
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.ok();
        });
        Ok(Self {
            base,
            mock,
            seen,
            serving,
        })
    }

    pub(crate) fn stats(&self) -> Stats {
        self.mock.stats()
    }

    /// How many calls came.
    pub(crate) fn calls(&self) -> u64 {
        self.seen.calls.load(Ordering::Relaxed)
    }

    /// The keys that came, of calls and of lists.
    pub(crate) fn keys(&self) -> Vec<String> {
        let keys = self.seen.keys.lock();
        let keys = keys.unwrap_or_else(PoisonError::into_inner);
        keys.keys().cloned().collect()
    }

    /// The origin, as the output names it.
    pub(crate) fn origin(&self) -> &str {
        self.base.trim_end_matches("/compatible-mode/v1")
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn check(State(seen): State<Arc<Seen>>, request: Request, next: Next) -> Response {
    let key = request.headers().get(AUTHORIZATION);
    let key = key.and_then(|key| key.to_str().ok()).unwrap_or_default();
    seen.note(key);
    if !request.uri().path().ends_with("/chat/completions") {
        return next.run(request).await;
    }
    let number = seen.calls.fetch_add(1, Ordering::Relaxed) + 1;
    let json = [("content-type", "application/json")];
    match seen.fate {
        Some((from, fate)) if number >= from => match fate {
            Fate::BadKey => (StatusCode::UNAUTHORIZED, json, BAD_KEY).into_response(),
            Fate::UsedUp => (StatusCode::TOO_MANY_REQUESTS, json, USED_UP).into_response(),
            Fate::NoModel => (StatusCode::NOT_FOUND, json, NO_MODEL).into_response(),
            Fate::WebPage => (StatusCode::OK, "<html>Welcome</html>").into_response(),
        },
        _ => next.run(request).await,
    }
}

/// A folder with so many calls, and a file of these accounts: name, key, address and further lines.
pub(crate) fn folder(calls: usize, accounts: &[(&str, &str, &str, &str)]) -> TestResult<TempDir> {
    let folder = tempfile::tempdir()?;
    let calls: String = (0..calls)
        .map(|number| chat(&format!("c{number}"), "Why?"))
        .collect();
    fs::write(folder.path().join("calls.jsonl"), calls)?;
    let tables = accounts.iter().map(|(name, key, base, more)| {
        format!(
            "[[accounts]]\nname = \"{name}\"\napi_key = \"{key}\"\nbase_url = \"{base}\"\n{more}\n"
        )
    });
    let file = format!("version = 1\n{}", tables.collect::<String>());
    fs::write(folder.path().join("accounts.toml"), file)?;
    Ok(folder)
}

pub(crate) async fn batch(
    folder: &Path,
    args: &[&str],
    environment: &[(&str, &str)],
) -> TestResult<Output> {
    Ok(Command::new(env!("CARGO_BIN_EXE_batch"))
        .current_dir(folder)
        .args(["--input", "calls.jsonl", "--summary", "summary.json"])
        .args(args)
        .env_remove("DASHSCOPE_API_KEY")
        .env_remove("DASHSCOPE_BASE_URL")
        .envs(environment.iter().copied())
        .output()
        .await?)
}

pub(crate) fn summary(folder: &Path) -> TestResult<Value> {
    Ok(serde_json::from_slice(&fs::read(
        folder.join("summary.json"),
    )?)?)
}

pub(crate) fn said(run: &Output) -> String {
    String::from_utf8_lossy(&run.stderr).into_owned()
}

/// All that a run has written anywhere.
pub(crate) fn everything(folder: &Path, run: &Output) -> TestResult<String> {
    let mut all = said(run) + &String::from_utf8_lossy(&run.stdout);
    for file in ["calls.output.jsonl", "summary.json"] {
        all += &fs::read_to_string(folder.join(file)).unwrap_or_default();
    }
    Ok(all)
}
