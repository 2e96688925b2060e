use std::sync::Arc;

use tower_layer::Layer;

use crate::{call::ReadOptions, data::WindowBook};

use super::{
    ContextWindow,
    guard::{Guard, OnExceed},
};

/// Layer of [`ContextWindow`]; see the [module docs](super).
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct ContextWindowLayer {
    windows: Arc<WindowBook>,
    on_exceed: OnExceed,
    options: ReadOptions,
}

impl ContextWindowLayer {
    /// A layer that goes by these windows. [`Default`] goes by [`WindowBook::builtin`].
    pub fn new(windows: WindowBook) -> Self {
        Self {
            windows: Arc::new(windows),
            on_exceed: OnExceed::default(),
            options: ReadOptions::default(),
        }
    }

    /// What happens to a call that does not fit. Default: [`OnExceed::Refuse`].
    pub fn on_exceed(mut self, on_exceed: OnExceed) -> Self {
        self.on_exceed = on_exceed;
        self
    }

    /// How requests are read that no layer above has read. Default: [`ReadOptions::default`], at most 32 MiB.
    pub fn read_options(mut self, options: ReadOptions) -> Self {
        self.options = options;
        self
    }
}

impl<S> Layer<S> for ContextWindowLayer {
    type Service = ContextWindow<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let guard = Guard {
            windows: Arc::clone(&self.windows),
            on_exceed: self.on_exceed,
        };
        ContextWindow {
            inner,
            guard,
            options: self.options.clone(),
        }
    }
}
