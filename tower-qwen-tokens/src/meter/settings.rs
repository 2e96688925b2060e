use std::sync::{Arc, LazyLock};

use crate::{
    Ledger, call::ReadOptions, data::WindowBook, scan::KnownEvents, shared::clock::WallClock,
};

use super::counter::Counter;

/// Read once for all layers.
static BUILTIN: LazyLock<Arc<WindowBook>> = LazyLock::new(Arc::default);

/// What the services of a layer share.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) ledger: Ledger,
    pub(super) read_options: ReadOptions,
    pub(super) request_usage: bool,
    pub(super) counter: Counter,
    pub(super) windows: Arc<WindowBook>,
    pub(super) clock: WallClock,
    /// What the streams of all calls have in common.
    pub(super) events: Arc<KnownEvents>,
}

impl Settings {
    /// The defaults of [`MeterLayer`](super::MeterLayer).
    pub(super) fn new(ledger: Ledger) -> Self {
        Self {
            ledger,
            read_options: ReadOptions::default(),
            request_usage: true,
            counter: Counter::default(),
            windows: Arc::clone(&BUILTIN),
            clock: WallClock::new(),
            events: Arc::default(),
        }
    }
}
