//! A `redis-server` of a test's own, on a free port of this machine.
#![allow(dead_code, unreachable_pub)]

use std::{
    io::{BufRead, BufReader, ErrorKind},
    net::TcpListener,
    process::{Child, Command, Stdio},
};

/// Stops with the test.
#[derive(Debug)]
pub struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// `None` where there is no `redis-server`: then the test is skipped, though never in CI.
    ///
    /// # Panics
    ///
    /// In CI without a `redis-server`, and where none starts.
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// The same, told more.
    ///
    /// # Panics
    ///
    /// As [`Server::start`].
    pub fn start_with(arguments: &[&str]) -> Option<Self> {
        for _ in 0..10 {
            let free = TcpListener::bind("127.0.0.1:0").and_then(|bound| bound.local_addr());
            let port = free.expect("a free port").port();
            match Self::start_at(port, arguments) {
                Ok(Some(server)) => return Some(server),
                Ok(None) => {} // Somebody else took the port.
                Err(missing) => {
                    assert!(
                        std::env::var_os("CI").is_none(),
                        "redis-server: {missing}; install it (Debian: redis-server)"
                    );
                    eprintln!("skipped: no redis-server (Debian: apt-get install redis-server)");
                    return None;
                }
            }
        }
        panic!("no redis-server starts");
    }

    fn start_at(port: u16, arguments: &[&str]) -> Result<Option<Self>, ErrorKind> {
        let mut child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(std::env::temp_dir())
            .args(["--cluster-config-file", &nodes_file(port)])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.kind())?;
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let is_ready = lines
            .by_ref()
            .map_while(Result::ok)
            .any(|line| line.contains("eady to accept connections"));
        if !is_ready {
            let _ = child.wait();
            return Ok(None);
        }
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Some(Self { child, port }))
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends it; what it held is lost.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it anew at the same port, empty.
    pub fn restart(&mut self) {
        self.kill();
        *self = Self::start_at(self.port, &[])
            .expect("it is there")
            .expect("its port is free again");
    }

    /// Stops it without ending it, as a machine does that swaps; or lets it go on.
    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(status.expect("kill").success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(std::env::temp_dir().join(nodes_file(self.port)));
    }
}

/// What a node of a cluster writes.
fn nodes_file(port: u16) -> String {
    format!("tower-qwen-redis-{port}.conf")
}
