use tower_layer::Layer;

use crate::{Ledger, call::ReadOptions, estimate::Estimate, internal::clock::WallClock};

use super::{Meter, counter::Counter, service::Settings};

/// Layer of [`Meter`]; see the [module docs](super).
#[derive(Debug, Clone)]
#[must_use]
pub struct MeterLayer {
    settings: Settings,
}

impl MeterLayer {
    /// A layer whose services record in this ledger.
    pub fn new(ledger: Ledger) -> Self {
        Self {
            settings: Settings {
                ledger,
                read_options: ReadOptions::default(),
                ask_for_usage: true,
                counter: Counter::default(),
                clock: WallClock::new(),
            },
        }
    }

    /// How requests are read that no layer above has read. Default: [`ReadOptions::default`], at most 32 MiB.
    pub fn read_options(mut self, options: ReadOptions) -> Self {
        self.settings.read_options = options;
        self
    }

    /// Whether a compatible stream is asked for its usage where the caller did not ask; see the
    /// [module docs](super#asking-for-usage). Default: `true`.
    pub fn ask_for_usage(mut self, ask: bool) -> Self {
        self.settings.ask_for_usage = ask;
        self
    }

    /// Counts the text of streams that are cut with this: `Heuristic`, or the exact `Tokenizer`. Default: their length says
    /// roughly how many tokens that was.
    ///
    /// The text of every stream is kept until its end, at most 1 MiB of it, and counted once, when the stream is cut: with
    /// the tokenizer 0.1 ms for 4 KB, where the body is dropped.
    pub fn count_cut_streams(mut self, counter: impl Estimate + 'static) -> Self {
        self.settings.counter = Counter::new(counter);
        self
    }
}

impl<S> Layer<S> for MeterLayer {
    type Service = Meter<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Meter {
            inner,
            settings: self.settings.clone(),
        }
    }
}
