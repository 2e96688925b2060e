use tower_layer::Layer;

use crate::{Ledger, call::ReadOptions, clock::WallClock};

use super::Meter;

/// Layer of [`Meter`]; see the [module docs](super).
#[derive(Debug, Clone)]
#[must_use]
pub struct MeterLayer {
    ledger: Ledger,
    options: ReadOptions,
    clock: WallClock,
}

impl MeterLayer {
    /// A layer whose services record in this ledger.
    pub fn new(ledger: Ledger) -> Self {
        Self {
            ledger,
            options: ReadOptions::default(),
            clock: WallClock::new(),
        }
    }

    /// How requests are read that no layer above has read. Default: [`ReadOptions::default`], at most 32 MiB.
    pub fn read_options(mut self, options: ReadOptions) -> Self {
        self.options = options;
        self
    }
}

impl<S> Layer<S> for MeterLayer {
    type Service = Meter<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Meter {
            inner,
            ledger: self.ledger.clone(),
            options: self.options,
            clock: self.clock,
        }
    }
}
