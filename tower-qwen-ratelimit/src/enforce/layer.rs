use std::sync::Arc;

use tower_layer::Layer;
use tower_qwen_tokens::call::ReadOptions;

use super::{Enforce, EnforceCounts, HeaderFamily, Rejection, settings::Settings};
use crate::{key::KeyOf, limiter::Limiter};

/// Layer of [`Enforce`]; see the [module docs](super).
///
/// Clones of the layer, and all services that it makes, share accounts and counts.
#[derive(Debug, Clone)]
#[must_use]
pub struct EnforceLayer {
    settings: Arc<Settings>,
}

impl EnforceLayer {
    /// Grants the limiter's quota to each caller, as `key_of` identifies it.
    pub fn new(limiter: Limiter, key_of: KeyOf) -> Self {
        Self {
            settings: Arc::new(Settings::new(limiter, key_of)),
        }
    }

    /// Rejects nothing: only counts and reports what would be rejected. Default: off.
    pub fn shadow(mut self) -> Self {
        Arc::make_mut(&mut self.settings).shadow = true;
        self
    }

    /// Omits a family of response headers. Default: both are written; in shadow mode none.
    pub fn without_headers(mut self, family: HeaderFamily) -> Self {
        let headers = &mut Arc::make_mut(&mut self.settings).headers;
        match family {
            HeaderFamily::Ietf => headers.ietf = false,
            HeaderFamily::XRatelimit => headers.x_ratelimit = false,
        }
        self
    }

    /// Adds the parameter `pk` to the IETF draft's headers, which says whose quota it is: a salted
    /// hash of the key, which differs between processes. Default: omitted.
    pub fn with_partition_key(mut self) -> Self {
        Arc::make_mut(&mut self.settings).headers.partition_key = true;
        self
    }

    /// Calls this closure with every rejection, in shadow mode too. It must neither block nor
    /// panic. Default: none.
    pub fn on_rejection(mut self, observer: impl Fn(&Rejection) + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.settings).on_rejection = Some(Arc::new(observer));
        self
    }

    /// How requests are read that no layer above has read. Default: [`ReadOptions::default`], at
    /// most 32 MiB.
    pub fn read_options(mut self, options: ReadOptions) -> Self {
        Arc::make_mut(&mut self.settings).read_options = options;
        self
    }

    /// What the layer, its clones and its services have done so far.
    #[must_use]
    pub fn counts(&self) -> EnforceCounts {
        self.settings.counters.now()
    }
}

impl<S> Layer<S> for EnforceLayer {
    type Service = Enforce<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Enforce::new(inner, self.settings.clone())
    }
}
