//! The first call of the account, and of each model and path, goes alone.
//!
//! A wrong key, model or path fails every call that meets it. So one call finds out, and the others wait for what becomes
//! of it: nothing is spent on a probe, and its answer is the answer of its line.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

/// After so long without an answer the others go too. A rejection takes a second or two, and a model that thinks for
/// minutes should not hold up all other calls.
pub const OPEN_AFTER: Duration = Duration::from_secs(30);

/// Which calls may go.
#[derive(Debug)]
pub struct FirstCalls {
    all: Gate,
    routes: Mutex<HashMap<Arc<str>, Gate>>,
}

/// A call that may go. The first one decides whether others may.
#[derive(Debug, Default)]
#[must_use]
pub struct Turn {
    all: Option<Trial>,
    route: Option<Trial>,
}

#[derive(Debug, Clone)]
struct Gate(Arc<watch::Sender<GateState>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GateState {
    Untried,
    /// One call is under way, or none may be.
    Trying,
    Open,
    Closed,
}

/// What the call holds that is under way. Dropped without an answer, the next call is the first.
#[derive(Debug)]
struct Trial(Gate);

enum Entry {
    First(Trial),
    Open,
    Closed,
}

impl Default for FirstCalls {
    fn default() -> Self {
        Self {
            all: Gate::new(),
            routes: Mutex::default(),
        }
    }
}

impl FirstCalls {
    /// Waits until a call of this model and path may go; `None` where none of them can succeed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future, or the turn, lets the next call be the first.
    pub async fn enter(&self, route: &str) -> Option<Turn> {
        let mut turn = Turn::default();
        match self.all.enter().await {
            Entry::First(trial) => turn.all = Some(trial),
            Entry::Open => {}
            Entry::Closed => return None,
        }
        match self.route(route).enter().await {
            Entry::First(trial) => turn.route = Some(trial),
            Entry::Open => {}
            Entry::Closed => return None,
        }
        Some(turn)
    }

    /// Lets no call go until [`resume`](Self::resume).
    pub fn suspend(&self) {
        self.all.set(GateState::Trying);
    }

    /// Lets the next call be the first again.
    pub fn resume(&self) {
        self.all.set(GateState::Untried);
    }

    /// Lets no call go any more, until [`resume`](Self::resume).
    pub fn close_all(&self) {
        self.all.set(GateState::Closed);
    }

    /// Lets no call of this model and path go any more.
    pub fn close(&self, route: &str) {
        self.route(route).set(GateState::Closed);
    }

    fn route(&self, route: &str) -> Gate {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gate) = routes.get(route) {
            return gate.clone();
        }
        let gate = Gate::new();
        routes.insert(route.into(), gate.clone());
        gate
    }
}

impl Turn {
    /// Whether others wait for this call.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.all.is_some() || self.route.is_some()
    }

    /// Lets the others go.
    pub fn open(self) {
        let trials = [self.all, self.route];
        for trial in trials.into_iter().flatten() {
            trial.0.set(GateState::Open);
        }
    }

    /// Lets the calls of other models go, and no other one of this model and path.
    pub fn close_route(self) {
        if let Some(trial) = self.all {
            trial.0.set(GateState::Open);
        }
        if let Some(trial) = self.route {
            trial.0.set(GateState::Closed);
        }
    }
}

impl Gate {
    fn new() -> Self {
        Self(Arc::new(watch::Sender::new(GateState::Untried)))
    }

    fn set(&self, state: GateState) {
        self.0.send_replace(state);
    }

    async fn enter(&self) -> Entry {
        let mut states = self.0.subscribe();
        loop {
            let is_first = self.0.send_if_modified(|state| {
                let is_first = *state == GateState::Untried;
                if is_first {
                    *state = GateState::Trying;
                }
                is_first
            });
            if is_first {
                return Entry::First(Trial(self.clone()));
            }
            let state = states.wait_for(|state| *state != GateState::Trying).await;
            // The sender lives as long as this gate.
            match state.map(|state| *state) {
                Ok(GateState::Open) => return Entry::Open,
                Ok(GateState::Closed) => return Entry::Closed,
                Ok(GateState::Untried | GateState::Trying) | Err(_) => {}
            }
        }
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        self.0.0.send_if_modified(|state| {
            let is_unknown = *state == GateState::Trying;
            if is_unknown {
                *state = GateState::Untried;
            }
            is_unknown
        });
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn one_goes_alone_and_then_one_of_each_model() -> Result<(), &'static str> {
        let first = FirstCalls::default();
        let one = first.enter("a").now_or_never().flatten();
        let one = one.ok_or("the first goes at once")?;
        assert!(one.is_first());
        assert!(first.enter("a").now_or_never().is_none());
        assert!(first.enter("b").now_or_never().is_none());
        one.open();
        let second = first.enter("a").now_or_never().flatten();
        assert!(!second.ok_or("open")?.is_first());
        let of_b = first.enter("b").now_or_never().flatten().ok_or("b")?;
        assert!(of_b.is_first());
        assert!(first.enter("b").now_or_never().is_none());
        of_b.close_route();
        assert!(matches!(first.enter("b").now_or_never(), Some(None)));
        assert!(matches!(first.enter("a").now_or_never(), Some(Some(_))));
        first.close("a");
        assert!(matches!(first.enter("a").now_or_never(), Some(None)));
        Ok(())
    }

    #[test]
    fn a_suspended_account_begins_again_with_one_call() -> Result<(), &'static str> {
        let first = FirstCalls::default();
        first.enter("a").now_or_never().flatten().ok_or("a")?.open();
        first.suspend();
        assert!(first.enter("a").now_or_never().is_none());
        first.resume();
        let next = first.enter("a").now_or_never().flatten().ok_or("one")?;
        assert!(next.is_first());
        assert!(first.enter("a").now_or_never().is_none());
        next.open();
        assert!(first.enter("a").now_or_never().flatten().is_some());
        Ok(())
    }

    #[tokio::test]
    async fn a_first_call_that_is_dropped_makes_the_next_one_the_first() -> Result<(), &'static str>
    {
        let first = FirstCalls::default();
        let turn = first.enter("a").await.ok_or("the first")?;
        let mut waits = [first.enter("a").boxed(), first.enter("b").boxed()];
        for wait in &mut waits {
            assert!(wait.now_or_never().is_none());
        }
        drop(turn);
        let [a, b] = waits;
        let next = a.await.ok_or("the next")?;
        assert!(next.is_first());
        assert!(b.now_or_never().is_none());
        Ok(())
    }
}
