use crate::{Ledger, call::ReadOptions, shared::clock::WallClock};

use super::counter::Counter;

/// What the services of a layer share.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) ledger: Ledger,
    pub(super) read_options: ReadOptions,
    pub(super) request_usage: bool,
    pub(super) counter: Counter,
    pub(super) clock: WallClock,
}

impl Settings {
    /// The defaults of [`MeterLayer`](super::MeterLayer).
    pub(super) fn new(ledger: Ledger) -> Self {
        Self {
            ledger,
            read_options: ReadOptions::default(),
            request_usage: true,
            counter: Counter::default(),
            clock: WallClock::new(),
        }
    }
}
