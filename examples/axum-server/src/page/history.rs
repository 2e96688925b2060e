//! The figures of the last half an hour, so that a page that is opened shows how it came to be as it is.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::UNIX_EPOCH,
};

use serde::Serialize;

use crate::{clock::wall, gateway::Gateway};

/// How many are kept: of half an hour, one each five seconds.
const POINTS: usize = 360;

/// What charts are drawn from. Counts go on from the start of the process, or of its ledger; charts show their changes.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Point {
    /// Milliseconds since 1970.
    at: u64,
    calls: u64,
    failed: u64,
    rejected: u64,
    throttled: u64,
    input_tokens: u64,
    output_tokens: u64,
    queued: usize,
    under_way: usize,
    /// How many calls waited for no longer than each bound, and at the end all.
    waits: Vec<u64>,
}

/// The points. Written by one task, read by pages.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<VecDeque<Point>>);

impl History {
    fn add(&self, point: Point) {
        let mut points = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if points.len() == POINTS {
            points.pop_front();
        }
        points.push_back(point);
    }

    pub(super) fn points(&self) -> Vec<Point> {
        let points = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        points.iter().cloned().collect()
    }
}

impl Gateway {
    /// Notes the figures of now.
    pub(crate) fn note_history(&self) {
        self.history.add(self.point());
    }

    pub(super) fn point(&self) -> Point {
        let total = self.ledger.snapshot().total;
        let accounts = self.shared.limiter.snapshot();
        let throttled = accounts
            .iter()
            .flat_map(|account| account.throttled.values());
        let since = wall().duration_since(UNIX_EPOCH).unwrap_or_default();
        Point {
            at: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            calls: total.calls,
            failed: total.failed,
            rejected: self.enforce.counts().rejected(),
            throttled: throttled.sum(),
            input_tokens: total.input_tokens,
            output_tokens: total.output_tokens,
            queued: accounts.iter().map(|account| account.queued).sum(),
            under_way: self.under_way.calls(),
            waits: self.call_metrics.waits(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_points_stay() {
        let history = History::default();
        for at in 0..POINTS as u64 + 2 {
            history.add(Point {
                at,
                calls: 0,
                failed: 0,
                rejected: 0,
                throttled: 0,
                input_tokens: 0,
                output_tokens: 0,
                queued: 0,
                under_way: 0,
                waits: Vec::new(),
            });
        }
        let points = history.points();
        assert_eq!((points.len(), points[0].at), (POINTS, 2));
    }
}
