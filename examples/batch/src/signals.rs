//! Ctrl-C.

use std::io;

use crate::stop::Stopper;

/// What the first Ctrl-C says while calls are made.
pub const STOPPING: &str =
    "Stopping: calls that were sent are finished, the others are not sent. Again to stop at once.";

/// What it says while jobs are waited for.
pub const STOPPING_JOBS: &str = "Stopping: jobs that were created go on at the provider.";

/// Presses the stopper at every Ctrl-C (and, on Unix, at every SIGTERM), for as long as it is polled. The first one says this
/// text.
///
/// # Errors
///
/// When signals cannot be listened to.
pub async fn listen(stopper: Stopper, text: &str) -> io::Result<()> {
    let mut signals = Signals::new()?;
    let mut pressed = false;
    loop {
        signals.next().await?;
        if !std::mem::replace(&mut pressed, true) {
            eprintln!("{text}");
        }
        stopper.press();
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> io::Result<()> {
        tokio::select! {
            _ = self.interrupt.recv() => Ok(()),
            _ = self.terminate.recv() => Ok(()),
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> io::Result<()> {
        tokio::signal::ctrl_c().await
    }
}
