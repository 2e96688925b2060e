use std::sync::Arc;

use tower_layer::Layer;

use crate::{call::ReadOptions, data::WindowBook};

use super::{
    ContextWindow,
    guard::{OnExceed, Settings},
};

/// Layer of [`ContextWindow`]; see the [module docs](super).
///
/// ```
/// use tower_qwen_tokens::{ContextWindowLayer, WindowBook, context_window::OnExceed, data::Window};
///
/// // The windows that come with the crate, one of our own, and an answer that is cut to what fits.
/// let windows = WindowBook::builtin().with("my-model", Window::new(8_192).max_output(4_096));
/// let layer = ContextWindowLayer::new(windows).on_exceed(OnExceed::Clamp);
/// # let _ = layer;
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct ContextWindowLayer {
    settings: Arc<Settings>,
}

impl ContextWindowLayer {
    /// A layer that compares calls with these windows. [`Default`] takes [`WindowBook::builtin`].
    pub fn new(windows: WindowBook) -> Self {
        let settings = Settings {
            windows,
            on_exceed: OnExceed::default(),
            read_options: ReadOptions::default(),
        };
        Self {
            settings: Arc::new(settings),
        }
    }

    /// What happens to a call that does not fit. Default: [`OnExceed::Reject`].
    pub fn on_exceed(mut self, on_exceed: OnExceed) -> Self {
        Arc::make_mut(&mut self.settings).on_exceed = on_exceed;
        self
    }

    /// How requests are read that no layer above has read. Default: [`ReadOptions::default`], at most 32 MiB.
    pub fn read_options(mut self, options: ReadOptions) -> Self {
        Arc::make_mut(&mut self.settings).read_options = options;
        self
    }
}

impl<S> Layer<S> for ContextWindowLayer {
    type Service = ContextWindow<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ContextWindow {
            inner,
            settings: Arc::clone(&self.settings),
        }
    }
}
