//! A folder for the files of a test, the program in it, and a provider that can withhold an answer.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::{Output, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    response::Response,
};
use mock_qwen::{Batches, Config, MockQwen};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    sync::oneshot,
    task::JoinHandle,
};
use tower::ServiceExt;

use crate::support::{TestResult, line, lines};

pub(crate) const OUTPUT: &str = "calls.output.jsonl";

pub(crate) struct Place {
    folder: TempDir,
    base: String,
    pub(crate) mock: MockQwen,
    /// Of the program.
    pub(crate) key: &'static str,
    trap: Arc<Mutex<Option<Trap>>>,
    /// So many of the next answers break off.
    breaks: Arc<AtomicU32>,
    serving: JoinHandle<()>,
}

/// The first request of this kind is never answered.
pub(crate) struct Trap {
    pub(crate) method: &'static str,
    /// A part of its path.
    pub(crate) path: &'static str,
    /// Whether it takes effect.
    pub(crate) takes_effect: bool,
    pub(crate) caught: oneshot::Sender<()>,
}

/// How the program ended and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) said: String,
    pub(crate) printed: String,
}

/// A provider that is soon done.
pub(crate) fn quick() -> Config {
    Config {
        rpm: 1_000_000,
        tpm: 1_000_000_000,
        ttft: Duration::ZERO,
        tpot: Duration::ZERO,
        batches: Batches {
            work: Duration::from_millis(50),
            ..Batches::default()
        },
        ..Config::default()
    }
}

/// So many calls of a model.
pub(crate) fn calls(model: &str, ids: std::ops::Range<u32>) -> String {
    let call = |id: u32| {
        let body = json!({
            "model": model,
            "messages": [{ "role": "user", "content": format!("What is {id}?") }],
            "max_tokens": 50,
        });
        line(&format!("{model}-{id}"), "/v1/chat/completions", &body)
    };
    ids.map(call).collect()
}

impl Place {
    /// With this input, `calls.jsonl`.
    pub(crate) async fn new(config: Config, input: &str) -> TestResult<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base = format!("http://{}/compatible-mode/v1", listener.local_addr()?);
        let mock = MockQwen::new(config);
        let trap: Arc<Mutex<Option<Trap>>> = Arc::default();
        let breaks: Arc<AtomicU32> = Arc::default();
        let (router, set, left) = (mock.router(), Arc::clone(&trap), Arc::clone(&breaks));
        let router = Router::new().fallback(move |request: Request| {
            let (router, caught) = (router.clone(), caught(&set, &request));
            let is_broken = left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                    left.checked_sub(1)
                })
                .is_ok();
            async move {
                if is_broken {
                    let broken = std::io::Error::other("broken");
                    let body = futures_util::stream::iter([Err::<Bytes, _>(broken)]);
                    return Ok(Response::new(Body::from_stream(body)));
                }
                let Some(trap) = caught else {
                    return router.oneshot(request).await;
                };
                if trap.takes_effect {
                    router.oneshot(request).await?;
                }
                trap.caught.send(()).ok();
                std::future::pending().await
            }
        });
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.ok();
        });
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("calls.jsonl"), input)?;
        Ok(Self {
            folder,
            base,
            mock,
            key: "sk-secret",
            trap,
            breaks,
            serving,
        })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn provider(&self) -> &str {
        self.base.trim_end_matches("/compatible-mode/v1")
    }

    /// So many of the next answers break off.
    pub(crate) fn break_next(&self, answers: u32) {
        self.breaks.store(answers, Ordering::Relaxed);
    }

    /// From now on a request is never answered.
    pub(crate) fn set(&self, trap: Trap) {
        *lock(&self.trap) = Some(trap);
    }

    /// Submits `calls.jsonl`.
    pub(crate) async fn submit(&self, args: &[&str]) -> TestResult<Ended> {
        let submit = [
            "--input",
            "calls.jsonl",
            "--submit",
            "--poll-interval",
            "20ms",
        ];
        self.batch(&[&submit[..], args].concat()).await
    }

    /// Runs the program.
    pub(crate) async fn batch(&self, args: &[&str]) -> TestResult<Ended> {
        let child = self.command(args).spawn()?;
        let Output {
            status,
            stdout,
            stderr,
        } = child.wait_with_output().await?;
        let (said, printed) = (String::from_utf8(stderr)?, String::from_utf8(stdout)?);
        assert!(
            !said.contains("secret") && !printed.contains("secret"),
            "{said}"
        );
        Ok(Ended {
            code: status.code(),
            said,
            printed,
        })
    }

    /// The program while it submits `calls.jsonl`.
    pub(crate) fn spawn(&self, args: &[&str]) -> TestResult<Child> {
        let submit = [
            "--input",
            "calls.jsonl",
            "--submit",
            "--poll-interval",
            "20ms",
        ];
        Ok(self.command(&[&submit[..], args].concat()).spawn()?)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_batch"));
        command
            .current_dir(self.folder.path())
            .args(["--base-url", &self.base])
            .args(args)
            .env("DASHSCOPE_API_KEY", self.key)
            .env_remove("DASHSCOPE_BASE_URL")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    pub(crate) fn lines(&self) -> TestResult<BTreeMap<String, Value>> {
        lines(&self.path(OUTPUT))
    }

    /// The ids that are answered.
    pub(crate) fn answered(&self) -> TestResult<Vec<String>> {
        let lines = self.lines()?.into_iter();
        Ok(lines
            .filter(|(_, line)| line["error"].is_null())
            .map(|(id, _)| id)
            .collect())
    }

    pub(crate) fn has_jobs(&self) -> bool {
        self.path(&format!("{OUTPUT}.jobs")).exists()
    }
}

fn caught(trap: &Mutex<Option<Trap>>, request: &Request) -> Option<Trap> {
    let mut trap = lock(trap);
    trap.take_if(|trap| request.method() == trap.method && request.uri().path().contains(trap.path))
}

fn lock(trap: &Mutex<Option<Trap>>) -> MutexGuard<'_, Option<Trap>> {
    trap.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Place {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
