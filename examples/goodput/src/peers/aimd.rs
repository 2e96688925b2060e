//! Additive increase, multiplicative decrease: what is often written by hand.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::{Instant, sleep_until};
use tower::{ServiceBuilder, ServiceExt, retry::RetryLayer, service_fn};

use super::{Told, again::Again, hyper, waits};
use crate::stack::Client;

/// The rate is halved once in a sixtieth of a window at most: all 429 of a moment tell the same. After a sixtieth without one it grows by
/// a hundredth of what was told, and it never falls below that.
const PERIODS: u32 = 60;
const STEP: f64 = 0.01;

struct Pace {
    told: Told,
    state: Mutex<State>,
    /// Calls go one after the other, in their order.
    turn: tokio::sync::Mutex<()>,
}

struct State {
    /// Requests in a window.
    rate: f64,
    next: Instant,
    changed: Instant,
}

impl Pace {
    fn new(told: Told) -> Self {
        let now = Instant::now();
        Self {
            told,
            state: Mutex::new(State {
                rate: told.rpm as f64,
                next: now,
                changed: now,
            }),
            turn: tokio::sync::Mutex::default(),
        }
    }

    async fn wait(&self) {
        let _turn = self.turn.lock().await;
        let next = self.lock().next;
        sleep_until(next).await;
        let mut state = self.lock();
        // From when it was due, not from when the timer fired: timers are late, each a little.
        let due = next.max(Instant::now() - self.told.window / PERIODS);
        state.next = due + self.told.window.div_f64(state.rate);
    }

    fn learn(&self, throttled: bool) {
        let step = self.told.rpm as f64 * STEP;
        let mut state = self.lock();
        if state.changed.elapsed() < self.told.window / PERIODS {
            return;
        }
        state.changed = Instant::now();
        state.rate = if throttled {
            (state.rate / 2.0).max(step)
        } else {
            state.rate + step
        };
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
    let retry = RetryLayer::new(Again::new(waits(told.window)));
    Client::new(ServiceBuilder::new().layer(retry).service(paced))
}
