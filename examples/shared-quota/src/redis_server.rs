//! A `redis-server` of the program's own.

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, bail};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    time::sleep,
};

/// Ends with the program.
#[derive(Debug)]
pub(crate) struct RedisServer {
    child: Child,
    address: SocketAddr,
    url: String,
    /// What was done before the latest restart.
    before: RedisWork,
}

/// What a server has done.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct RedisWork {
    /// Time of the processor. Unit: seconds.
    pub(crate) cpu: f64,
    /// Scripts that were run.
    pub(crate) scripts: u64,
}

impl RedisServer {
    /// Starts one on a free port of this machine, which keeps nothing on disk.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = free.local_addr()?;
        drop(free);
        Ok(Self {
            child: launch(address).await?,
            address,
            url: format!("redis://{address}"),
            before: RedisWork::default(),
        })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Stands still for so long, as a machine does that swaps.
    pub(crate) async fn pause(&self, time: Duration) -> anyhow::Result<()> {
        self.signal("-STOP").await?;
        sleep(time).await;
        self.signal("-CONT").await
    }

    /// Ends, and starts again after so long, empty and at the same port.
    pub(crate) async fn restart(&mut self, time: Duration) -> anyhow::Result<()> {
        self.before = self.work().await?;
        self.child.kill().await?;
        sleep(time).await;
        self.child = launch(self.address).await?;
        Ok(())
    }

    /// What it has done since it was started first.
    pub(crate) async fn work(&self) -> anyhow::Result<RedisWork> {
        let mut stream = BufReader::new(TcpStream::connect(self.address).await?);
        stream.write_all(b"INFO all\r\n").await?;
        let mut head = String::new();
        stream.read_line(&mut head).await?;
        let length = head.trim().strip_prefix('$').context("a text")?.parse()?;
        let mut text = vec![0; length];
        stream.read_exact(&mut text).await?;
        let now = RedisWork::read(&String::from_utf8(text)?);
        Ok(RedisWork {
            cpu: self.before.cpu + now.cpu,
            scripts: self.before.scripts + now.scripts,
        })
    }

    async fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let id = self.child.id().context("the server has ended")?;
        let mut kill = Command::new("kill");
        let status = kill.args([signal, &id.to_string()]).status().await?;
        anyhow::ensure!(status.success(), "kill {signal}: {status}");
        Ok(())
    }
}

impl RedisWork {
    /// Reads the answer to `INFO all`.
    fn read(text: &str) -> Self {
        let mut work = Self::default();
        for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
            match name {
                "used_cpu_sys" | "used_cpu_user" => work.cpu += value.parse().unwrap_or(0.0),
                "cmdstat_eval" | "cmdstat_evalsha" => {
                    let calls = value.strip_prefix("calls=").unwrap_or_default();
                    let calls = calls.split(',').next().unwrap_or_default();
                    work.scripts += calls.parse().unwrap_or(0);
                }
                _ => {}
            }
        }
        work
    }
}

async fn launch(address: SocketAddr) -> anyhow::Result<Child> {
    let mut child = Command::new("redis-server")
        .args(["--port", &address.port().to_string()])
        .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context(
            "no redis-server starts: install one (Debian: apt-get install redis-server), or name one (--redis URL)",
        )?;
    for _ in 0..200 {
        if TcpStream::connect(address).await.is_ok() {
            return Ok(child);
        }
        if let Some(status) = child.try_wait()? {
            bail!("redis-server ended: {status}");
        }
        sleep(Duration::from_millis(25)).await;
    }
    bail!("redis-server does not answer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_has_done_is_read() {
        let text = "# CPU\r\nused_cpu_sys:0.5\r\nused_cpu_user:0.25\r\nused_cpu_sys_children:9\r\n\
                    cmdstat_evalsha:calls=7,usec=65\r\ncmdstat_eval:calls=1,usec=2\r\ncmdstat_get:calls=3,usec=1\r\n";
        let work = RedisWork::read(text);
        assert_eq!((work.cpu, work.scripts), (0.75, 8));
    }
}
