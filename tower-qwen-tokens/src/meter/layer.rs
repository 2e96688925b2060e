use std::sync::Arc;

use tower_layer::Layer;

use crate::{Ledger, call::ReadOptions, data::WindowBook, estimate::Estimate};

use super::{Meter, counter::Counter, settings::Settings};

/// Layer of [`Meter`]. See the [module docs](super).
#[derive(Debug, Clone)]
#[must_use]
pub struct MeterLayer {
    settings: Arc<Settings>,
}

impl MeterLayer {
    /// A layer whose services record in this ledger.
    pub fn new(ledger: Ledger) -> Self {
        Self {
            settings: Arc::new(Settings::new(ledger)),
        }
    }

    /// How to read requests that no outer layer has read. Default: [`ReadOptions::default`], at
    /// most 32 MiB.
    pub fn read_options(mut self, options: ReadOptions) -> Self {
        Arc::make_mut(&mut self.settings).read_options = options;
        self
    }

    /// Whether to request the usage of a compatible stream whose caller did not. See the
    /// [module docs](super#requesting-usage). Default: `true`.
    pub fn request_usage(mut self, request_usage: bool) -> Self {
        Arc::make_mut(&mut self.settings).request_usage = request_usage;
        self
    }

    /// Counts the text of streams that are cut with this: `Heuristic`, or the exact `Tokenizer`.
    /// Default: a rough count by the length of the text.
    ///
    /// The text of every stream is stored until its end, at most 1 MiB of it. It is counted once,
    /// and only if the stream is cut: with the tokenizer 0.1 ms for 4 KB, in the drop of the body.
    pub fn count_cut_streams(mut self, counter: impl Estimate + 'static) -> Self {
        Arc::make_mut(&mut self.settings).counter = Counter::new(counter);
        self
    }

    /// The context windows beyond which a stated usage is not taken over. See the
    /// [module docs](super#what-it-does). Default: [`WindowBook::builtin`].
    pub fn windows(mut self, windows: WindowBook) -> Self {
        Arc::make_mut(&mut self.settings).windows = Arc::new(windows);
        self
    }
}

impl<S> Layer<S> for MeterLayer {
    type Service = Meter<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Meter {
            inner,
            settings: Arc::clone(&self.settings),
        }
    }
}
