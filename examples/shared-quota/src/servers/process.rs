//! A server as the program that starts it sees it.

use std::{net::SocketAddr, path::PathBuf, process::Stdio, time::Duration};

use anyhow::Context;
use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use super::{
    args::TenantArgs,
    client::HttpClient,
    server::{FIGURES, Served},
};

const LONGEST_START: Duration = Duration::from_secs(20);
const LONGEST_END: Duration = Duration::from_secs(20);

/// What every server gets.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) tenants: TenantArgs,
    /// The address of the provider.
    pub(crate) base: String,
    pub(crate) redis: Option<String>,
    /// Where the ledgers are.
    pub(crate) directory: PathBuf,
}

/// Ends with the program.
#[derive(Debug)]
pub(crate) struct ServerProcess {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Launch {
    /// The ledger of a server. One that is started again goes on with its file.
    pub(crate) fn ledger(&self, number: usize) -> PathBuf {
        self.directory.join(format!("server-{number}.jsonl"))
    }

    pub(crate) async fn start(&self, number: usize) -> anyhow::Result<ServerProcess> {
        let redis = self.redis.as_deref();
        let redis = redis.into_iter().flat_map(|address| ["--redis", address]);
        let mut child = Command::new(std::env::current_exe()?)
            .args(["server", "--base", &self.base])
            .args(redis)
            .arg("--ledger")
            .arg(self.ledger(number))
            .args(self.tenants.to_arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting a server")?;
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().context("a pipe")?);
        timeout(LONGEST_START, output.read_line(&mut line))
            .await
            .context("a server does not start")??;
        let address = line.trim().parse().context("the address of a server")?;
        Ok(ServerProcess { child, address })
    }
}

impl ServerProcess {
    pub(crate) async fn served(&self, client: &HttpClient) -> anyhow::Result<Served> {
        let request = Request::get(format!("http://{}{FIGURES}", self.address));
        let answer = client.request(request.body(Body::empty())?).await?;
        let body = answer.into_body().collect().await?.to_bytes();
        serde_json::from_slice(&body).context("the figures of a server")
    }

    /// At once, without a word.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("killing a server")
    }

    /// As a server ends that is replaced. Its input ends with the wait.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        let status = timeout(LONGEST_END, self.child.wait())
            .await
            .context("a server does not end")??;
        anyhow::ensure!(status.success(), "a server failed: {status}");
        Ok(())
    }
}
