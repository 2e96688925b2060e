//! Stopping a run.

use tokio::sync::watch;

/// Stops a run: first gently, then at once.
#[derive(Debug)]
pub struct Stopper {
    level: watch::Sender<Level>,
}

/// Hears of the wish to stop. Clones hear the same.
#[derive(Debug, Clone)]
pub struct Stop {
    level: watch::Receiver<Level>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Go,
    Finish,
    AtOnce,
}

/// A stopper, and what hears of it.
#[must_use]
pub fn stop() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(Level::Go);
    (Stopper { level: sender }, Stop { level: receiver })
}

impl Stopper {
    /// Begins no call any more and finishes those on the wire; when called again, drops these too.
    pub fn press(&self) {
        self.level.send_modify(|level| {
            *level = match level {
                Level::Go => Level::Finish,
                Level::Finish | Level::AtOnce => Level::AtOnce,
            };
        });
    }
}

impl Stop {
    /// Waits until the run is to begin no call any more.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn requested(&mut self) {
        self.reached(Level::Finish).await;
    }

    /// Waits until the run is to end at once.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn at_once(&mut self) {
        self.reached(Level::AtOnce).await;
    }

    async fn reached(&mut self, wanted: Level) {
        if self.level.wait_for(|level| *level >= wanted).await.is_err() {
            // Nobody is left who could stop the run.
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn first_gently_then_at_once() {
        let (stopper, mut stop) = stop();
        assert!(stop.requested().now_or_never().is_none());
        stopper.press();
        assert!(stop.requested().now_or_never().is_some());
        assert!(stop.clone().requested().now_or_never().is_some());
        assert!(stop.at_once().now_or_never().is_none());
        stopper.press();
        assert!(stop.at_once().now_or_never().is_some());
        assert!(stop.requested().now_or_never().is_some());
    }

    #[test]
    fn without_a_stopper_nothing_stops() {
        let (stopper, mut stop) = stop();
        drop(stopper);
        assert!(stop.requested().now_or_never().is_none());
    }
}
