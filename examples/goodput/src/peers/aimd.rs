//! Additive increase, multiplicative decrease: what is often written by hand.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tower::{ServiceBuilder, ServiceExt, retry::RetryLayer, service_fn};

use super::{Told, again::Again, hyper};
use crate::stack::Client;

/// After a sixtieth of a window without a 429 the rate grows by a hundredth of what was told.
const CLEAN: u32 = 60;
const STEP: f64 = 0.01;

struct Pace {
    told: Told,
    state: Mutex<State>,
}

struct State {
    /// Requests in a window.
    rate: f64,
    next: Instant,
    clean_since: Instant,
}

impl Pace {
    fn new(told: Told) -> Self {
        let now = Instant::now();
        Self {
            told,
            state: Mutex::new(State {
                rate: told.rpm as f64,
                next: now,
                clean_since: now,
            }),
        }
    }

    async fn wait(&self) {
        let at = {
            let mut state = self.lock();
            let at = state.next.max(Instant::now());
            state.next = at + self.told.window.div_f64(state.rate);
            at
        };
        sleep_until(at).await;
    }

    fn learn(&self, throttled: bool) {
        let clean: Duration = self.told.window / CLEAN;
        let mut state = self.lock();
        if throttled {
            state.rate = (state.rate / 2.0).max(1.0);
        } else if state.clean_since.elapsed() >= clean {
            state.rate += self.told.rpm as f64 * STEP;
        } else {
            return;
        }
        state.clean_since = Instant::now();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn client(told: Told) -> Client {
    let pace = Arc::new(Pace::new(told));
    let transport = hyper();
    let paced = service_fn(move |request| {
        let (pace, transport) = (pace.clone(), transport.clone());
        async move {
            pace.wait().await;
            let answered = transport.oneshot(request).await;
            if let Ok(response) = &answered {
                pace.learn(response.status().as_u16() == 429);
            }
            answered
        }
    });
    let retry = RetryLayer::new(Again::new(told));
    Client::new(ServiceBuilder::new().layer(retry).service(paced))
}
