//! What is seen during a run: at the provider, and by the callers.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What is seen during a run. Windows count from its creation, as the provider's do.
#[derive(Debug)]
pub struct Record {
    start: Instant,
    window: Duration,
    processes: usize,
    seen: Mutex<Seen>,
}

/// All that was seen.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The provider's windows; those without an event at the end are missing.
    pub windows: Vec<Window>,
    /// Calls that ended well.
    pub done: u64,
    /// Calls that were given up.
    pub failed: u64,
    /// How long each call that ended well took beyond what the provider needed for it.
    pub waits: Vec<Duration>,
}

/// What the provider did in one window.
#[derive(Debug, Clone, Default)]
pub struct Window {
    /// Calls that it let in.
    pub requests: u64,
    /// Tokens that it charged.
    pub tokens: u64,
    /// The same by process.
    pub tokens_by_process: Vec<u64>,
    /// Calls that it throttled by a quota (429).
    pub throttled: u64,
}

impl Record {
    /// Begins now.
    #[must_use]
    pub fn new(window: Duration, processes: usize) -> Self {
        Self {
            start: Instant::now(),
            window,
            processes,
            seen: Mutex::default(),
        }
    }

    /// The provider lets a call in and charges these tokens.
    pub fn admitted(&self, process: usize, tokens: u64) {
        self.now(|window| {
            window.requests += 1;
            window.charge(process, tokens);
        });
    }

    /// The provider charges tokens of a call that was let in.
    pub fn charged(&self, process: usize, tokens: u64) {
        self.now(|window| window.charge(process, tokens));
    }

    /// The provider throttles a call.
    pub fn throttled(&self) {
        self.now(|window| window.throttled += 1);
    }

    /// A call ended well after this wait.
    pub fn done(&self, wait: Duration) {
        let mut seen = self.lock();
        seen.done += 1;
        seen.waits.push(wait);
    }

    /// A call was given up.
    pub fn failed(&self) {
        self.lock().failed += 1;
    }

    /// All that was seen so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.lock().clone()
    }

    fn now(&self, change: impl FnOnce(&mut Window)) {
        let mut seen = self.lock();
        let number = self.start.elapsed().as_nanos() / self.window.as_nanos();
        let number = number as usize;
        if seen.windows.len() <= number {
            let empty = Window {
                tokens_by_process: vec![0; self.processes],
                ..Window::default()
            };
            seen.windows.resize(number + 1, empty);
        }
        change(&mut seen.windows[number]);
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    /// Throttles for each call that was let in.
    #[must_use]
    pub fn throttled_per_call(&self) -> f64 {
        self.throttled as f64 / self.requests.max(1) as f64
    }

    fn charge(&mut self, process: usize, tokens: u64) {
        self.tokens += tokens;
        self.tokens_by_process[process] += tokens;
    }
}
