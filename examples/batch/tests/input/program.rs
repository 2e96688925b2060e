//! The program in a folder of its own, and a provider that notes what it is asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    path::PathBuf,
    process::{Output, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
};
use flate2::{Compression, write::GzEncoder};
use mock_qwen::{Config, MockQwen};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, net::TcpListener, process::Command, task::JoinHandle};
use tower::ServiceExt;

use crate::support::{TestResult, lines};

/// A quota that holds nothing up.
const QUICK: [&str; 4] = ["--rpm", "600000", "--tpm", "1000000000"];

/// A folder for the files of a test, and the provider.
pub(crate) struct Place {
    folder: TempDir,
    base: String,
    bodies: Arc<Mutex<Vec<Value>>>,
    serving: JoinHandle<()>,
}

/// How the program ended and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) said: String,
    pub(crate) printed: String,
}

impl Place {
    pub(crate) async fn new() -> TestResult<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base = format!("http://{}/compatible-mode/v1", listener.local_addr()?);
        let mock = MockQwen::new(Config {
            rpm: 600_000,
            tpm: 1_000_000_000,
            ttft: Duration::from_millis(1),
            ..Config::default()
        });
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&bodies);
        let router = Router::new().fallback(move |request: Request| {
            let (mock, noted) = (mock.router(), Arc::clone(&noted));
            async move {
                let (parts, body) = request.into_parts();
                let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
                let value = serde_json::from_slice(&body).unwrap_or_default();
                noted
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(value);
                mock.oneshot(Request::from_parts(parts, Body::from(body)))
                    .await
            }
        });
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.ok();
        });
        Ok(Self {
            folder: tempfile::tempdir()?,
            base,
            bodies,
            serving,
        })
    }

    /// What the output calls the provider.
    pub(crate) fn provider(&self) -> &str {
        self.base.trim_end_matches("/compatible-mode/v1")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> TestResult {
        let path = self.path(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(fs::write(path, content)?)
    }

    /// Runs the program here.
    pub(crate) async fn batch(&self, args: &[&str]) -> TestResult<Ended> {
        self.batch_with(args, b"").await
    }

    /// The same with something on its standard input.
    pub(crate) async fn batch_with(&self, args: &[&str], stdin: &[u8]) -> TestResult<Ended> {
        let mut child = self.command(args).spawn()?;
        let mut pipe = child.stdin.take().ok_or("no pipe")?;
        // The program may have ended without reading it.
        pipe.write_all(stdin).await.ok();
        drop(pipe);
        let Output {
            status,
            stdout,
            stderr,
        } = child.wait_with_output().await?;
        Ok(Ended {
            code: status.code(),
            said: String::from_utf8(stderr)?,
            printed: String::from_utf8(stdout)?,
        })
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_batch"));
        command
            .current_dir(self.folder.path())
            .args(QUICK)
            .args(["--base-url", &self.base])
            .args(args)
            .env_remove("DASHSCOPE_API_KEY")
            .env_remove("DASHSCOPE_BASE_URL")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs it twice: all is answered, and the second run calls nothing.
    pub(crate) async fn twice(
        &self,
        args: &[&str],
        output: &str,
    ) -> TestResult<BTreeMap<String, Value>> {
        self.twice_with(args, b"", output).await
    }

    pub(crate) async fn twice_with(
        &self,
        args: &[&str],
        stdin: &[u8],
        output: &str,
    ) -> TestResult<BTreeMap<String, Value>> {
        let mut calls = 0;
        for run in 1..=2 {
            let ended = self.batch_with(args, stdin).await?;
            assert_eq!(ended.code, Some(0), "run {run}: {}", ended.said);
            let answered = lines(&self.path(output))?.len();
            if run == 1 {
                calls = self.bodies().len();
                assert!(calls >= answered);
            }
            assert_eq!(self.bodies().len(), calls, "run {run}: {}", ended.said);
        }
        lines(&self.path(output))
    }

    /// What the provider was asked, in the order of arrival.
    pub(crate) fn bodies(&self) -> Vec<Value> {
        let bodies = self.bodies.lock().unwrap_or_else(PoisonError::into_inner);
        bodies.clone()
    }

    /// The last message of each call.
    pub(crate) fn asked(&self) -> BTreeSet<String> {
        let content = |body: &Value| {
            let messages = body["messages"].as_array();
            let last = messages.and_then(|messages| messages.last());
            last.and_then(|message| message["content"].as_str())
                .unwrap_or_default()
                .to_owned()
        };
        self.bodies().iter().map(content).collect()
    }

    /// The names of the files here.
    pub(crate) fn files(&self) -> TestResult<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(self.folder.path())? {
            names.insert(entry?.file_name().to_string_lossy().into_owned());
        }
        Ok(names)
    }

    /// Runs it with wrong arguments: one sentence, exit status 2, nothing sent and nothing written.
    pub(crate) async fn wrong(&self, args: &[&str], stdin: &[u8]) -> TestResult<String> {
        let (files, calls) = (self.files()?, self.bodies().len());
        let ended = self.batch_with(args, stdin).await?;
        assert_eq!(ended.code, Some(2), "{args:?}: {}", ended.said);
        assert!(ended.printed.is_empty());
        assert_eq!(self.bodies().len(), calls, "nothing is sent");
        assert_eq!(self.files()?, files, "nothing is written");
        Ok(ended.said)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

pub(crate) fn gzip(text: &[u8]) -> TestResult<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text)?;
    Ok(encoder.finish()?)
}

pub(crate) fn zstd(text: &[u8]) -> Vec<u8> {
    compress_to_vec(text, CompressionLevel::Fastest)
}

/// The set of these texts.
pub(crate) fn set(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}
