//! `/readyz`: whether new calls should come here.
//!
//! Not whether the provider has quota: a throttle hits every gateway before it alike, and waiting is what this one is for.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
};

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header::RETRY_AFTER};

use crate::gateway::Gateway;

/// Whether the gateway is ready. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Shared>);

#[derive(Default)]
struct Shared {
    phase: AtomicU8,
    bad_configuration: Mutex<Option<String>>,
    store_rejects: Mutex<Option<StoreCheck>>,
}

/// Whether the store of a fleet is away and calls are rejected for that.
type StoreCheck = Box<dyn Fn() -> bool + Send + Sync>;

const STARTING: u8 = 0;
const OPEN: u8 = 1;
const DRAINING: u8 = 2;

/// Why no new calls should come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotReady {
    /// It does not answer calls yet.
    Starting,
    /// It was told to stop.
    Draining,
    /// What it was told to load cannot be used; it goes on with what it had.
    BadConfiguration(String),
    /// The store of the fleet is away, and calls are rejected until it is back.
    StoreAway,
}

impl Readiness {
    /// Calls are answered from now on.
    pub fn open(&self) {
        self.0.phase.store(OPEN, Ordering::Relaxed);
    }

    /// It was told to stop. There is no way back.
    pub fn drain(&self) {
        self.0.phase.store(DRAINING, Ordering::Relaxed);
    }

    /// Whether it was told to stop.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.phase.load(Ordering::Relaxed) == DRAINING
    }

    /// Why the latest configuration cannot be used; `None`: it is in use.
    pub fn set_bad_configuration(&self, why: Option<String>) {
        *lock(&self.0.bad_configuration) = why;
    }

    /// What says whether the store is away and calls are rejected for that. It must not block.
    pub fn watch_store(&self, rejects: impl Fn() -> bool + Send + Sync + 'static) {
        *lock(&self.0.store_rejects) = Some(Box::new(rejects));
    }

    /// Whether new calls should come.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn check(&self) -> Result<(), NotReady> {
        match self.0.phase.load(Ordering::Relaxed) {
            STARTING => return Err(NotReady::Starting),
            DRAINING => return Err(NotReady::Draining),
            _ => {}
        }
        if let Some(why) = &*lock(&self.0.bad_configuration) {
            return Err(NotReady::BadConfiguration(why.clone()));
        }
        match &*lock(&self.0.store_rejects) {
            Some(rejects) if rejects() => Err(NotReady::StoreAway),
            _ => Ok(()),
        }
    }
}

/// The handler: 200, or 503 with the reason.
pub async fn readyz(State(gateway): State<Arc<Gateway>>) -> Response {
    match gateway.readiness().check() {
        Ok(()) => "ready".into_response(),
        Err(why) => {
            let soon = [(RETRY_AFTER, "1")];
            (StatusCode::SERVICE_UNAVAILABLE, soon, why.to_string()).into_response()
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness")
            .field("phase", &self.phase)
            .field("bad_configuration", &self.bad_configuration)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => f.write_str("starting"),
            Self::Draining => f.write_str("draining"),
            Self::BadConfiguration(why) => write!(f, "bad configuration: {why}"),
            Self::StoreAway => f.write_str("the store is away"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn it_is_ready_between_its_start_and_its_stop_unless_something_is_wrong() {
        let ready = Readiness::default();
        assert_eq!(ready.check(), Err(NotReady::Starting));
        ready.open();
        assert_eq!(ready.check(), Ok(()));
        ready.set_bad_configuration(Some("line 3".to_owned()));
        let bad = NotReady::BadConfiguration("line 3".to_owned());
        assert_eq!(ready.check(), Err(bad));
        ready.set_bad_configuration(None);

        let away = Arc::new(AtomicBool::new(true));
        let store = away.clone();
        ready.watch_store(move || store.load(Ordering::Relaxed));
        assert_eq!(ready.check(), Err(NotReady::StoreAway));
        away.store(false, Ordering::Relaxed);
        assert_eq!(ready.check(), Ok(()));
        ready.drain();
        assert_eq!(ready.check(), Err(NotReady::Draining));
    }
}
